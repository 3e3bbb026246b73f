/*
 * GET /webhooks/deliveries and POST /webhooks/deliveries/<id>/redeliver: lists deliveries that were
 * not accepted yet, and repeats one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/base/json_write.h"
#include "comfypool/notify/webhooks.h"
#include "comfypool/pool/walls.h"
#include "comfypool/store/deliveries.h"

#include "args.h"
#include "bodies.h"
#include "inner.h"
#include "params.h"

/* ---- the list -------------------------------------------------------------------------------- */

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
    struct api *api;
    struct http_ref request;
    unsigned limit;
    unsigned states;
};

static void add_link(struct http_answer *answer, const struct asking *q, int64_t cursor)
{
    char states[96] = "";
    for (int s = 0; s < DELIVERY_STATE_COUNT; s++) {
        if (q->states != (1u << DELIVERY_STATE_COUNT) - 1 && (q->states >> s & 1u) != 0) {
            const size_t n = strlen(states);
            (void)snprintf(states + n, sizeof states - n, "%s%s", n == 0 ? "&state=" : ",",
                           delivery_state_name((enum delivery_state)s));
        }
    }
    (void)snprintf(answer->link, sizeof answer->link,
                   "</webhooks/deliveries?limit=%u%s&cursor=%lld>; rel=\"next\"", q->limit, states,
                   (long long)cursor);
}

static void listed(void *ctx, enum err e, const struct delivery_record *list, size_t n)
{
    struct asking *q = ctx;
    struct api *a = q->api;
    if (a->http != NULL && e != ERR_NONE) {
        api_refuse(a, q->request, e);
    } else if (a->http != NULL) {
        struct http_answer answer = http_answer_new(200);
        struct js_out o = js_out_to(&answer.body);
        js_open(&o, '{');
        js_key(&o, "deliveries");
        js_open(&o, '[');
        for (size_t i = 0; i < n; i++) {
            if (!webhooks_has_taken(pool_webhooks(a->pool),
                                    list[i].id)) { /* else its row is about to go */
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
            add_link(&answer, q, next);
        } else {
            js_null(&o);
        }
        js_close(&o, '}');
        http_answer(a->http, q->request, &answer);
    }
    free(q);
}

static void list_deliveries(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    struct asking *q = mem_zero(1, sizeof *q);
    *q = (struct asking){a, x, args_of(rq)->limit, args_of(rq)->delivery_states};
    store_list_deliveries(a->store, api_wall(a, rq), args_of(rq)->delivery_states,
                          args_of(rq)->cursor, args_of(rq)->limit, listed, q);
}

/* ---- redelivery ------------------------------------------------------------------------------ */

static void to_redeliver(void *ctx, enum err e, struct delivery_record *d)
{
    struct api_asking *q = ctx;
    struct api *a = q->api;
    if (a->http != NULL) { /* else the daemon stops */
        const enum err refused = e != ERR_NONE ? e : webhooks_renew(pool_webhooks(a->pool), d);
        if (refused != ERR_NONE) {
            api_refuse(a, q->request, refused);
        } else {
            struct http_answer answer = http_answer_new(q->status);
            struct js_out o = js_out_to(&answer.body);
            render_delivery(&o, d);
            http_answer(a->http, q->request, &answer);
            webhooks_redeliver(pool_webhooks(a->pool), d);
        }
    }
    api_asking_free(q);
}

static void redeliver(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    store_find_delivery(a->store, args_of(rq)->delivery, NULL, to_redeliver,
                        api_asking_new(a, x, 202, NULL));
}

static const struct http_route routes[] = {
    {"GET", "/webhooks/deliveries", ROLE_READ, .serve = list_deliveries,
     .params = PARAMS(&param_limit, &param_cursor, &param_delivery_state)},
    {"POST", "/webhooks/deliveries/{delivery}/redeliver", ROLE_SUBMIT, .serve = redeliver,
     .door = DOOR_DELIVERY, .body = &body_nothing},
};
const struct http_table api_deliveries = API_TABLE(routes);
