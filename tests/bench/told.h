/*
 * Those who are told of jobs, each a process of its own so that its CPU time is not the
 * benchmark's: a reader of GET /events and a receiver of webhooks that takes everything.
 */
#ifndef COMFYPOOL_TESTS_BENCH_TOLD_H
#define COMFYPOOL_TESTS_BENCH_TOLD_H

#include <sys/types.h>

/* Returns its process; *ret_port is where it listens. */
pid_t receiver_start(int *ret_port);
/* Returns when the stream has begun. */
pid_t reader_start(int daemon_port);
void told_stop(pid_t pid);

#endif
