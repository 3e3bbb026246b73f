/*
 * Deliveries that events cause: for which receivers, with what body. They are stored in the event's
 * own write; webhooks.c takes them when it is durable.
 */
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/net_rules.h"
#include "comfypool/base/time_text.h"
#include "comfypool/loop/url.h"
#include "comfypool/notify/webhooks.h"
#include "comfypool/render/render.h"
#include "comfypool/store/batches.h"
#include "comfypool/store/deliveries.h"
#include "comfypool/store/store.h"

#include "webhook_hosts.h"

void outbox_done(struct outbox *o)
{
    for (size_t i = 0; i < o->len; i++) {
        delivery_record_done(&o->list[i]);
    }
    free(o->list);
    *o = (struct outbox){.list = NULL};
}

void outbox_join(struct outbox *o, const struct outbox *more)
{
    if (more->len > 0) {
        o->list = mem_grow(o->list, (o->len + more->len) * sizeof *o->list);
        memcpy(&o->list[o->len], more->list, more->len * sizeof *o->list);
        o->len += more->len;
    }
}

struct store_beside outbox_beside(const struct outbox *o)
{
    return (struct store_beside){.deliveries = o->list, .deliveries_len = o->len};
}

/* ---- addresses ------------------------------------------------------------------------------- */

/* Returns "host:port" with the URL's port. Owner: the caller; NULL: no URL. */
static char *host_of(const char *url)
{
    struct url_parts u;
    char why[128];
    AUTO_BUF struct buf name;
    buf_init(&name, BUF_NO_LIMIT);
    const bool good = url_read(url, &u, why, sizeof why);
    if (good) {
        buf_printf(&name, "%s:%d", u.host, u.port);
    }
    url_parts_done(&u);
    return good ? buf_take(&name) : NULL;
}

struct str webhook_host_name(const char *host)
{
    const char *colon = strrchr(host, ':');
    return (struct str){host, colon == NULL ? strlen(host) : (size_t)(colon - host)};
}

bool webhooks_may_call(const struct webhooks *w, const char *url)
{
    AUTO_FREE char *host = host_of(url);
    struct sockaddr_storage a;
    return host != NULL && (!net_literal(webhook_host_name(host), &a) ||
                            net_rules_allow(webhooks_options_of(w)->rules, webhook_host_name(host),
                                            (struct sockaddr *)&a));
}

/* ---- what events mean ------------------------------------------------------------------------ */

void webhook_render_body(enum event_type type, struct str data, struct buf *out)
{
    char now[TIME_TEXT_SIZE];
    time_write(time_wall(), now);
    struct js_out o = js_out_to(out);
    js_open(&o, '{');
    js_member_string(&o, "type", event_name(type));
    js_member_string(&o, "timestamp", now);
    js_member_raw(&o, "data", data);
    js_close(&o, '}');
}

/* The subject of an event: a job, or a batch. */
struct subject {
    const char *id;
    const struct webhook *hook;
    const char *client; /* or NULL */
};

static struct subject of_job(const struct job_record *r)
{
    return (struct subject){r->id, &r->hook, r->client};
}

static bool wants(const struct webhook *hook, enum event_type type)
{
    return hook->url != NULL && (hook->events >> type & 1u) != 0;
}

static size_t configured_for(const struct webhooks *w, enum event_type type)
{
    return (EVENTS_OF_ENDS >> type & 1u) != 0 ? webhooks_options_of(w)->urls_len : 0;
}

static void add_delivery(struct outbox *o, struct subject of, enum event_type type, const char *url,
                         const char *body, bool configured)
{
    char *host = host_of(url);
    if (host == NULL) {
        return; /* checked before; the URL library changed its mind */
    }
    const struct wall_us now = time_wall();
    o->list = mem_grow(o->list, (o->len + 1) * sizeof *o->list);
    struct delivery_record *d = &o->list[o->len++];
    *d = (struct delivery_record){
        .type = mem_strdup(event_name(type)),
        .url = mem_strdup(url),
        .host = host,
        .secret = configured ? NULL : mem_strdup(of.hook->secret),
        .configured = configured,
        .client = configured ? NULL : mem_strdup(of.client),
        .body = mem_strdup(body),
        .state = DELIVERY_PENDING,
        .made_at = now,
        .next_at = now,
    };
    uuid_v7(now, d->id);
    memcpy(d->job_id, of.id, sizeof d->job_id);
}

static void add_all(struct webhooks *w, struct subject of, enum event_type type, struct str data,
                    struct outbox *o)
{
    AUTO_BUF struct buf body;
    buf_init(&body, BUF_NO_LIMIT);
    webhook_render_body(type, data, &body);
    if (wants(of.hook, type)) {
        add_delivery(o, of, type, of.hook->url, buf_text(&body), false);
    }
    for (size_t i = 0; i < configured_for(w, type); i++) {
        add_delivery(o, of, type, webhooks_options_of(w)->urls[i], buf_text(&body), true);
    }
}

void webhooks_of_job(struct webhooks *w, const struct job_record *r, enum event_type type,
                     const char *retry, struct outbox *o)
{
    if (!wants(&r->hook, type) && configured_for(w, type) == 0) {
        return;
    }
    AUTO_BUF struct buf data;
    buf_init(&data, BUF_NO_LIMIT);
    event_render_job(r, retry, &data);
    add_all(w, of_job(r), type, buf_str(&data), o);
}

void webhooks_of_batch(struct webhooks *w, const struct batch_record *r, struct str data,
                       struct outbox *o)
{
    if (wants(&r->hook, EVENT_BATCH) || configured_for(w, EVENT_BATCH) > 0) {
        add_all(w, (struct subject){r->id, &r->hook, r->client}, EVENT_BATCH, data, o);
    }
}

/* Deliveries stored by a write of their own. */
struct sending {
    struct webhooks *webhooks;
    struct outbox outbox;
};

static void sent(void *ctx)
{
    struct sending *s = ctx;
    webhooks_written(s->webhooks, &s->outbox);
    free(s);
}

void webhooks_send(struct webhooks *w, const struct job_record *r, enum event_type type,
                   struct str data)
{
    if (!wants(&r->hook, type)) {
        return;
    }
    struct sending *s = mem_zero(1, sizeof *s);
    s->webhooks = w;
    add_all(w, of_job(r), type, data, &s->outbox);
    webhooks_write(w, &s->outbox, sent, s);
}
