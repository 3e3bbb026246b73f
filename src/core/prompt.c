/* The body of POST /prompt; see the header. Cost: its bytes. */
#include "comfypool/core/prompt.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/base/json_write.h"
#include "comfypool/base/uuid.h"

/* ---- seeds ----------------------------------------------------------------------------------- */

/* Exact in JavaScript and jq. */
#define SEED_MOST ((UINT64_C(1) << 53) - 1)

/* Returns a uniform number from 0 to most. */
static uint64_t random_seed(uint64_t most)
{
    const uint64_t limit = UINT64_MAX - UINT64_MAX % (most + 1);
    uint64_t n = UINT64_MAX;
    while (n >= limit) {
        n = uuid_random();
    }
    return n % (most + 1);
}

/* Returns the input's maximum on that server. */
static uint64_t input_max(const struct catalog *catalog, struct str class_type, const char *input)
{
    const struct catalog_class *c = catalog_find(catalog, class_type);
    const struct catalog_input *in = c == NULL ? NULL : catalog_input(c, str_of(input));
    if (in == NULL || !in->has_max || in->max >= 18446744073709549568.0) {
        return UINT64_MAX;
    }
    return in->max < 0 ? 0 : (uint64_t)in->max;
}

/* Returns the least maximum of a node's seed inputs, beginning with this one. */
static uint64_t most_of(const struct workflow *w, const struct catalog *c, size_t first)
{
    const uint32_t node = w->seeds[first].node;
    uint64_t most = SEED_MOST;
    for (size_t i = first; i < w->seeds_len && w->seeds[i].node == node; i++) {
        const uint64_t its = input_max(c, w->nodes[node].class_type, w->seeds[i].input);
        most = its < most ? its : most;
    }
    return most;
}

void prompt_choose_seeds(const struct workflow *w, struct str text, const struct catalog *c,
                         struct splices *changes, struct buf *chosen)
{
    struct js_out o = js_out_to(chosen);
    uint64_t seed = 0;
    js_open(&o, '{');
    for (size_t i = 0; i < w->seeds_len; i++) {
        const struct workflow_seed *s = &w->seeds[i];
        char value[24];
        if (i == 0 || w->seeds[i - 1].node != s->node) { /* one number a node */
            seed = random_seed(most_of(w, c, i));
            js_key_str(&o, w->nodes[s->node].id);
            js_integer(&o, (int64_t)seed);
        }
        (void)snprintf(value, sizeof value, "%" PRIu64, seed);
        (void)!splices_set_input(changes, w, text, w->nodes[s->node].id, str_of(s->input),
                                 str_of(value));
    }
    js_close(&o, '}');
}

/* ---- names of files -------------------------------------------------------------------------- */

static void spell(const struct workflow *w, struct str text, const struct catalog *catalog,
                  const struct workflow_value *v, struct splices *changes)
{
    const struct workflow_node *node = &w->nodes[v->node];
    const struct catalog_class *c = catalog_find(catalog, node->class_type);
    const char *its = c == NULL ? NULL : catalog_spelling(c, v->input, v->value);
    if (its == NULL || str_is(v->value, its)) {
        return;
    }
    AUTO_BUF struct buf value;
    buf_init(&value, BUF_NO_LIMIT);
    struct js_out o = js_out_to(&value);
    js_string(&o, its);
    (void)!splices_set_input(changes, w, text, node->id, v->input, buf_str(&value));
}

void prompt_spell_as_listed(const struct workflow *w, struct str text, const struct catalog *c,
                            struct splices *changes)
{
    for (size_t i = 0; i < w->models_len; i++) {
        spell(w, text, c, &w->models[i], changes);
    }
    for (size_t i = 0; i < w->paths_len; i++) {
        spell(w, text, c, &w->paths[i], changes);
    }
}

/* ---- only some outputs ----------------------------------------------------------------------- */

/* Marks the nodes that the wanted outputs need. Owner: the caller. */
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

/* Writes the workflow without what its wanted outputs do not need, for older servers. */
static void prune(const struct workflow *w, const struct names *outputs, struct str text,
                  struct buf *rest)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    bool *needed = needed_nodes(w, outputs);
    struct js_out o = js_out_to(rest);
    struct js_reader r;
    js_read_strict(&r, text, JS_MAX_DEPTH);
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

/* Returns create_time if it is valid, else 0. */
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

int64_t prompt_render(const struct prompt *p, struct buf *body)
{
    AUTO_BUF struct buf rest;
    buf_init(&rest, BUF_NO_LIMIT);
    struct str text = p->text;
    if (p->outputs != NULL && !p->takes_targets) {
        prune(p->workflow, p->outputs, text, &rest);
        text = buf_str(&rest);
    }
    struct js_out o = js_out_to(body);
    js_open(&o, '{');
    js_member_raw(&o, "prompt", text);
    js_member_string(&o, "client_id", p->client_id);
    js_member_string(&o, "prompt_id", p->prompt_id);
    if (p->outputs != NULL && p->takes_targets) {
        add_targets(p->outputs, &o);
    }
    if (p->extra_data.n > 0) {
        js_member_raw(&o, "extra_data", p->extra_data);
    }
    js_close(&o, '}');
    return p->extra_data.n > 0 ? created_in(p->extra_data) : 0;
}
