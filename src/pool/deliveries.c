/*
 * GET /webhooks/deliveries and POST /webhooks/deliveries/<id>/redeliver: what was not taken yet,
 * and once more.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "deliveries.h"
#include "serve.h"
#include "state.h"
#include "walls.h"
#include "webhooks.h"

/* ---- the list ----------------------------------------------------------------------------------
 */

static void render_delivery(struct js_out *o, const struct delivery_record *d)
{
    const bool tried_again = d->state == DELIVERY_PENDING || d->state == DELIVERY_FAILING;
    js_open(o, '{');
    js_member_string(o, "id", d->id);
    js_member_string(o, "jobId", d->job_id);
    js_member_string(o, "type", d->type);
    js_member_string(o, "url", d->url);
    js_member_string(o, "state", delivery_state_name(d->state));
    js_member_int(o, "tries", d->tries);
    js_key(o, "lastStatus");
    if (d->last_status != 0) {
        js_integer(o, d->last_status);
    } else {
        js_null(o);
    }
    js_key(o, "lastError");
    if (d->last_error != NULL) {
        js_string(o, d->last_error);
    } else {
        js_null(o);
    }
    js_key(o, "nextAt");
    if (tried_again) {
        js_ms(o, d->next_at.us);
    } else {
        js_null(o);
    }
    js_close(o, '}');
}

struct asking {
    struct pool *pool;
    struct http_ref x;
    unsigned limit;
    unsigned states;
};

static void add_link(struct http_answer *a, const struct asking *q, int64_t cursor)
{
    char states[96] = "";
    for (int s = 0; s < DELIVERY_STATE_COUNT; s++) {
        if (q->states != (1u << DELIVERY_STATE_COUNT) - 1 && (q->states >> s & 1u) != 0) {
            const size_t n = strlen(states);
            (void)snprintf(states + n, sizeof states - n, "%s%s", n == 0 ? "&state=" : ",",
                           delivery_state_name((enum delivery_state)s));
        }
    }
    (void)snprintf(a->link, sizeof a->link,
                   "</webhooks/deliveries?limit=%u%s&cursor=%lld>; rel=\"next\"", q->limit, states,
                   (long long)cursor);
}

static void listed(void *ctx, enum err e, const struct delivery_record *list, size_t n)
{
    struct asking *q = ctx;
    struct pool *p = q->pool;
    if (p->server != NULL && e != ERR_NONE) {
        serve_problem(p, q->x, e);
    } else if (p->server != NULL) {
        struct http_answer a = http_answer_new(200);
        struct js_out o = js_out_to(&a.body);
        js_open(&o, '{');
        js_key(&o, "deliveries");
        js_open(&o, '[');
        for (size_t i = 0; i < n; i++) {
            if (!webhooks_has_taken(&p->webhooks, list[i].id)) { /* its row goes in a moment */
                render_delivery(&o, &list[i]);
            }
        }
        js_close(&o, ']');
        js_key(&o, "nextCursor");
        if (n == q->limit) {
            char cursor[24];
            const int64_t next = store_delivery_cursor(&list[n - 1]);
            (void)snprintf(cursor, sizeof cursor, "%" PRId64, next);
            js_string(&o, cursor);
            add_link(&a, q, next);
        } else {
            js_null(&o);
        }
        js_close(&o, '}');
        http_answer(p->server, q->x, &a);
    }
    free(q);
}

void serve_deliveries(struct pool *p, struct http_request *rq, struct http_ref x)
{
    struct asking *q = mem_zero(1, sizeof *q);
    *q = (struct asking){p, x, rq->limit, rq->delivery_states};
    store_list_deliveries(p->store, wall_of(p, rq), rq->delivery_states, rq->cursor, rq->limit,
                          listed, q);
}

/* ---- once more ---------------------------------------------------------------------------------
 */

void serve_redeliver(struct pool *p, struct http_request *rq, struct http_ref x)
{
    struct delivery_record r;
    const enum err e = store_get_delivery(p->store, rq->delivery, &r);
    if (e != ERR_NONE || webhooks_has_taken(&p->webhooks, rq->delivery)) {
        delivery_record_done(&r);
        serve_problem(p, x, e == ERR_NONE ? ERR_DELIVERY_NOT_FOUND : e);
        return;
    }
    if (!store_is_writable(p->store)) {
        delivery_record_done(&r);
        serve_problem(p, x, ERR_STORE_UNAVAILABLE);
        return;
    }
    webhook_begin_anew(&r);
    store_update_delivery(p->store, &r, NULL, NULL);
    struct http_answer a = http_answer_new(202);
    struct js_out o = js_out_to(&a.body);
    render_delivery(&o, &r);
    http_answer(p->server, x, &a);
    webhooks_redeliver(p, &r);
    delivery_record_done(&r);
}
