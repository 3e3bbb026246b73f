/*
 * The profiler: the account of one attempt. Fed with (now, frame) of one prompt, it knows at the
 * end where every millisecond went. Pure: no clock, no I/O.
 *
 * Rules (each from a recording of a real server, tests/traces; the table of node states is in
 * core/nodes.c):
 *   - A slice of a node opens at `executing` or at the first progress_state "running", whichever
 *     comes first, and closes at progress_state "finished". A finished node stays so.
 *   - A second `executing` of an unfinished node ends its slice, retroactively, at the first start
 *     of another node after that slice began, and opens a new one (lazy nodes).
 *   - Named by execution_cached, or `executed`/"finished" without ever executing and with no gap
 *     before it: cached, duration 0.
 *   - Servers without progress_state: the next `executing` closes the previous one.
 *   - After a gap nothing is invented: what was not watched has no times, and a slice that begins
 *     or ends among late frames has bounds and no duration.
 *   - A node that never runs itself but as copies (expanded nodes with its id as their display id;
 *     the body of a loop) has their slices, and ends when they and their parent have ended, or, if
 *     the parent is unknown, when something else began. What a copy expands into is displayed like
 *     it, but is no copy. Its selfDuration is the sum of theirs.
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
#include "comfypool/core/nodes.h"
#include "comfypool/core/timeline.h"
#include "comfypool/core/workflow.h"

struct profiler;

/*
 * max_progress: progress events kept per node; more are only counted. Owner: the caller. The
 * workflow is borrowed and must outlive the profiler.
 */
struct profiler *profiler_new(const struct workflow *w, unsigned max_progress);
void profiler_free(struct profiler *p);

/* Feeds one frame of this attempt's prompt. Cost: O(nodes in the frame). */
void profiler_feed(struct profiler *p, struct mono_us now, const struct frame *f);

/* Opens a gap: something may be missed until profiler_gap_end; reason is a static word. */
void profiler_gap_begin(struct profiler *p, struct mono_us from, const char *reason);
void profiler_gap_end(struct profiler *p, struct mono_us to);
/* Notes that frames before the first one may have been missed. */
void profiler_begins_unwatched(struct profiler *p);
/* Notes that frames read now may have come at any time since `from`. */
void profiler_late(struct profiler *p, struct mono_us from, struct mono_us now, const char *reason);
/* Exempts a frame fed with this time, which is exact. */
void profiler_punctual(struct profiler *p, struct mono_us at);

/*
 * Feeds what /history tells of the prompt: its messages (execution_start, execution_cached, the
 * end), and the nodes that have outputs. Repairs the timeline too. p may be NULL (not profiled).
 */
void profiler_history(struct profiler *p, struct timeline *t, struct mono_us now,
                      const struct frame *messages, size_t messages_len, const struct str *done,
                      size_t done_len);

/* ---- the result ------------------------------------------------------------------------------ */

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

/*
 * Progress as steps: a growing value advances, a falling one begins a new series at 0 (servers skip
 * steps, repeat them, and run several bars in one node). Times are those between two advances of
 * one series, divided by the second advance.
 */
struct profile_steps {
    double count; /* advances of value; 0: no steps */
    bool has_times;
    double per_second;
    struct dur_us median;
    struct dur_us p95;
    bool has_first;
    struct dur_us first; /* from its slice's start to first progress: models move to the GPU */
};

