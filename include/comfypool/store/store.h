/*
 * The store: jobs and everything about them, on disk. This header has its life, its trouble and the
 * rules of all writes; each subject has its own header beside this one. The contract is narrow so
 * that another engine can replace SQLite.
 *
 * Writes are asynchronous and durable: each is queued to one writer thread, everything queued is
 * committed in one transaction (WAL, synchronous=FULL), then answered on the loop thread, in the
 * order in which it was queued. Reads of single objects run on a separate thread (store/finds.h);
 * lists run on libuv's pool, at most two at a time. Functions named store_load_ block: they are for
 * the start alone.
 *
 * When the disk is full or read-only, a new job or batch is answered with ERR_STORE_UNAVAILABLE;
 * every other write is kept, in order, and retried each second until it succeeds. Each new insert
 * is also a retry, so that the store recovers by itself. A missing state directory is such trouble,
 * too, and is noticed within two seconds, also when nothing is written.
 *
 * All functions are called on the loop thread. All arguments are copied.
 */
#ifndef COMFYPOOL_STORE_STORE_H
#define COMFYPOOL_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/base/time.h"
#include "comfypool/core/job.h"

struct store;
struct delivery_record;
struct kept_record;

/*
 * There are two kinds of writes. Both call back once, on the loop thread; the callback may be NULL.
 *
 * A refusable write is one whose caller can retry: a new job or batch. While the disk is not
 * writable it is answered at once with ERR_STORE_UNAVAILABLE; ERR_NONE means that it is durable.
 */
typedef void (*store_done_fn)(void *ctx, enum err e);
/*
 * A kept write records what has already happened. It waits, in order, until the disk takes it, so
 * there is no error to return: when this is called it is durable, or the store is being closed and
 * the write is lost with the process. (One that can never succeed is our bug: it is logged and
 * dropped, and its caller goes on.)
 */
typedef void (*store_kept_fn)(void *ctx);

/* Data written in the same transaction as a write. Each may be missing. */
struct store_beside {
    const struct delivery_record *deliveries; /* new ones */
    size_t deliveries_len;
    struct str measurement;         /* of the job's end; n == 0: none. See store_fold */
    unsigned withdraw;              /* of an attempt's end: deletes a later attempt of this number,
                                       never POSTed; 0: none */
    const struct kept_record *kept; /* of store_end_attempt */
    struct str credentials; /* of a new job or batch, or of store_update_job: its account keys, see
                               core/credentials.h; n == 0: none. Erased with the job's end, or the
                               batch's */
};

/* False from a failed write until one succeeds. */
bool store_is_writable(const struct store *s);
/* Returns how long the writer has been busy with its current work: 0 while idle. An error ends it;
   a disk that hangs does not. */
struct dur_us store_busy_for(struct store *s);
/* Returns the last trouble, for people; "" while writable. Lives until the next event. */
const char *store_trouble(const struct store *s);

/*
 * Does one small step of retention (at most 200 jobs): deletes terminal jobs that ended before
 * `before`, and the oldest terminal ones beyond max_count; keys older than 24 h; deliveries that
 * died 7 days ago; and merges hourly roll-ups older than a week into daily ones. more of the
 * callback: another step would find more.
 */
typedef void (*store_pruned_fn)(void *ctx, unsigned deleted, bool more);
void store_prune(struct store *s, struct wall_us before, int64_t max_count, store_pruned_fn done,
                 void *ctx);

/* ---- of one daemon alone --------------------------------------------------------------------- */

/* The following assumes that no other daemon writes to the store. A store shared by several daemons
   could not offer it as it is. */

/*
 * Opens (and makes) the state directory (0700, every file in it 0600), locks it against a second
 * daemon, migrates the schema, starts the writer. The directory must belong to the daemon's user,
 * or to root and be writable by no other. A damaged database is refused, as far as its header and
 * schema tell, and after an unclean end (a write-ahead log is left) all of its pages, up to 1 GiB.
 * Blocks; call before the loop runs. Returns false with a message for people in why (what is wrong
 * and what to do). Owner: the caller, until store_close.
 */
bool store_open(const char *dir, uv_loop_t *loop, struct store **ret, char *why,
                size_t why_size) MUST_CHECK;
/* Like store_open, where a store was and its database is missing or empty, which store_open
   refuses: makes a new one. */
bool store_open_anew(const char *dir, uv_loop_t *loop, struct store **ret, char *why,
                     size_t why_size) MUST_CHECK;

/*
 * Writes what is queued (as far as the disk allows it), ends the writer and frees everything once
 * the loop has run its close callbacks. Outstanding callbacks are called before it returns.
 */
void store_close(struct store *s);

/* Returns the seq for the next job; counts up. A shared store would assign numbers itself, with the
   insert. */
int64_t store_next_seq(struct store *s);

/* Returns the numbers of jobs by state, as committed. They follow this daemon's own writes; a
   shared store would have to be asked. */
void store_counts(const struct store *s, int64_t ret[JOB_STATE_COUNT]);

#endif
