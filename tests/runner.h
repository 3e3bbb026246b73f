/*
 * Runs suites, each in a process with a report of its own, a few at a time. What a suite prints
 * appears as a whole, with how long it took. A process for each keeps it small: what a suite leaves
 * behind in memory would be copied, and searched for leaks, with each of the next one's tests.
 */
#ifndef COMFYPOOL_TESTS_RUNNER_H
#define COMFYPOOL_TESTS_RUNNER_H

#include <check.h>
#include <stddef.h>

struct named_suite {
    const char *name;
    Suite *(*make)(void);
};

/* Those whose name holds one of the words (none: all), at most `jobs` at a time, in their order; at
   most 64. Returns the exit status: 0, 1 when one failed, 2 when no name holds a word. */
int run_suites(const struct named_suite *suites, size_t n, int jobs, int words_len,
               char *const *words);

#endif
