/*
 * Copies of outputs ("keep": "copy"): fetched from their server once the job has completed, one
 * file at a time from each server, and kept by content until they are old; without room, the oldest
 * jobs' go first. Pending fetches survive restarts.
 */
#ifndef COMFYPOOL_FILES_OUTPUT_COPIES_H
#define COMFYPOOL_FILES_OUTPUT_COPIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/err.h"
#include "comfypool/files/file_servers.h"
#include "comfypool/files/output_stamps.h"
#include "comfypool/render/render.h"
#include "comfypool/store/blobs.h"
#include "comfypool/store/outputs.h"

struct content;
struct copies;
struct deadlines;

struct copies_options {
    struct blobs *blobs; /* their storage; NULL: no copies */
    uint64_t bytes;      /* limit in total */
    struct dur_us age;   /* limit since the job's end */
};

/* ---- life ------------------------------------------------------------------------------------ */

/* All arguments are borrowed until copies_free. */
struct copies *copies_new(struct store *store, struct deadlines *deadlines,
                          struct file_servers *servers, struct stamps *stamps,
                          const struct copies_options *options);
/* Reconciles the store and the directory. False: the store failed. */
bool copies_start(struct copies *all) MUST_CHECK;
/* Stops all fetching and removal. */
void copies_stop(struct copies *all);
void copies_free(struct copies *all);

struct copies_stats {
    size_t files;
    uint64_t bytes;
    size_t jobs, pending; /* with copies; those still being fetched */
};
void copies_count(const struct copies *all, struct copies_stats *ret);

/* ---- of jobs --------------------------------------------------------------------------------- */

/* True if a file of this hash was streamed to us for the job. */
typedef bool (*copies_have_fn)(const void *ctx, const char *sha256);
/* Makes the row to write with the job's end, if it has copies (streamed images: `have` any of
   them), or will have some; files NULL: neither. Owner: the caller. */
struct kept_record copies_row(struct copies *all, const struct job_record *ended, bool have_any,
                              copies_have_fn have, const void *ctx);
/* Starts fetching once the row is durable with these files (NULL: none). */
void copies_begin(struct copies *all, const struct job_record *ended, const char *files);
/* Forgets a deleted job. */
void copies_forget(struct copies *all, const char *job_id);
/* Checks for copies after jobs were deleted for their age. */
void copies_of_deleted(struct copies *all);

/* Sets `kept` and `size` of files. */
void copies_mark(struct copies *all, const char *job_id, struct render_output *list, size_t len);
/* Returns the hash of the copy of output n of `len`; NULL: none. */
const char *copies_find(struct copies *all, const char *job_id, size_t n, size_t len);
/* Opens a copy. Below 0: missing. Owner of the descriptor: the caller. */
int copies_open(const struct copies *all, const char *sha256, uint64_t *ret_size);
struct blobs *copies_blobs(const struct copies *all);

/* ---- of servers ------------------------------------------------------------------------------ */

/* Note that the server is up again; or removed. */
void copies_up(struct file_server *s);
void copies_leave(struct file_server *s);
/* True if something is still to be fetched there. */
bool copies_wait_for(const struct file_server *s);

/* ---- files that somebody else writes --------------------------------------------------------- */

/* Holds a file that is written to copies_blobs elsewhere until released; then it is removed if no
   row names it. */
struct content *copies_hold(struct copies *all, const char *sha256, uint64_t size);
void copies_release(struct copies *all, struct content *c);
const char *copies_hash(const struct content *c);
/* Returns the limit of bytes in total. */
uint64_t copies_most(const struct copies *all);

#endif
