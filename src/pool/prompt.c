/*
 * What an attempt POSTs: the workflow as it was submitted, with the changes of this attempt spliced
 * into it (seeds), its client and prompt ids, and what the client wants to be passed on.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "inner.h"

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

/* The least of what the inputs of this node may be. */
static uint64_t most_of(const struct attempt *a, uint32_t node)
{
    uint64_t most = SEED_MOST;
    for (size_t i = 0; i < a->workflow->seeds_len; i++) {
        const struct workflow_seed *s = &a->workflow->seeds[i];
        if (s->node == node) {
            const struct str class_type = a->workflow->nodes[node].class_type;
            const uint64_t its = eligible_input_max(a->backend, class_type, s->input);
            most = its < most ? its : most;
        }
    }
    return most;
}

static void choose_seeds(struct attempt *a)
{
    struct job *j = a->job;
    const struct workflow *w = a->workflow;
    const struct str text = {j->workflow, j->workflow_len};
    AUTO_BUF struct buf chosen;
    buf_init(&chosen, BUF_NO_LIMIT);
    struct js_out o = js_out_to(&chosen);
    uint64_t seed = 0;
    js_open(&o, '{');
    for (size_t i = 0; i < w->seeds_len; i++) {
        const struct workflow_seed *s = &w->seeds[i];
        char value[24];
        if (i == 0 || w->seeds[i - 1].node != s->node) { /* one number a node */
            seed = random_seed(most_of(a, s->node));
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

void prompt_prepare(struct attempt *a)
{
    struct job *j = a->job;
    free(j->r.auto_seeds);
    j->r.auto_seeds = NULL;
    if (a->workflow->seeds_len > 0 && (j->spec == NULL || !j->spec->keep_seeds)) {
        choose_seeds(a);
    }
}

static void add_targets(const struct job *j, struct js_out *o)
{
    const struct names *n = j->spec == NULL ? NULL : &j->spec->include_outputs;
    if (n == NULL || n->len == 0) {
        return;
    }
    js_key(o, "partial_execution_targets");
    js_open(o, '[');
    for (size_t i = 0; i < n->len; i++) {
        js_string(o, n->list[i]);
    }
    js_close(o, ']');
}

/* extra_data as the client gave it, verbatim. */
void prompt_render(struct attempt *a, struct buf *body)
{
    const struct job *j = a->job;
    AUTO_BUF struct buf text;
    buf_init(&text, BUF_NO_LIMIT);
    splices_apply(&a->splices, (struct str){j->workflow, j->workflow_len}, &text);
    struct js_out o = js_out_to(body);
    js_open(&o, '{');
    js_member_raw(&o, "prompt", buf_str(&text));
    js_member_string(&o, "client_id", a->r.client_id);
    js_member_string(&o, "prompt_id", a->r.prompt_id);
    add_targets(j, &o);
    if (j->extra_data != NULL) {
        js_member_raw(&o, "extra_data", str_of(j->extra_data));
    }
    js_close(&o, '}');
}
