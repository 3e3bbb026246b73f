/* Needs of workflows, and who meets them; see the header. */
#include "comfypool/core/need.h"

#include <stdlib.h>
#include <string.h>

enum { IDLE_NEEDS = 256 }; /* unused ones that are cached */

void needs_init(struct needs *all)
{
    *all = (struct needs){.idle_len = 0};
    map_init(&all->by_key);
}

static void idle_remove(struct needs *all, struct need *n)
{
    *(n->newer == NULL ? &all->idle_newest : &n->newer->older) = n->older;
    *(n->older == NULL ? &all->idle_oldest : &n->older->newer) = n->newer;
    n->newer = n->older = NULL;
    all->idle_len--;
}

static void need_free(struct needs *all, struct need *n)
{
    (void)map_remove(&all->by_key, str_of(n->key));
    workflow_free(n->w);
    free(n->wanted);
    free(n->verdicts);
    free(n->key);
    free(n);
}

void need_release(struct needs *all, struct need *n)
{
    n->refs--;
    if (n->refs > 0) {
        return;
    }
    n->older = all->idle_newest;
    *(all->idle_newest == NULL ? &all->idle_oldest : &all->idle_newest->newer) = n;
    all->idle_newest = n;
    all->idle_len++;
    if (all->idle_len > IDLE_NEEDS) {
        n = all->idle_oldest;
        idle_remove(all, n);
        need_free(all, n);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Hashes the set of models, regardless of their loaders. */
static void hash_models(struct need *n)
{
    const struct workflow *w = n->w;
    if (w->models_len == 0) {
        return;
    }
    char **values = mem_alloc(w->models_len * sizeof(char *));
    for (size_t i = 0; i < w->models_len; i++) {
        values[i] = mem_copy(w->models[i].value);
        for (char *p = values[i]; *p != '\0'; p++) { /* \ of a Windows server names the same
                                                        files */
            *p = (char)(*p == '\\' ? '/' : *p);
        }
    }
    qsort(values, w->models_len, sizeof(char *), by_text);
    AUTO_BUF struct buf text;
    buf_init(&text, BUF_NO_LIMIT);
    for (size_t i = 0; i < w->models_len; i++) {
        if (i == 0 || strcmp(values[i], values[i - 1]) != 0) {
            buf_add(&text, values[i], strlen(values[i]) + 1);
        }
    }
    digest_sha256_hex(buf_str(&text), n->models);
    for (size_t i = 0; i < w->models_len; i++) {
        free(values[i]);
    }
    free(values);
}

static void mark_wanted(struct need *n, const struct names *outputs)
{
    if (outputs == NULL || outputs->len == 0) {
        return;
    }
    n->wanted = mem_zero(n->w->len, sizeof *n->wanted);
    for (size_t i = 0; i < outputs->len; i++) {
        const struct workflow_node *node = workflow_find(n->w, str_of(outputs->list[i]));
        if (node != NULL) {
            n->wanted[node - n->w->nodes] = true;
        }
    }
}

static void need_key(const char *hash, const struct names *outputs, struct buf *key)
{
    buf_add_text(key, hash);
    for (size_t i = 0; outputs != NULL && i < outputs->len; i++) {
        buf_printf(key, "/%zu:", strlen(outputs->list[i]));
        buf_add_text(key, outputs->list[i]);
    }
}

struct need *need_join(struct needs *all, const char *hash, const struct names *outputs,
                       need_text_fn text_of, void *ctx)
{
    AUTO_BUF struct buf key;
    buf_init(&key, BUF_NO_LIMIT);
    need_key(hash, outputs, &key);
    struct need *n = map_get(&all->by_key, buf_str(&key));
    if (n == NULL) {
        AUTO_BUF struct buf room;
        buf_init(&room, BUF_NO_LIMIT);
        const struct str text = text_of(ctx, &room);
        struct workflow *w = text.n == 0 ? NULL : workflow_reparse(text);
        if (w == NULL) {
            return NULL;
        }
        n = mem_zero(1, sizeof *n);
        n->w = w;
        n->key = buf_take(&key);
        hash_models(n);
        mark_wanted(n, outputs);
        (void)map_put(&all->by_key, str_of(n->key), n);
    } else if (n->refs == 0) {
        idle_remove(all, n);
    }
    n->refs++;
    return n;
}

/* ---- what is lacking ------------------------------------------------------------------------- */

/* Marks the nodes that outputs depend on: a server validates only those. */
static void mark_needed(const struct need *n, const struct catalog *c, bool *needed)
{
    const struct workflow *w = n->w;
    for (size_t i = 0; i < w->len; i++) {
        const struct catalog_class *class = catalog_find(c, w->nodes[i].class_type);
        const bool out = class != NULL && class->is_output;
        needed[i] = out && (n->wanted == NULL || n->wanted[i]);
    }
    workflow_mark_needed(w, needed);
}

void need_find_lacks(const struct need *n, const struct need_catalog *of, need_lack_fn each,
                     void *ctx)
{
    const struct workflow *w = n->w;
    const struct catalog *c = of->catalog;
    for (size_t i = 0; i < w->len; i++) {
        const struct str class_type = w->nodes[i].class_type;
        if (class_type.p != NULL && !catalog_knows(c, class_type)) {
            each(ctx, &w->nodes[i], NULL);
        }
    }
    if (w->models_len == 0) {
        return;
    }
    bool *needed = mem_zero(w->len, sizeof *needed);
    mark_needed(n, c, needed);
    for (size_t i = 0; i < w->models_len; i++) {
        const struct workflow_value *m = &w->models[i];
        const struct catalog_class *class = catalog_find(c, w->nodes[m->node].class_type);
        if (needed[m->node] && class != NULL && !catalog_allows(class, m->input, m->value) &&
            !of->forgives(of->ctx, w->nodes[m->node].class_type, m->input)) {
            each(ctx, &w->nodes[m->node], m);
        }
    }
    free(needed);
}

static void count_lack(void *ctx, const struct workflow_node *node, const struct workflow_value *m)
{
    (void)node;
    (void)m;
    (*(size_t *)ctx)++;
}

bool need_is_met(struct need *n, const struct need_catalog *of)
{
    struct verdict_of *v = NULL;
    for (size_t i = 0; i < n->verdicts_len && v == NULL; i++) {
        n->verdicts_at = n->verdicts_at + 1 < n->verdicts_len ? n->verdicts_at + 1 : 0;
        v = n->verdicts[n->verdicts_at].server == of->server ? &n->verdicts[n->verdicts_at] : NULL;
    }
    if (v == NULL) {
        n->verdicts = mem_grow(n->verdicts, (n->verdicts_len + 1) * sizeof *n->verdicts);
        v = &n->verdicts[n->verdicts_len++];
        *v = (struct verdict_of){.server = of->server};
    }
    if (v->generation != of->generation) {
        size_t count = 0;
        need_find_lacks(n, of, count_lack, &count);
        v->generation = of->generation;
        v->able = count == 0;
    }
    return v->able;
}

void needs_done(struct needs *all)
{
    while (all->idle_oldest != NULL) {
        struct need *n = all->idle_oldest;
        idle_remove(all, n);
        need_free(all, n);
    }
    map_done(&all->by_key);
}
