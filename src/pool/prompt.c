/*
 * What an attempt POSTs: the workflow as it was submitted, with the changes of this attempt spliced
 * into it (seeds, files), its client and prompt ids, and what the client wants to be passed on.
 */
#include "prompt.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/core/credentials.h"

#include "attempt.h"
#include "backends.h"
#include "batches.h"
#include "eligible.h"
#include "jobs.h"
#include "knowledge.h"

/* JavaScript and jq can read them back. */
#define SEED_MOST ((UINT64_C(1) << 53) - 1)

/* Uniform from 0 to most. */
static uint64_t random_seed(uint64_t most)
{
    const uint64_t limit = UINT64_MAX - UINT64_MAX % (most + 1);
    uint64_t n = UINT64_MAX;
    while (n >= limit) {
        n = uuid_random();
    }
    return n % (most + 1);
}

/* The least of what the inputs of a node may be, the first of which is this one. */
static uint64_t most_of(const struct attempt *a, size_t first)
{
    const struct workflow *w = a->workflow;
    const uint32_t node = w->seeds[first].node;
    uint64_t most = SEED_MOST;
    for (size_t i = first; i < w->seeds_len && w->seeds[i].node == node; i++) {
        const uint64_t its =
            knowledge_input_max(a->backend, w->nodes[node].class_type, w->seeds[i].input);
        most = its < most ? its : most;
    }
    return most;
}

static void choose_seeds(struct attempt *a)
{
    struct job *j = a->job;
    const struct workflow *w = a->workflow;
    const struct str text = {j->texts.workflow, j->texts.workflow_len};
    AUTO_BUF struct buf chosen;
    buf_init(&chosen, BUF_NO_LIMIT);
    struct js_out o = js_out_to(&chosen);
    uint64_t seed = 0;
    js_open(&o, '{');
    for (size_t i = 0; i < w->seeds_len; i++) {
        const struct workflow_seed *s = &w->seeds[i];
        char value[24];
        if (i == 0 || w->seeds[i - 1].node != s->node) { /* one number a node */
            seed = random_seed(most_of(a, i));
            js_key_str(&o, w->nodes[s->node].id);
            js_integer(&o, (int64_t)seed);
        }
        (void)snprintf(value, sizeof value, "%" PRIu64, seed);
        (void)!splices_set_input(&a->splices, w, text, w->nodes[s->node].id, str_of(s->input),
                                 str_of(value));
    }
    js_close(&o, '}');
    j->r.auto_seeds = buf_take(&chosen);
}

/* Files in folders are named with \ by a Windows server and with / by others: a value that is one
   of the backend's list but for that becomes the backend's. */
static void spell_as_listed(struct attempt *a, const struct workflow_value *list, size_t len)
{
    const struct workflow *w = a->workflow;
    const struct str text = {a->job->texts.workflow, a->job->texts.workflow_len};
    for (size_t i = 0; i < len; i++) {
        const struct workflow_value *v = &list[i];
        const struct workflow_node *node = &w->nodes[v->node];
        const struct catalog_class *c = catalog_find(&a->backend->knows.catalog, node->class_type);
        const char *its = c == NULL ? NULL : catalog_spelling(c, v->input, v->value);
        if (its != NULL && !str_is(v->value, its)) {
            AUTO_BUF struct buf value;
            buf_init(&value, BUF_NO_LIMIT);
            struct js_out o = js_out_to(&value);
            js_string(&o, its);
            (void)!splices_set_input(&a->splices, w, text, node->id, v->input, buf_str(&value));
        }
    }
}

void prompt_prepare(struct attempt *a)
{
    struct job *j = a->job;
    spell_as_listed(a, a->workflow->models, a->workflow->models_len);
    spell_as_listed(a, a->workflow->paths, a->workflow->paths_len);
    free(j->r.auto_seeds);
    j->r.auto_seeds = NULL;
    if (a->workflow->seeds_len > 0 && (j->spec == NULL || !j->spec->keep_seeds)) {
        choose_seeds(a);
    }
}

/* ---- only some outputs ----------------------------------------------------------------------- */

static const struct names *wanted_outputs(const struct job *j)
{
    return j->spec == NULL || j->spec->include_outputs.len == 0 ? NULL : &j->spec->include_outputs;
}

