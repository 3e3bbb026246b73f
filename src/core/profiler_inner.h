/* Shared by profiler.c (learning) and profile.c (the account at the end) alone. */
#ifndef COMFYPOOL_SRC_CORE_PROFILER_INNER_H
#define COMFYPOOL_SRC_CORE_PROFILER_INNER_H

#include "comfypool/core/nodes.h"
#include "comfypool/core/profiler.h"

struct timed_node {
    struct node node;
    char *error;
    bool started; /* a start was seen, or it was cached */
    bool start_known;
    bool executing_seen; /* `executing` came in the open slice */
    bool end_missed;     /* its end lay in a gap */
    bool end_inferred;   /* closed by the next `executing` */
    bool listed_cached;
    bool cached_by_history;
    bool failed;
    uint32_t seq; /* order of first starts */
    struct mono_us start;
    struct mono_us end;
    struct mono_us open_since;
    size_t open_index; /* of the open slice in profiler.starts */
    struct profile_slice *slices;
    size_t slices_len, slices_cap;
    struct profile_progress *progress;
    size_t progress_len, progress_cap;
    uint64_t progress_dropped;
    double progress_last; /* value of the last progress event, kept or not */
    double steps;         /* advances of value */
    /* Used by the account. */
    size_t index; /* in profiler.nodes, then in the result */
    struct timed_node *copies,
        *next_copy; /* nodes displayed as this one, which never runs itself */
    bool loops;     /* expanded into such copies of others */
};

struct start {
    struct timed_node *node;
    struct mono_us at;
};

struct profiler {
    const struct workflow *workflow;
    unsigned max_progress;
    struct nodes known;        /* running ones have an open slice */
    struct timed_node **nodes; /* the workflow's in order, then expanded ones as they came */
    size_t len, cap;
    struct start *starts;
    size_t starts_len, starts_cap;
    struct profile_gap *gaps;
    size_t gaps_len, gaps_cap;
    struct mono_us *punctual; /* times of frames in late gaps that are exact */
    size_t punctual_len, punctual_cap;
    bool gap_open;
    bool lost;      /* a gap may hide something */
    bool unwatched; /* no progress_state since the last gap began */
    bool saw_events;
    bool saw_state;
    bool inferred;
    bool used_history;
    bool has_first_start;
    struct mono_us first_start;
    uint32_t seq;
    bool loose_copies; /* some have an unknown parent, so whose time they took is unknown */
    const struct timed_node *ends_last; /* node whose end was read last; see profile_gaps.c */
    /* The result, kept until the next profiler_finish. */
    struct profile_node *result;
    struct profile_slice *result_slices;
    struct profile_progress *result_progress;
    struct profile_gap *result_gaps; /* as recorded, then as merged */
    struct profile_idle *result_idle;
    uint32_t *result_path;
};

void profiler_free_result(struct profiler *p);

/* Finds a node; NULL: none. */
static inline struct timed_node *profiler_find(const struct profiler *p, struct str id)
{
    return (struct timed_node *)nodes_find(&p->known, id);
}

/* True if it has an open slice. */
static inline bool profiler_is_open(const struct timed_node *n)
{
    return n->node.status == PROFILE_EXECUTING;
}

/* profile_gaps.c: collects all gaps of the attempt, including those that its marks show, by when
   frames were read; in order of their beginnings, none behind its end. Owner: the caller. */
struct profile_gap *profiler_gaps(struct profiler *p, const struct timeline *t, size_t *ret_len);
/* Finds the gap of `kind` in which a frame was read then; NULL: none. Gaps of one kind do not
   overlap. O(log gaps), and the gaps of other kinds between. */
const struct profile_gap *profiler_gap_at(const struct profile_gap *gaps, size_t len,
                                          struct mono_us read, enum gap_kind kind);
/* True if its end was the last one read, or belongs to that: the attempt's end is its own. Valid
   after profiler_gaps. */
bool profiler_ends_last(const struct profiler *p, const struct timed_node *n);

/* analysis.c: fills profile->analysis, the nodes' step times and profile->unaccounted, once all
   else is there. all_slices: at least the number of all nodes' slices. */
void profiler_analyse(struct profiler *p, const struct timeline *t, struct profile *profile,
                      size_t all_slices);

#endif
