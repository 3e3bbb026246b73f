/*
 * HTTP answers of a ComfyUI server, read leniently. Pure. Everything that an answer points to lives
 * until answers_done (and as long as the text that was read). Source: tests/traces and the protocol
 * notes in docs/ARCHITECTURE.md.
 */
#ifndef COMFYPOOL_COMFY_ANSWERS_H
#define COMFYPOOL_COMFY_ANSWERS_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/str.h"
#include "comfypool/core/frame.h"
#include "comfypool/core/verdict.h"

/* ---- POST /prompt: 200 and 400 --------------------------------------------------------------- */

struct prompt_answer {
    struct str prompt_id;   /* p == NULL: none */
    struct str error_type;  /* error.type */
    struct buf message;     /* for people: error.message, details, the first node's error */
    struct buf node_errors; /* valid JSON; empty: none */
    struct buf node_id;     /* the first node with errors; empty: none */
    struct buf node_type;
    struct verdict_error *errors; /* of all nodes */
    size_t errors_len, errors_cap;
    unsigned phrases; /* phrases searched in the message */
    struct buf scratch;
};

/* Reads an answer. False when the text is no JSON object (everything is then empty). */
bool prompt_answer_read(struct str text, struct prompt_answer *ret);
void prompt_answer_done(struct prompt_answer *a);

/*
 * True for a gateway's answer in a server's place: HTML, by its type or its beginning. A real
 * server answers a prompt in JSON, and unexpected errors in plain text. An empty answer may come
 * from either. Only for answers that could not be read: proxies lie about types, too.
 */
bool answer_is_page(const char *content_type, struct str body);

/* ---- GET /queue ------------------------------------------------------------------------------ */

enum queue_place { QUEUE_BROKEN, QUEUE_ABSENT, QUEUE_PENDING, QUEUE_RUNNING };

/* Number of other prompts. */
struct queue_others {
    size_t running;
    size_t pending;
};

enum queue_place queue_answer_find(struct str text, struct str prompt_id,
                                   struct queue_others *ret_others);

/* ---- GET /history/{id} ----------------------------------------------------------------------- */

struct history_output {
    struct str node_id;
    struct str ui; /* raw JSON object (lenient) */
};

struct history_answer {
    bool found;
    bool success;       /* status.status_str is "success" */
    int64_t created_ms; /* extra_data.create_time, by the server's clock; 0: none */
    /* execution_start, execution_cached, the end; stamped */
    struct frame *messages;
    size_t messages_len;
    struct history_output *outputs;
    size_t outputs_len;
    void *inner;
};

/* Reads an answer. False when the text is broken. `found` is false for {}: not ended, unknown,
   deleted or evicted. */
bool history_answer_read(struct str text, struct str prompt_id, struct history_answer *ret);
void history_answer_done(struct history_answer *h);

/* ---- GET /system_stats ----------------------------------------------------------------------- */

struct stats_device {
    bool is_cpu;
    int64_t index;    /* -1: not given */
    double vram_used; /* bytes: total minus free; NaN: unknown */
};

enum { STATS_DEVICES = 16, STATS_DEVICES_BYTES = 64 * 1024 };

struct stats_answer {
    struct buf version; /* "" if not given */
    struct buf devices; /* valid JSON array of the first devices, each complete, up to
                           STATS_DEVICES_BYTES */
    int64_t vram;       /* bytes of all devices; 0: not given */
    struct stats_device list[STATS_DEVICES];
    size_t list_len;
    double ram_used;     /* bytes of the host; NaN: unknown */
    int64_t cuda_device; /* --cuda-device of its arguments; -1: none, or several */
};
bool stats_answer_read(struct str text, struct stats_answer *ret);
void stats_answer_done(struct stats_answer *s);

/* Reads the answer of POST /api/jobs/{id}/cancel; true for {"cancelled": true}. */
bool cancel_answer_read(struct str text);

#endif
