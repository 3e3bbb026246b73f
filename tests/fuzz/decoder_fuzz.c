/*
 * Differential: messages (one a line) go through two decoders, one with its fast path and one that
 * reads each frame whole. After each message both must agree on its kind and prompt, and on what is
 * known of every node. Built by `make fuzz` with libFuzzer; replayed on the corpus by the unit
 * tests.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "comfypool/base/map.h"
#include "comfypool/comfy/decoder.h"

struct known {
    char *id;
    struct frame_node node;
    char *parent;
};

struct side {
    struct decoder *decoder;
    struct map nodes;
    struct buf message;
};

static void side_init(struct side *s, bool whole)
{
    s->decoder = decoder_new();
    decoder_set_whole(s->decoder, whole);
    map_init(&s->nodes);
    buf_init(&s->message, BUF_NO_LIMIT);
}

static void side_done(struct side *s)
{
    size_t at = 0;
    for (struct known *k = map_next(&s->nodes, &at); k != NULL; k = map_next(&s->nodes, &at)) {
        free(k->id);
        free(k->parent);
        free(k);
    }
    map_done(&s->nodes);
    buf_done(&s->message);
    decoder_free(s->decoder);
}

static const struct frame *side_feed(struct side *s, const char *text, size_t n)
{
    buf_clear(&s->message);
    buf_add(&s->message, text, n);
    const struct frame *f = decoder_text(s->decoder, &s->message);
    for (size_t i = 0; f->type == FRAME_STATE && i < f->nodes_len; i++) {
        const struct frame_node *n_ = &f->nodes[i];
        struct known *k = map_get(&s->nodes, n_->id);
        if (k == NULL) {
            k = mem_zero(1, sizeof *k);
            k->id = mem_copy(n_->id);
            (void)map_put(&s->nodes, (struct str){k->id, n_->id.n}, k);
        }
        free(k->parent);
        k->parent = n_->parent.p == NULL ? NULL : mem_copy(n_->parent);
        k->node = *n_;
    }
    return f;
}

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void compare(struct side *a, struct side *b)
{
    must(a->nodes.len == b->nodes.len);
    for (size_t i = 0; i < a->nodes.cap; i++) {
        const struct known *x = a->nodes.slots[i].value;
        if (x == NULL) {
            continue;
        }
        const struct known *y = map_get(&b->nodes, a->nodes.slots[i].key);
        must(y != NULL && x->node.state == y->node.state);
        must(x->node.value <= y->node.value && x->node.value >= y->node.value);
        must(x->node.max <= y->node.max && x->node.max >= y->node.max);
        must((x->parent == NULL) == (y->parent == NULL));
        must(x->parent == NULL || strcmp(x->parent, y->parent) == 0);
    }
}

/* A frame that names a node twice says two things at once: nobody can be right about it. */
static bool names_twice(const struct frame *f)
{
    for (size_t i = 0; f->type == FRAME_STATE && i < f->nodes_len; i++) {
        for (size_t k = 0; k < i; k++) {
            if (str_eq(f->nodes[i].id, f->nodes[k].id)) {
                return true;
            }
        }
    }
    return false;
}

int fuzz_decoder(const uint8_t *data, size_t size)
{
    struct side fast;
    struct side whole;
    side_init(&fast, false);
    side_init(&whole, true);
    const char *at = (const char *)data;
    const char *end = at + size;
    while (at < end) {
        const char *line = memchr(at, '\n', (size_t)(end - at));
        const size_t n = (size_t)((line == NULL ? end : line) - at);
        const struct frame *f = side_feed(&fast, at, n);
        const struct frame *w = side_feed(&whole, at, n);
        if (names_twice(w)) {
            break;
        }
        must(f->type == w->type && str_eq(f->prompt_id, w->prompt_id));
        must((f->node.p == NULL) == (w->node.p == NULL) && f->stamp_ms == w->stamp_ms);
        compare(&fast, &whole);
        at += n + 1;
    }
    side_done(&fast);
    side_done(&whole);
    return 0;
}