struct profile_node {
    struct str id;
    struct str type;    /* p == NULL: absent */
    struct str title;   /* p == NULL: absent */
    struct str parent;  /* p == NULL: absent */
    struct str display; /* p == NULL: absent, or the id itself */
    const char *error;  /* NULL: none */
    enum profile_status status;
    bool expanded;    /* not in the submitted workflow */
    uint32_t planned; /* index in the workflow, unless expanded */
    bool has_start;
    bool has_end; /* completedAt */
    bool has_duration;
    bool has_bounds; /* no duration, but duration_min and duration_max */
    bool open_ended; /* ended by the attempt's end: its own was not seen */
    bool runs;       /* running now: its last slice has no end */
    bool has_copies; /* its slices are its copies' */
    bool loops;      /* expanded into copies of others, whose time is theirs */
    bool has_self;   /* selfDuration */
    int32_t order;   /* -1: never started */
    struct mono_us start;
    struct mono_us end;
    struct dur_us duration;
    struct dur_us self;
    struct dur_us duration_min;
    struct dur_us duration_max;
    const struct profile_slice *slices; /* clamped to the attempt */
    size_t slices_len;
    size_t seen_len; /* number of slices seen, even if its duration is unknown */
    const struct profile_progress *progress;
    size_t progress_len;
    uint64_t progress_dropped;
    struct profile_steps steps;
    const uint32_t *deps; /* indices into workflow nodes */
    uint32_t deps_len;
    const struct resources *resources; /* NULL: no sample inside it; see core/samples.h */
};

/* How a gap affects what happened in it. */
enum gap_kind {
    GAP_LOST,  /* may not have been seen at all */
    GAP_LATE,  /* was seen later than it happened */
    GAP_CLOCK, /* no effect: the server's clock was set, its stamps are useless */
};

struct profile_gap {
    struct mono_us from;
    struct mono_us to;
    const char *reason;
    enum gap_kind kind;
};

/* A watched stretch of the executing phase in which no node ran. after, before: indices into nodes
   of what ended last and what began next; PROFILE_NO_NODE: none, or unknown. */
#define PROFILE_NO_NODE SIZE_MAX
struct profile_idle {
    struct mono_us from;
    struct mono_us to;
    size_t after;
    size_t before;
};

/* Where the time went. Unproven parts are unknown. Cost: O(nodes + links + slices log slices). */
struct profile_analysis {
    bool known; /* false: all unknown */
    bool path_known;
    bool loading_known;
    bool hits_known;
    const uint32_t *path; /* the heaviest path through the graph, first node first; indices into
                             workflow nodes. Ignores links that close a cycle */
    size_t path_len;
    struct dur_us path_length;
    double path_share;               /* of executionTime, 0 to 1 */
    const struct profile_idle *idle; /* sums up to summary.unaccounted */
    size_t idle_len;
    struct dur_us model_loading; /* nodes whose class is a Loader and that name a model */
    double cache_hit_rate;       /* cached / total, 0 to 1 */
};

enum profile_source { PROFILE_FROM_EVENTS, PROFILE_FROM_HISTORY, PROFILE_FROM_BOTH };

enum { PROFILE_SLOWEST = 5 };

struct profile {
    /* Set from the caller's data. */
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
    bool unaccounted_known;    /* no gap hides any of it */
    struct dur_us unaccounted; /* as far as seen */
    struct profile_analysis analysis;
    const struct resources_of_job *resources; /* NULL: nothing was sampled */
    enum profile_source source;
    const struct profile_gap *gaps;
    size_t gaps_len;
    bool node_ends_inferred; /* the server sent no progress_state */
    bool in_doubt;           /* running, and its first frames may be late: its end may tell */
    bool clock_known;
    int64_t clock_offset_us; /* our wall clock minus the server's */
    bool clock_changed;      /* set meanwhile: its stamps teach nothing */
    bool execution_seen;     /* false: its start is known only by stamps of a clock that was set */
    bool execution_known;    /* both start and end were reported */
};

/*
 * Computes the account; t->ended must be set. With outcome ATTEMPT_OPEN it is the account so far,
 * as of t->ended: running nodes have no end and no duration. Everything in *ret points into the
 * profiler and lives as long. May be called again. Cost: O(nodes log nodes + slices + progress).
 */
void profiler_finish(struct profiler *p, const struct timeline *t, enum attempt_outcome outcome,
                     struct profile *ret);

#endif
