/*
 * Reads what a backend has: when its link comes up, on request, and class by class when a
 * submission lacks one; see the header. Nothing is read while a prompt of ours runs there: the
 * answer may have megabytes.
 */
#include "knowledge.h"

#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/comfy/backend.h"

#include "backends.h"
#include "state.h"
#include "unlisted.h"

enum {
    READ_PATIENCE_MS = 5000,
    IDLE_PATIENCE_MS = 10000, /* until no prompt of ours is there, where several run at a time */
};

static bool forgives(const void *ctx, struct str class_type, struct str input)
{
    return unlisted_may_be_good(ctx, class_type, input);
}

struct need_catalog knowledge_of(const struct backend *b)
{
    return (struct need_catalog){.server = b->id,
                                 .generation = b->knows.generation,
                                 .catalog = &b->knows.catalog,
                                 .forgives = forgives,
                                 .ctx = b};
}

/* ---- changes --------------------------------------------------------------------------------- */

void knowledge_changed(struct pool *p)
{
    p->eligibility.generation++;
    p->ops->review_jobs(p);
}

void knowledge_learnt(struct backend *b)
{
    b->knows.generation = ++b->pool->eligibility.generation;
    knowledge_changed(b->pool);
}

void knowledge_has_changed(struct backend *b)
{
    unlisted_review(b);
    breaker_forget_refusals(&b->pool->breaker, b->id);
    knowledge_learnt(b);
}

/* ---- reading --------------------------------------------------------------------------------- */

bool knowledge_is_reading(const struct backend *b)
{
    return heap_holds(&b->knows.patience.node);
}

static void read_is_over(struct backend *b)
{
    struct knowledge *k = &b->knows;
    if (k->classes == NULL && k->replacements == NULL && k->features == NULL) {
        deadline_clear(&b->pool->deadlines, &k->patience);
        b->pool->ops->settle_backend(b);
        if (b->pool->breaker.by_hash.len > 0) { /* it may be the last hope of some jobs */
            b->pool->ops->review_jobs(b->pool);
        }
    }
}

static void classes_came(void *ctx, bool found, struct catalog_draft *draft)
{
    struct backend *b = ctx;
    struct knowledge *k = &b->knows;
    k->classes = NULL;
    const bool was_known = k->known;
    k->known = found && draft->len > 0;
    k->told = found ? time_mono() : k->told;
    const bool changed =
        k->known && catalog_replace(&k->catalog, &b->pool->eligibility.classes, draft);
    if (changed || was_known != k->known) {
        knowledge_has_changed(b);
    }
    read_is_over(b);
}

static void replacements_came(void *ctx, struct str body)
{
    struct backend *b = ctx;
    b->knows.replacements = NULL;
    if (catalog_read_replacements(&b->knows.catalog, body)) {
        knowledge_has_changed(b);
    }
    read_is_over(b);
}

/* "max_upload_size", in bytes. */
static void features_came(void *ctx, struct str body)
{
    struct backend *b = ctx;
    int64_t most = 0;
    b->knows.features = NULL;
    struct js_reader r;
    js_read_lenient(&r, body, JS_MAX_DEPTH);
    (void)js_next(&r);
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        const struct js_token v = js_next(&r);
        if (!js_is(key, "max_upload_size") || !js_int(v, &most)) {
            (void)js_rest(&r, v);
        }
    }
    const uint64_t size = most > 0 ? (uint64_t)most : 0;
    if (size != b->knows.upload_most) {
        b->knows.upload_most = size;
        knowledge_changed(b->pool);
    }
    read_is_over(b);
}

static void patience_is_over(void *ctx)
{
    struct backend *b = ctx;
    b->pool->ops->settle_backend(b); /* it gets jobs before the read is done */
}

static void be_patient(struct backend *b, int64_t ms)
{
    deadline_set(&b->pool->deadlines, &b->knows.patience, mono_add(time_mono(), dur_ms(ms)),
                 patience_is_over, b);
}

void knowledge_settle(struct backend *b)
{
    struct knowledge *k = &b->knows;
    if (!k->due || !b->conn.up || b->load.attempts != NULL || k->classes != NULL ||
        k->replacements != NULL) {
        return;
    }
    k->due = false;
    k->classes = comfy_ask_classes(b->comfy, STR(""), classes_came, b);
    k->replacements = comfy_ask_text(b->comfy, "/node_replacements", replacements_came, b);
    k->features = comfy_ask_text(b->comfy, "/features", features_came, b);
    be_patient(b, READ_PATIENCE_MS);
}

void knowledge_read(struct backend *b)
{
    b->knows.due = true;
    knowledge_settle(b);
    /* Nothing is read while a prompt runs. With several slots there is always one, unless no other
       begins for a while. */
    if (b->knows.due && b->conn.up && b->slot.max_in_flight > 1) {
        be_patient(b, IDLE_PATIENCE_MS);
    }
}

static void stop_reading(struct backend *b)
{
    struct knowledge *k = &b->knows;
    if (k->classes != NULL) {
        comfy_ask_cancel(k->classes);
    }
    if (k->replacements != NULL) {
        comfy_ask_cancel(k->replacements);
    }
    if (k->features != NULL) {
        comfy_ask_cancel(k->features);
    }
    k->classes = k->replacements = k->features = NULL;
    k->due = false;
    deadline_clear(&b->pool->deadlines, &k->patience);
}

void knowledge_down(struct backend *b)
{
    stop_reading(b);
}

void knowledge_done(struct backend *b)
{
    stop_reading(b);
    catalog_done(&b->knows.catalog, &b->pool->eligibility.classes);
}
