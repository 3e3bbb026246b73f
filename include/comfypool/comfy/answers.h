/*
 * What a ComfyUI server answers over HTTP, read leniently. Pure. Everything that an answer points
 * to lives until answers_done (and as long as the text that was read). Source: tests/traces and the
 * protocol notes in docs/ARCHITECTURE.md.
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
    struct str prompt_id;   /* p == NULL: none was said */
    struct str error_type;  /* error.type */
    struct buf message;     /* for people: error.message, details, the first node's error */
    struct buf node_errors; /* valid JSON; empty when there were none */
    struct buf node_id;     /* of the first node that has errors; empty: none */
    struct buf node_type;
    struct verdict_error *errors; /* of all nodes */
    size_t errors_len, errors_cap;
    unsigned phrases; /* that were looked for in the message */
    struct buf scratch;
};

/* False when the text is no JSON object (everything is then empty). */
bool prompt_answer_read(struct str text, struct prompt_answer *ret);
void prompt_answer_done(struct prompt_answer *a);

/*
 * True for what a gateway says in a server's place: HTML, by its type or by how it begins. A real
 * server answers a prompt in JSON, and what it did not expect in plain text. Nothing at all may be
 * anybody's.
 * Ask it of what could not be read only: proxies lie about types, too.
 */
bool answer_is_page(const char *content_type, struct str body);

/* ---- GET /queue ------------------------------------------------------------------------------ */

enum queue_place { QUEUE_BROKEN, QUEUE_ABSENT, QUEUE_PENDING, QUEUE_RUNNING };

/* How many other prompts there are. */
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
    int64_t created_ms; /* extra_data.create_time, by the server's clock; 0: it has none */
    /* execution_start, execution_cached, the end; with their stamps. */
    struct frame *messages;
    size_t messages_len;
    struct history_output *outputs;
    size_t outputs_len;
    void *inner;
};

/* False when the text is broken. `found` is false for {}: not ended, unknown, deleted or evicted.
 */
bool history_answer_read(struct str text, struct str prompt_id, struct history_answer *ret);
void history_answer_done(struct history_answer *h);

/* ---- GET /system_stats ----------------------------------------------------------------------- */

struct stats_device {
    bool is_cpu;
    int64_t index;    /* -1: not said */
    double vram_used; /* bytes: total minus free; NaN: unknown */
};

enum { STATS_DEVICES = 16, STATS_DEVICES_BYTES = 64 * 1024 };

struct stats_answer {
    struct buf version; /* "" when it was not said */
    struct buf devices; /* valid JSON array of the first ones, whole, up to STATS_DEVICES_BYTES */
    int64_t vram;       /* bytes of all of them together; 0: not said */
    struct stats_device list[STATS_DEVICES];
    size_t list_len;
    double ram_used;     /* bytes of the host; NaN: unknown */
    int64_t cuda_device; /* --cuda-device among its arguments; -1: none, or several */
};
bool stats_answer_read(struct str text, struct stats_answer *ret);
void stats_answer_done(struct stats_answer *s);

/* POST /api/jobs/{id}/cancel: {"cancelled": true}. */
bool cancel_answer_read(struct str text);

#endif