/* Servers run only what partial_execution_targets names since 0.3.48. */
static bool takes_targets(const struct backend *b)
{
    static const unsigned long since[] = {0, 3, 48};
    const char *p = b->said.version == NULL ? "" : b->said.version;
    for (size_t i = 0; i < sizeof since / sizeof *since; i++) {
        char *end = NULL;
        const unsigned long n = strtoul(p, &end, 10);
        if (end == p || n != since[i]) {
            return end != p && n > since[i];
        }
        p = *end == '.' ? end + 1 : end;
    }
    return true;
}

/* Which nodes the wanted outputs need. Owner: the caller. */
static bool *needed_nodes(const struct workflow *w, const struct names *outputs)
{
    bool *needed = mem_zero(w->len + 1, sizeof *needed);
    for (size_t i = 0; i < outputs->len; i++) {
        const struct workflow_node *node = workflow_find(w, str_of(outputs->list[i]));
        if (node != NULL) {
            needed[node - w->nodes] = true;
        }
    }
    workflow_mark_needed(w, needed);
    return needed;
}

/* For older servers: the workflow without whatever its wanted outputs do not need. */
static void prune(const struct workflow *w, const struct names *outputs, struct buf *text)
{
    AUTO_BUF struct buf rest;
    AUTO_BUF struct buf scratch;
    buf_init(&rest, BUF_NO_LIMIT);
    buf_init(&scratch, BUF_NO_LIMIT);
    bool *needed = needed_nodes(w, outputs);
    struct js_out o = js_out_to(&rest);
    struct js_reader r;
    js_read_strict(&r, buf_str(text), JS_MAX_DEPTH);
    (void)js_next(&r);
    js_open(&o, '{');
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        buf_clear(&scratch);
        const struct str id = js_text(key, &scratch);
        const struct workflow_node *node = workflow_find(w, id);
        const struct str value = js_skip(&r);
        if (node != NULL && needed[node - w->nodes]) {
            js_key_str(&o, id);
            js_raw(&o, value);
        }
    }
    js_close(&o, '}');
    free(needed);
    buf_clear(text);
    buf_add_str(text, buf_str(&rest));
}

static void add_targets(const struct names *n, struct js_out *o)
{
    js_key(o, "partial_execution_targets");
    js_open(o, '[');
    for (size_t i = 0; i < n->len; i++) {
        js_string(o, n->list[i]);
    }
    js_close(o, ']');
}

/* Its create_time, if it is one. */
static int64_t created_in(struct str extra_data)
{
    int64_t found = 0;
    struct js_reader r;
    js_read_strict(&r, extra_data, JS_MAX_DEPTH);
    (void)js_next(&r);
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        int64_t ms = 0;
        const bool is_it = js_is(key, "create_time");
        const struct js_token v = js_next(&r);
        found = is_it && js_int(v, &ms) ? ms : found;
        (void)js_rest(&r, v);
    }
    return found;
}

/* As the client gave it, verbatim, its account keys in their places. */
static void add_extra_data(const struct job *j, struct buf *out)
{
    const char *keys = j->texts.credentials != NULL ? j->texts.credentials
                       : j->batch != NULL           ? j->batch->credentials
                                                    : NULL;
    credentials_join(str_of(j->texts.extra_data), str_of(keys), out);
}

int64_t prompt_render(struct attempt *a, struct buf *body)
{
    int64_t created_ms = 0;
    const struct job *j = a->job;
    AUTO_BUF struct buf text;
    buf_init(&text, BUF_NO_LIMIT);
    splices_apply(&a->splices, (struct str){j->texts.workflow, j->texts.workflow_len}, &text);
    const struct names *outputs = wanted_outputs(j);
    const bool targets = outputs != NULL && takes_targets(a->backend);
    if (outputs != NULL && !targets) {
        prune(a->workflow, outputs, &text);
    }
    struct js_out o = js_out_to(body);
    js_open(&o, '{');
    js_member_raw(&o, "prompt", buf_str(&text));
    js_member_string(&o, "client_id", a->r.client_id);
    js_member_string(&o, "prompt_id", a->r.prompt_id);
    if (targets) {
        add_targets(outputs, &o);
    }
    AUTO_BUF struct buf extra;
    buf_init(&extra, BUF_NO_LIMIT);
    add_extra_data(j, &extra);
    if (extra.len > 0) {
        js_member_raw(&o, "extra_data", buf_str(&extra));
        created_ms = created_in(buf_str(&extra));
    }
    js_close(&o, '}');
    return created_ms;
}
