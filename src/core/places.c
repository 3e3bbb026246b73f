/* Positions of inputs; see the header. Offsets are kept: the text may move. */
#include "comfypool/core/places.h"

#include <stdlib.h>

#include "comfypool/base/json_read.h"

struct place {
    size_t at;
    size_t len;
    char name[];
};

struct node_places {
    struct map by_name;
};

static void read_node(struct node_places *to, const struct workflow_node *n, struct str text)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    struct js_reader r;
    js_read_strict(&r, (struct str){text.p + n->inputs_at, n->inputs_len}, JS_MAX_DEPTH);
    (void)js_next(&r);
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        buf_clear(&scratch);
        const struct str name = js_text(key, &scratch);
        const struct str value = js_skip(&r);
        if (map_get(&to->by_name, name) == NULL) { /* the first one counts */
            struct place *at = mem_alloc(sizeof *at + name.n + 1);
            *at = (struct place){.at = (size_t)(value.p - text.p), .len = value.n};
            memcpy(at->name, name.p, name.n);
            (void)map_put(&to->by_name, (struct str){at->name, name.n}, at);
        }
    }
}

struct str places_input(struct places *p, const struct workflow *w, struct str text,
                        const struct workflow_node *n, struct str input)
{
    if (p->of == NULL) {
        p->len = w->len;
        p->of = mem_zero(w->len, sizeof(struct node_places *));
    }
    struct node_places **of = &p->of[n - w->nodes];
    if (*of == NULL) {
        *of = mem_zero(1, sizeof **of);
        map_init(&(*of)->by_name);
        read_node(*of, n, text);
    }
    const struct place *found = map_get(&(*of)->by_name, input);
    return found == NULL ? (struct str){NULL, 0} : (struct str){text.p + found->at, found->len};
}

void places_done(struct places *p)
{
    for (size_t i = 0; i < p->len; i++) {
        struct node_places *of = p->of[i];
        size_t at = 0;
        for (void *place = of == NULL ? NULL : map_next(&of->by_name, &at); place != NULL;
             place = map_next(&of->by_name, &at)) {
            free(place);
        }
        if (of != NULL) {
            map_done(&of->by_name);
            free(of);
        }
    }
    free(p->of);
    *p = (struct places){0};
}
