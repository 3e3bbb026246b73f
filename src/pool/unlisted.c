/* Inputs whose lists do not count; see the header. */
#include "unlisted.h"

#include <stdlib.h>

#include "comfypool/base/log.h"
#include "comfypool/store/settings.h"

#include "attempt.h"
#include "backends.h"
#include "eligible.h"
#include "knowledge.h"
#include "state.h"

/* True if an entry "CLASS.INPUT" or "CLASS.*" names the input; a class name may contain dots. */
static bool names_input(const char *entry, struct str class_type, struct str input)
{
    const char *dot = strrchr(entry, '.');
    return str_eq((struct str){entry, (size_t)(dot - entry)}, class_type) &&
           (strcmp(dot, ".*") == 0 || str_is(input, dot + 1));
}

static bool is_trusted(const struct pool *p, struct str class_type, struct str input)
{
    size_t i = 0;
    while (i < p->options.trusted_inputs_len &&
           !names_input(p->options.trusted_inputs[i], class_type, input)) {
        i++;
    }
    return i < p->options.trusted_inputs_len;
}

bool unlisted_may_be_good(const struct backend *b, struct str class_type, struct str input)
{
    return is_trusted(b->pool, class_type, input) || accepted_has(&b->accepted, class_type, input);
}

static void setting_name(const struct backend *b, struct buf *name)
{
    buf_printf(name, "unlisted.%s", b->name);
}

static void save(const struct backend *b)
{
    AUTO_BUF struct buf name;
    AUTO_BUF struct buf value;
    buf_init(&name, BUF_NO_LIMIT);
    buf_init(&value, BUF_NO_LIMIT);
    setting_name(b, &name);
    accepted_write(&b->accepted, &value);
    store_put_setting(b->pool->store, buf_text(&name), buf_text(&value), NULL, NULL);
}

/* Adds what the backend took in earlier runs to what it has taken since. */
static void came(void *ctx, enum err e, const char *value)
{
    struct backend *b = ctx;
    const bool is_behind = b->accepted.by_input.len > 0;
    if (e != ERR_NONE || value == NULL) {
        return;
    }
    accepted_read(&b->accepted, str_of(value));
    if (is_behind) {
        save(b);
    }
    if (b->knows.known) {
        unlisted_review(b);
        knowledge_learnt(b);
    }
}

void unlisted_init(struct backend *b)
{
    accepted_init(&b->accepted);
    AUTO_BUF struct buf name;
    buf_init(&name, BUF_NO_LIMIT);
    setting_name(b, &name);
    store_find_setting(b->pool->store, buf_text(&name), &b->reading_accepted, came, b);
}

void unlisted_forget(struct backend *b)
{
    const bool may_be_stored = b->accepted.by_input.len > 0 || b->reading_accepted.find != NULL;
    store_read_forget(&b->reading_accepted);
    if (may_be_stored) {
        accepted_clear(&b->accepted);
        save(b);
    }
}

struct learning {
    struct backend *b;
    bool any;
};

static void learn_one(void *ctx, const struct workflow_node *node, const struct workflow_value *m)
{
    struct learning *l = ctx;
    const struct catalog_class *c = catalog_find(&l->b->knows.catalog, node->class_type);
    if (m == NULL || c == NULL ||
        !accepted_add(&l->b->accepted, node->class_type, m->input, m->value, str_of(c->shape))) {
        return;
    }
    l->any = true;
    AUTO_FREE char *class_type = mem_copy(node->class_type);
    AUTO_FREE char *input = mem_copy(m->input);
    LOG(LOG_INFO, "the backend took a value outside the list of an input: the list does not count",
        LOG_S("backend", l->b->name), LOG_S("class", class_type), LOG_S("input", input));
}

void unlisted_learn(struct backend *b, const struct need *n)
{
    if (n == NULL || !b->knows.known) {
        return;
    }
    struct learning l = {.b = b};
    const struct need_catalog has = knowledge_of(b);
    need_find_lacks(n, &has, learn_one, &l);
    if (l.any) {
        save(b);
        knowledge_learnt(b);
    }
}

void unlisted_review(struct backend *b)
{
    if (accepted_review(&b->accepted, &b->knows.catalog)) {
        save(b);
    }
}
