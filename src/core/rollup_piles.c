/* Piles of observations; see the header. Cost: O(1) for each observation. */
#include "comfypool/core/rollup_piles.h"

#include <stdlib.h>
#include <string.h>

#include "comfypool/core/rollup_keys.h"

void piles_init(struct piles *p)
{
    map_init(&p->by_id);
    buf_init(&p->id, BUF_NO_LIMIT);
}

void piles_done(struct piles *p)
{
    size_t at = 0;
    for (struct pile *one = map_next(&p->by_id, &at); one != NULL; one = map_next(&p->by_id, &at)) {
        rollup_done(&one->data);
        free(one->label);
        free(one);
    }
    map_done(&p->by_id);
    buf_done(&p->id);
}

struct str pile_key(const struct pile *p)
{
    return (struct str){p->id + p->key_at, p->id_len - p->key_at};
}

/* Returns the pile of this kind, hour and key. client: n == 0: all. */
static struct pile *pile_of(struct piles *p, int kind, struct rollup_span span, struct str client,
                            struct str key)
{
    struct buf *id = &p->id;
    buf_clear(id);
    buf_add_uint(id, (uint64_t)kind);
    buf_add_char(id, ' ');
    buf_add_uint(id, (uint64_t)span.start); /* only to distinguish them */
    buf_add_char(id, ' ');
    const size_t key_at = id->len;
    rollup_add_key(client, key, id);
    struct pile *one = map_get(&p->by_id, buf_str(id));
    if (one == NULL) {
        one = mem_zero(1, sizeof *one + id->len + 1);
        memcpy(one->id, id->data, id->len);
        one->id_len = id->len;
        one->key_at = key_at;
        one->kind = kind;
        one->span = span;
        (void)map_put(&p->by_id, (struct str){one->id, one->id_len}, one);
    }
    return one;
}

static void pile_up(struct piles *p, struct wall_us at, const struct observation *o,
                    struct str client)
{
    const int kind = rollup_kind(o->group, client.n > 0);
    struct pile *one = pile_of(p, kind, rollup_hour_of(at), client, o->key);
    one->last = at.us > one->last.us ? at : one->last;
    if (one->label == NULL && o->label.n > 0) {
        one->label = mem_copy(o->label);
    }
    rollup_add(&one->data, o);
}

static void observe(void *ctx, struct wall_us at, const struct observation *o)
{
    pile_up(ctx, at, o, (struct str){NULL, 0});
    if (o->client.n > 0) {
        pile_up(ctx, at, o, o->client);
    }
}

void piles_add(struct piles *p, struct str measurement)
{
    (void)measurement_observe(measurement, observe, p);
}

bool piles_are_enough(const struct piles *p)
{
    return p->by_id.len >= ROLLUP_FOLD_PILES;
}
