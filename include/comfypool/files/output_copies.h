/*
 * Copies of outputs ("keep": "copy"): fetched from their server once the job has completed, one
 * file at a time from each server, and kept by their content until they are old, or the oldest
 * jobs' when there is no room. What is still to be fetched is remembered over restarts.
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
    struct blobs *blobs; /* where they are; NULL: none are made */
    uint64_t bytes;      /* of all, at most */
    struct dur_us age;   /* since the job's end, at most */
};

/* ---- life ------------------------------------------------------------------------------------ */

/* All is borrowed until copies_free. */
struct copies *copies_new(struct store *store, struct deadlines *deadlines,
                          struct file_servers *servers, struct stamps *stamps,
                          const struct copies_options *options);
/* Brings together what the store and the directory have. False: the store failed. */
bool copies_start(struct copies *all) MUST_CHECK;
/* Nothing is fetched, and no file goes, any more. */
void copies_stop(struct copies *all);
void copies_free(struct copies *all);

struct copies_stats {
    size_t files;
    uint64_t bytes;
    size_t jobs, pending; /* with copies; of which some are still to be fetched */
};
void copies_count(const struct copies *all, struct copies_stats *ret);

/* ---- of jobs --------------------------------------------------------------------------------- */

/* Whether a file of this hash was streamed to us for the job. */
typedef bool (*copies_have_fn)(const void *ctx, const char *sha256);
/* The row that is written with the job's end, when there are copies (of streamed images: `have` any
   of them), or some are to be made; files NULL: neither. Owner: the caller. */
struct kept_record copies_row(struct copies *all, const struct job_record *ended, bool have_any,
                              copies_have_fn have, const void *ctx);
/* It is durable with these files (NULL: none): they are fetched. */
void copies_begin(struct copies *all, const struct job_record *ended, const char *files);
/* The job is deleted. */
void copies_forget(struct copies *all, const char *job_id);
/* Jobs were deleted because they are old: perhaps some with copies. */
void copies_of_deleted(struct copies *all);

/* Sets `kept` and `size` of files. */
void copies_mark(struct copies *all, const char *job_id, struct render_output *list, size_t len);
/* The hash of the copy of output n of `len`; NULL: there is none. */
const char *copies_find(struct copies *all, const char *job_id, size_t n, size_t len);
/* The copy itself. Below 0: it is not there. Owner of the descriptor: the caller. */
int copies_open(const struct copies *all, const char *sha256, uint64_t *ret_size);
struct blobs *copies_blobs(const struct copies *all);

/* ---- of servers ------------------------------------------------------------------------------ */

/* The server is up again; or goes for good. */
void copies_up(struct file_server *s);
void copies_leave(struct file_server *s);
/* Something is still to be fetched there. */
bool copies_wait_for(const struct file_server *s);

/* ---- files that somebody else writes --------------------------------------------------------- */

/* A file that is written in copies_blobs by somebody else is held until it is released; when no row
   names it then, it goes. */
struct content *copies_hold(struct copies *all, const char *sha256, uint64_t size);
void copies_release(struct copies *all, struct content *c);
const char *copies_hash(const struct content *c);
/* So many bytes may be kept, with all that is. */
uint64_t copies_most(const struct copies *all);

#endif
