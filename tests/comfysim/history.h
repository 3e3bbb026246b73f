/*
 * The queue, the history and /api/jobs: who holds a job when. A job is in the queue's heap, or the
 * running one, or in the history; the executor takes it from one to the next.
 *
 * The heap is Python's heapq, array order and all, because GET /queue shows that order. The
 * history is a dict: newest last, a reused id keeps its old place, at most 10,000 + 1 entries.
 */
#ifndef COMFYSIM_HISTORY_H
#define COMFYSIM_HISTORY_H

#include "job.h"

#define HISTORY_BUCKETS 4096
#define HISTORY_MAX 10000

struct jobs {
    struct job **heap;
    size_t n_heap, heap_cap;
    struct job *running;
    struct job *oldest, *newest;
    struct job *buckets[HISTORY_BUCKETS];
    size_t n_history;
};

/* False when Python would have raised comparing two dicts (same number and id): queued all same. */
bool jobs_push(struct jobs *jobs, struct job *job);
struct job *jobs_pop(struct jobs *jobs);                  /* NULL when empty; the caller owns it */
struct job *jobs_take(struct jobs *jobs, const char *id); /* out of the queue, NULL if not there */
struct job *jobs_pending(const struct jobs *jobs, const char *id);
size_t jobs_remaining(const struct jobs *jobs);

void history_put(struct jobs *jobs, struct job *take_job);
struct job *history_find(const struct jobs *jobs, const char *id);
void history_delete(struct jobs *jobs, const char *id);
void jobs_clear(struct jobs *jobs, bool queue, bool history);

void queue_json(const struct jobs *jobs, struct text *out);
void history_entry_json(const struct job *job, struct text *out); /* "id": {...} */
void history_json(const struct jobs *jobs, int64_t max_items, int64_t offset, struct text *out);
void job_json(const struct jobs *jobs, const struct job *job, bool full, struct text *out);
/* `status` is a comma separated list or NULL; limit < 0: none. */
void jobs_json(const struct jobs *jobs, const char *status, int64_t limit, int64_t offset,
               struct text *out);

#endif
