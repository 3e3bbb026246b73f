/*
 * Copies of outputs ("keep": "copy"): fetched from their backend once the job has completed, one
 * file at a time from each backend, and kept by their content until they are old, or the oldest
 * jobs' when there is no room. What is still to be fetched is remembered over restarts.
 */
#ifndef COMFYPOOL_SRC_POOL_COPIES_H
#define COMFYPOOL_SRC_POOL_COPIES_H

#include "comfypool/base/map.h"
#include "comfypool/loop/deadlines.h"
#include "comfypool/store/blobs.h"
#include "comfypool/store/store.h"
#include "fetch.h"

struct pool;
struct backend;
struct kept_job;
struct content;
struct streamed;

struct copies {
    struct blobs *blobs;
    struct map by_sha; /* struct content */
    struct map jobs;   /* struct kept_job, by job id */
    struct kept_job *oldest, *newest;
    struct kept_job *leaving; /* forgotten; their files go some a turn */
    struct deadline leave;
    uint64_t bytes;
    size_t pending; /* jobs of which some are still to be fetched */
    struct deadline expire;
};

/* What a backend has still to give; jobs in the order in which they ended. */
struct copying {
    struct kept_job *first, *last;
    struct fetch *fetch; /* of a file of the first */
    struct deadline again;
};

/* What the store and the directory have, brought together. False: the store failed. */
bool copies_start(struct pool *p) MUST_CHECK;
void copies_done(struct pool *p);

/* The row that is written with the job's end, when there are copies (of streamed images), or some
   are to be made; files NULL: neither. Owner: the caller. */
struct kept_record copies_row(struct pool *p, const struct job_record *ended,
                              const struct streamed *streamed);
/* It is durable with these files (NULL: none): they are fetched. */
void copies_begin(struct pool *p, const struct job_record *ended, const char *files);
/* The job is deleted. */
void copies_forget(struct pool *p, const char *job_id);
/* Jobs were deleted because they are old: perhaps some with copies. */
void copies_of_deleted(struct pool *p);

/* The backend is up again; or goes for good. */
void copies_up(struct backend *b);
void copies_leave(struct backend *b);

/* Sets `kept` and `size` of files. */
void copies_mark(struct pool *p, const char *job_id, struct render_output *list, size_t len);
/* A file that is written in pool.copies.blobs by somebody else is held until it is released; when
   no row names it then, it goes. */
struct content *copies_hold(struct pool *p, const char *sha256, uint64_t size);
void copies_release(struct pool *p, struct content *c);
const char *copies_hash(const struct content *c);

/* The hash of the copy of output n of `len`; NULL: there is none. */
const char *copies_find(struct pool *p, const char *job_id, size_t n, size_t len);

#endif
