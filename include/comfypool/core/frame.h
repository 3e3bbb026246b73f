/*
 * A decoded WebSocket message of a ComfyUI server: comfy/ makes frames, the profiler and the
 * conductor read them. Everything a frame points to lives until the next one is decoded. Source:
 * the recordings of v0.3.64 and v0.28.0 in tests/traces.
 */
#ifndef COMFYPOOL_CORE_FRAME_H
#define COMFYPOOL_CORE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/str.h"

enum frame_type {
    FRAME_OTHER, /* unreadable, or sent regardless of prompts: no effect */
    FRAME_STATUS,
    FRAME_START,
    FRAME_CACHED,
    FRAME_EXECUTING,
    FRAME_PROGRESS,
    FRAME_STATE,
    FRAME_EXECUTED,
    FRAME_SUCCESS,
    FRAME_ERROR,
    FRAME_INTERRUPTED,
    FRAME_MONITOR, /* crystools.monitor: memory and GPUs of the server's host */
    FRAME_SIGN,    /* of a node's own type, such as progress_text: it runs */
};

enum node_state { NODE_STATE_OTHER, NODE_STATE_RUNNING, NODE_STATE_FINISHED };

/* One entry of progress_state. */
struct frame_node {
    struct str id;
    struct str parent;  /* p == NULL: none */
    struct str display; /* p == NULL: none */
    enum node_state state;
    double value;
    double max;
};

/* One GPU of a monitor frame. NaN: unknown. */
struct frame_gpu {
    double utilization; /* per cent */
    double temperature; /* degrees Celsius */
    double vram_used;   /* bytes */
};

struct frame {
    enum frame_type type;
    struct str prompt_id;    /* p == NULL: none */
    int64_t stamp_ms;        /* the server's timestamp, ms since the epoch; 0: none */
    struct str name;         /* SIGN: its type */
    struct str node;         /* p == NULL: null or none */
    struct str display_node; /* p == NULL: none */
    double value;            /* PROGRESS */
    double max;
    const struct str *ids; /* CACHED: the nodes; ERROR, INTERRUPTED: those executed */
    size_t ids_len;
    const struct frame_node *nodes; /* STATE: at least those changed since the prompt's last */
    size_t nodes_len;
    struct str output;       /* EXECUTED: the ui output, raw JSON (lenient); n == 0: null or none */
    struct str message;      /* ERROR */
    struct str error_type;   /* ERROR: exception_type */
    struct str node_type;    /* ERROR, INTERRUPTED */
    struct str traceback;    /* ERROR: raw JSON (lenient) */
    int64_t queue_remaining; /* STATUS; -1: not said */
    struct str sid;          /* STATUS: the first of a connection */
    double ram_used;         /* MONITOR: bytes of the host; 0 or NaN: unknown */
    const struct frame_gpu *gpus; /* MONITOR: all of the host's, in the driver's order */
    size_t gpus_len;
};

/* A preview image: a binary message. Lives as long as the message. */
struct frame_preview {
    struct str prompt_id; /* p == NULL: the server said none */
    struct str node_id;   /* p == NULL: the server said none */
    const char *media_type;
    struct str image;
};

/* True if it ends the prompt: ExecutionBlocked, an error that only blocks a branch, does not. */
static inline bool frame_is_terminal(const struct frame *f)
{
    return f->type == FRAME_SUCCESS || f->type == FRAME_INTERRUPTED ||
           (f->type == FRAME_ERROR && !str_is(f->error_type, "ExecutionBlocked"));
}

/* True if only a running prompt causes it: as first frame, it means execution_start was lost. A
   progress may come from a stray thread of the prompt before. */
static inline bool frame_proves_start(const struct frame *f)
{
    return f->type == FRAME_EXECUTING || f->type == FRAME_STATE || f->type == FRAME_EXECUTED ||
           f->type == FRAME_CACHED || frame_is_terminal(f);
}

#endif
