/*
 * The profiler: the account of one attempt. Fed with (now, frame) of one prompt, it knows at the
 * end where every millisecond went. Pure: no clock, no I/O.
 *
 * Rules (each from a recording of a real server, tests/traces):
 *   - A slice of a node opens at `executing` or at the first progress_state "running", whichever
 *     comes first, and closes at progress_state "finished". A node that finished stays so.
 *   - A second `executing` of a node that is not finished ends its slice, looking back, at the
 * first start of another node after that slice began, and opens a new one (lazy nodes).
 *   - Named by execution_cached, or `executed`/"finished" without ever executing and with no gap
 *     before it: cached, duration 0.
 *   - Servers that send no progress_state: the next `executing` closes the previous one.
 *   - After a gap nothing is invented: what was not watched has no times.
 */
#ifndef COMFYPOOL_CORE_PROFILER_H
#define COMFYPOOL_CORE_PROFILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/str.h"
#include "comfypool/base/time.h"
#include "comfypool/core/frame.h"
#include "comfypool/core/job.h"
#include "comfypool/core/timeline.h"
#include "comfypool/core/workflow.h"

struct profiler;

/*
 * max_progress: progress events kept per node; the rest is counted.
 * Owner: the caller. The workflow is borrowed and must outlive the profiler.
 */
struct profiler *profiler_new(const struct workflow *w, unsigned max_progress);
void profiler_free(struct profiler *p);

/* One frame of this attempt's prompt. Cost: O(nodes in the frame). */
void profiler_feed(struct profiler *p, struct mono_us now, const struct frame *f);

/* From here on something may be missed, until profiler_gap_end; reason is a static word. */
void profiler_gap_begin(struct profiler *p, struct mono_us from, const char *reason);
void profiler_gap_end(struct profiler *p, struct mono_us to);

/*
 * What /history told of the prompt: its messages (execution_start, execution_cached, the end), and
 * the nodes that have outputs. Mends the timeline too. p may be NULL (not profiled).
 */
void profiler_history(struct profiler *p, struct timeline *t, struct mono_us now,
                      const struct frame *messages, size_t messages_len, const struct str *done,
                      size_t done_len);

/* ---- the result ------------------------------------------------------------------------------ */

enum profile_status {
    PROFILE_PENDING,
    PROFILE_EXECUTING,
    PROFILE_COMPLETED,
    PROFILE_CACHED,
    PROFILE_FAILED,
};
const char *profile_status_name(enum profile_status s);

struct profile_slice {
    struct mono_us from;
    struct mono_us to;
};

struct profile_progress {
    struct mono_us at;
    double value;
    double max;
};

struct profile_node {
    struct str id;
    struct str type;    /* p == NULL: absent */
    struct str title;   /* p == NULL: absent */
    struct str parent;  /* p == NULL: absent */
    struct str display; /* p == NULL: absent, or the id itself */
    const char *error;  /* NULL: none */
    enum profile_status status;
    bool expanded; /* no node of the submitted workflow */
    bool has_start;
    bool has_end; /* completedAt */
    bool has_duration;
    int32_t order; /* -1: never started */
    struct mono_us start;
    struct mono_us end;
    struct dur_us duration;
    struct dur_us self;
    const struct profile_slice *slices; /* clamped to the attempt */
    size_t slices_len;
    const struct profile_progress *progress;
    size_t progress_len;
    uint64_t progress_dropped;
    const uint32_t *deps; /* indices into workflow nodes */
    uint32_t deps_len;
};

struct profile_gap {
    struct mono_us from;
    struct mono_us to;
    const char *reason;
};

enum profile_source { PROFILE_FROM_EVENTS, PROFILE_FROM_HISTORY, PROFILE_FROM_BOTH };

enum { PROFILE_SLOWEST = 5 };

struct profile {
    /* Told by the caller. */
    const char *job_id;
    const char *prompt_id; /* "": none */
    const char *backend;   /* NULL: none */
    unsigned attempt;
    enum attempt_outcome outcome;
    /* Computed. */
    struct time_anchor anchor;
    struct timeline_points at;
    struct dur_us waiting, dispatch, backend_queue, planning, executing;
    const struct workflow *workflow;
    struct profile_node *nodes; /* in chronological order, never-started ones last */
    size_t nodes_len;
    size_t total, executed, cached, failed, pending, expanded;
    size_t slowest[PROFILE_SLOWEST]; /* indices into nodes, slowest first */
    size_t slowest_len;
    struct dur_us unaccounted;
    enum profile_source source;
    const struct profile_gap *gaps;
    size_t gaps_len;
    bool node_ends_inferred; /* the server sent no progress_state */
    bool clock_known;
    int64_t clock_offset_us; /* our wall clock minus the server's */
};

/*
 * The attempt is over: t->ended must be set. Everything in *ret points into the profiler and lives
 * as long as it. May be called again. Cost: O(nodes log nodes + slices + progress).
 */
void profiler_finish(struct profiler *p, const struct timeline *t, enum attempt_outcome outcome,
                     struct profile *ret);

#endif
