/*
 * The deliveries of webhooks. Memory holds those to try soon, with few bodies: at most HOST_MOST of
 * a host, so that a dead receiver with thousands of them does not keep others out; the rest of a
 * host waits in the store until there is room. At most HOST_IN_FLIGHT of a host and a configured
 * number in all are under way; hosts take turns.
 *
 * A delivery stays in memory until its end is durable, and until no read under way may return its
 * old row: rows read meanwhile are recognized by their ids. Hosts with more in the store are read
 * one after the other.
 */
#include "comfypool/notify/webhooks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/log.h"
#include "comfypool/base/map.h"
#include "comfypool/base/net_rules.h"
#include "comfypool/loop/deadlines.h"
#include "comfypool/loop/http_client.h"
#include "comfypool/store/deliveries.h"
#include "comfypool/store/finds.h"
#include "comfypool/store/store.h"

#include "webhook_hosts.h"

enum {
    HOST_MOST = 1000,
    ALL_MOST = 20000,
    HOST_IN_FLIGHT = 2,
    CONNECT_MS = 5000,
    TRY_MS = 15000,
    REFILL_MS = 5000,
    STORE_PAUSE_MS = 5000,
    /* Deliveries due later than this wait in the store, where memory is short. */
    SOON_MS = 15000,
    /* Rows of accepted deliveries are deleted together, after FLUSH_MS or when they are many. */
    FLUSH_MS = 100,
    FLUSH_MOST = 256,
    BODIES_MOST = 4 << 20,
    MOST_ERROR = 200,
    /* Limit of a receiver's Retry-After, which may exceed the schedule. */
    MOST_RETRY_AFTER_S = 24 * 3600,
};

enum stage {
    STAGE_PLANNED,
    STAGE_DUE,
    STAGE_READING, /* its body; counts as under way */
    STAGE_FLYING,
    STAGE_TAKEN,
    STAGE_ENDING,
    STAGE_OVER, /* freed once its host was read */
};

struct delivery {
    struct webhooks *all;
    struct delivery_record r; /* body NULL: in the store only */
    struct hook_target *target;
    enum stage stage;
    struct delivery *next;  /* in the target's list of due ones, in `taken`, or in `over` */
    struct deadline due;    /* if planned */
    struct store_read read; /* of its body */
    struct http_call *call; /* if flying */
    bool again;             /* redelivery requested while its end was being written */
    bool taken;             /* accepted by its receiver */
};

/* A URL. Ready ones wait for their turn in their host. */
struct hook_target {
    char *url;
    struct hook_host *host;
    unsigned len; /* its deliveries in memory */
    unsigned in_flight;
    struct delivery *first, *last; /* due deliveries */
    struct hook_target *next_ready;
    bool is_ready;
    bool took; /* its last delivery was accepted */
};

struct hook_host {
    char *name;
    unsigned len;     /* its deliveries in memory */
    unsigned targets; /* its URLs */
    unsigned in_flight;
    struct hook_target *first, *last; /* ready targets */
    struct hook_host *next_ready;
    bool is_ready;
    bool parked; /* the store has more deliveries of it */
    bool listed; /* in the round: kept */
};

/* A round of reads of parked hosts' deliveries, one host after the other. */
struct round {
    struct hook_host **hosts; /* NULL: no round */
    size_t len;
    size_t at;              /* index of the host being read, or next */
    struct store_read read; /* of hosts[at] */
    struct delivery *over;  /* of hosts[at] */
};

struct webhooks {
    struct store *store;
    struct deadlines *deadlines;
    struct pending *pending;
    struct webhooks_options options;
    bool stopping;
    struct http_client *http; /* separate: none of its connections leads to a backend */
    struct map hosts;         /* by "host:port" */
    struct map targets;       /* by URL */
    struct map by_id;         /* deliveries in memory */
    struct hook_host *ready_first, *ready_last; /* hosts with a free place and a due delivery */
    bool is_pumping;
    unsigned in_flight;
    size_t bodies;          /* bytes of bodies kept until their first try */
    struct delivery *taken; /* accepted; their rows are deleted soon, together */
    unsigned taken_len;
    unsigned going; /* accepted ones whose rows still exist */
    struct deadline flush;
    struct deadline refill;
    struct round round;
    uint64_t delivered, failed, dead, forbidden; /* since the start */
};

/* ---- deliveries in memory -------------------------------------------------------------------- */

static struct hook_host *host_named(struct webhooks *w, const char *name)
{
    struct hook_host *h = map_get(&w->hosts, str_of(name));
    if (h == NULL) {
        h = mem_zero(1, sizeof *h);
        h->name = mem_strdup(name);
        (void)map_put(&w->hosts, str_of(h->name), h);
    }
    return h;
}

static struct hook_target *target_of(struct webhooks *w, const struct delivery_record *d)
{
    struct hook_target *t = map_get(&w->targets, str_of(d->url));
    if (t == NULL) {
        t = mem_zero(1, sizeof *t);
        t->url = mem_strdup(d->url);
        t->host = host_named(w, d->host);
        t->host->targets++;
        (void)map_put(&w->targets, str_of(t->url), t);
    }
    return t;
}

static void host_let_go(struct webhooks *w, struct hook_host *h)
{
    if (h->targets == 0 && !h->parked && !h->is_ready && !h->listed) {
        (void)map_remove(&w->hosts, str_of(h->name));
        free(h->name);
        free(h);
    }
}

/* Frees a target without deliveries: none is due or under way. */
static void target_let_go(struct webhooks *w, struct hook_target *t)
{
    if (t->len == 0) {
        (void)map_remove(&w->targets, str_of(t->url));
        t->host->targets--;
        host_let_go(w, t->host);
        free(t->url);
        free(t);
    }
}

static void plan_refill(struct webhooks *w);
static void pump(struct webhooks *w);

static void drop_body(struct delivery *d)
{
    if (d->r.body != NULL) {
        d->all->bodies -= strlen(d->r.body);
        free(d->r.body);
        d->r.body = NULL;
    }
}

/* Takes a new body, and keeps it if there is room: the first try is soon, and need not reread
   it. */
static void keep_body(struct delivery *d, char *take)
{
    struct webhooks *w = d->all;
    const size_t n = take == NULL ? 0 : strlen(take);
    if (take != NULL && w->bodies + n <= BODIES_MOST) {
        w->bodies += n;
        d->r.body = take;
    } else {
        free(take);
    }
}

static void forget(struct delivery *d)
{
    struct webhooks *w = d->all;
    struct hook_target *t = d->target;
    drop_body(d);
    deadline_clear(w->deadlines, &d->due);
    (void)map_remove(&w->by_id, str_of(d->r.id));
    delivery_record_done(&d->r);
    free(d);
    t->host->len--;
    if (t->host->parked && t->host->len < HOST_MOST / 2) {
        plan_refill(w);
    }
    t->len--;
    target_let_go(w, t);
}

/* ---- turns ----------------------------------------------------------------------------------- */

static bool may_start(const struct hook_target *t)
{
    return t->first != NULL && t->in_flight < (t->took ? HOST_IN_FLIGHT : 1u);
}

static void host_is_ready(struct webhooks *w, struct hook_host *h)
{
    if (h->is_ready || h->first == NULL || h->in_flight >= HOST_IN_FLIGHT) {
        return;
    }
    h->is_ready = true;
    h->next_ready = NULL;
    *(w->ready_last == NULL ? &w->ready_first : &w->ready_last->next_ready) = h;
    w->ready_last = h;
}

static void target_is_ready(struct webhooks *w, struct hook_target *t)
{
    struct hook_host *h = t->host;
    if (!t->is_ready && may_start(t)) {
        t->is_ready = true;
        t->next_ready = NULL;
        *(h->last == NULL ? &h->first : &h->last->next_ready) = t;
        h->last = t;
    }
    host_is_ready(w, h);
}

/* Takes the next in turn: the first due delivery of the first ready URL of the first ready host. */
static struct delivery *take_turn(struct webhooks *w)
{
    struct hook_host *h = w->ready_first;
    w->ready_first = h->next_ready;
    w->ready_last = w->ready_first == NULL ? NULL : w->ready_last;
    h->is_ready = false;
    struct hook_target *t = h->first;
    h->first = t->next_ready;
    h->last = h->first == NULL ? NULL : h->last;
    t->is_ready = false;
    struct delivery *d = t->first;
    t->first = d->next;
    t->last = t->first == NULL ? NULL : t->last;
    return d;
}

static void is_due(void *ctx)
{
    struct delivery *d = ctx;
    struct hook_target *t = d->target;
    d->stage = STAGE_DUE;
    d->next = NULL;
    *(t->last == NULL ? &t->first : &t->last->next) = d;
    t->last = d;
    target_is_ready(d->all, t);
    pump(d->all);
}

static void plan(struct delivery *d)
{
    struct webhooks *w = d->all;
    const struct time_anchor now = time_anchor_now();
    d->stage = STAGE_PLANNED;
    if (d->r.next_at.us <= now.wall.us) {
        is_due(d);
    } else {
        deadline_set(w->deadlines, &d->due, anchor_mono(&now, d->r.next_at), is_due, d);
    }
}

/* Adds a delivery; takes the record. */
static void add(struct webhooks *w, struct delivery_record *take)
{
    struct delivery *d = mem_zero(1, sizeof *d);
    d->all = w;
    d->target = target_of(w, take);
    d->r = *take;
    *take = (struct delivery_record){.n = 0};
    char *body = d->r.body;
    d->r.body = NULL;
    keep_body(d, body);
    d->target->len++;
    d->target->host->len++;
    (void)map_put(&w->by_id, str_of(d->r.id), d);
    plan(d);
}

static bool has_room(const struct webhooks *w, const struct hook_host *h)
{
    return h->len < HOST_MOST && w->by_id.len < ALL_MOST;
}

void webhooks_take(struct webhooks *w, struct outbox *o)
{
    for (size_t i = 0; i < o->len && !w->stopping; i++) {
        struct hook_host *h = host_named(w, o->list[i].host);
        const bool known = map_get(&w->by_id, str_of(o->list[i].id)) != NULL; /* from a refill */
        if (!has_room(w, h)) {
            h->parked = true;
            plan_refill(w);
        } else if (!known) {
            add(w, &o->list[i]);
        }
    }
    outbox_done(o);
}

/* ---- deliveries in the store ----------------------------------------------------------------- */

static bool is_being_read(const struct hook_host *h, const struct round *r)
{
    return r->read.find != NULL && r->hosts[r->at] == h;
}

/* Forgets a delivery whose row is gone, or not to be tried soon; if its host is being read, only
   after that read, which may have found the old row. */
static void leave(struct delivery *d)
{
    struct round *r = &d->all->round;
    if (is_being_read(d->target->host, r)) {
        d->stage = STAGE_OVER;
        d->next = r->over;
        r->over = d;
    } else {
        forget(d);
    }
}

static void leave_over(struct webhooks *w)
{
    struct delivery *next = NULL;
    struct delivery *d = w->round.over;
    w->round.over = NULL;
    for (; d != NULL; d = next) {
        next = d->next;
        if (d->again) { /* redelivery was requested */
            d->again = false;
            plan(d);
        } else {
            forget(d);
        }
    }
}

static void read_next(struct webhooks *w);

static void due_found(void *ctx, enum err e, struct delivery_record *list, size_t n, bool later)
{
    struct webhooks *w = ctx;
    struct hook_host *h = w->round.hosts[w->round.at];
    h->parked = h->parked || e != ERR_NONE || n >= HOST_MOST || later;
    for (size_t i = 0; i < n; i++) {
        if (map_get(&w->by_id, str_of(list[i].id)) != NULL) {
            continue;
        }
        if (has_room(w, h)) {
            add(w, &list[i]);
        } else {
            h->parked = true;
        }
    }
    leave_over(w);
    w->round.at = e == ERR_NONE ? w->round.at + 1 : w->round.len; /* the others later */
    read_next(w);
}

static void end_round(struct webhooks *w)
{
    bool more = false;
    for (size_t i = 0; i < w->round.len; i++) {
        struct hook_host *h = w->round.hosts[i];
        h->listed = false;
        more = more || h->parked;
        host_let_go(w, h);
    }
    free(w->round.hosts);
    w->round.hosts = NULL;
    if (more) {
        plan_refill(w);
    }
}

/* Reads the next host with room, or ends the round. */
static void read_next(struct webhooks *w)
{
    struct round *r = &w->round;
    while (r->at < r->len && (r->hosts[r->at]->len >= HOST_MOST / 2 || w->by_id.len >= ALL_MOST)) {
        r->at++;
    }
    if (r->at == r->len) {
        end_round(w);
    } else {
        const struct wall_us until = {time_wall().us + (int64_t)SOON_MS * 1000};
        r->hosts[r->at]->parked = false; /* until set again, by this read or otherwise */
        store_find_due(w->store, r->hosts[r->at]->name, until, HOST_MOST, &r->read, due_found, w);
    }
}

static void refill(void *ctx)
{
    struct webhooks *w = ctx;
    struct round *r = &w->round;
    if (r->hosts != NULL) { /* it may have passed hosts parked since */
        plan_refill(w);
        return;
    }
    r->hosts = mem_alloc((w->hosts.len + 1) * sizeof *r->hosts);
    r->len = r->at = 0;
    size_t at = 0;
    for (struct hook_host *h = map_next(&w->hosts, &at); h != NULL; h = map_next(&w->hosts, &at)) {
        if (h->parked) {
            h->listed = true;
            r->hosts[r->len++] = h;
        }
    }
    read_next(w);
}

static void plan_refill(struct webhooks *w)
{
    if (!w->stopping && !heap_holds(&w->refill.node)) {
        deadline_set(w->deadlines, &w->refill, mono_add(time_mono(), dur_ms(REFILL_MS)), refill, w);
    }
}

static void host_found(void *ctx, const char *host)
{
    host_named(ctx, host)->parked = true;
}

/* ---- a try ----------------------------------------------------------------------------------- */

static void written(void *ctx)
{
    struct delivery *d = ctx;
    struct webhooks *w = d->all;
    w->going -= d->taken;
    if (d->again && !w->stopping) { /* redelivery was requested; its row is as it was */
        d->again = false;
        plan(d);
    } else {
        leave(d);
        pump(w);
    }
    pending_remove(w->pending);
}

static void flush_taken(void *ctx)
{
    struct webhooks *w = ctx;
    struct delivery *next = NULL;
    deadline_clear(w->deadlines, &w->flush);
    for (struct delivery *d = w->taken; d != NULL; d = next) {
        next = d->next;
        d->stage = STAGE_ENDING;
        pending_add(w->pending);
        store_delete_delivery(w->store, d->r.id, written, d);
    }
    w->taken = NULL;
    w->taken_len = 0;
}

/* Deletes an accepted delivery's row with those of others: a transaction for each would cost more
   than the job. */
static void end_taken(struct delivery *d)
{
    struct webhooks *w = d->all;
    d->stage = STAGE_TAKEN;
    d->taken = true;
    w->going++;
    d->next = w->taken;
    w->taken = d;
    if (++w->taken_len >= FLUSH_MOST) {
        flush_taken(w);
    } else if (!heap_holds(&w->flush.node)) {
        deadline_set(w->deadlines, &w->flush, mono_add(time_mono(), dur_ms(FLUSH_MS)), flush_taken,
                     w);
    }
}

/* Writes the delivery's end to its row, then drops it from memory. */
static void end_here(struct delivery *d)
{
    d->stage = STAGE_ENDING;
    pending_add(d->all->pending);
    store_update_delivery(d->all->store, &d->r, written, d);
}

static void set_error(struct delivery *d, const struct http_result *r)
{
    char text[MOST_ERROR];
    if (r->forbidden) {
        (void)snprintf(text, sizeof text, "its address is not public, and not in webhooks.allow");
    } else if (r->outcome == HTTP_ANSWERED) {
        (void)snprintf(text, sizeof text, "HTTP %u", r->status);
    } else if (r->timed_out) {
        (void)snprintf(text, sizeof text, "no answer within %d s", TRY_MS / 1000);
    } else {
        (void)snprintf(text, sizeof text, "%s", r->error);
    }
    free(d->r.last_error);
    d->r.last_error = mem_strdup(text);
    d->r.last_status = r->outcome == HTTP_ANSWERED ? r->status : 0;
}

static void give_up(struct delivery *d, enum delivery_state state)
{
    struct webhooks *w = d->all;
    *(state == DELIVERY_DEAD ? &w->dead : &w->forbidden) += 1;
    LOG(LOG_WARN, "a webhook delivery is given up", LOG_S("delivery", d->r.id),
        LOG_S("job", d->r.job_id), LOG_S("to", d->target->host->name), LOG_I("tries", d->r.tries),
        LOG_S("why", d->r.last_error));
    d->r.state = state;
    d->r.next_at = time_wall();
    end_here(d);
}

/* Moves a delivery to the store, to make room for one that is due soon. */
static void park(struct delivery *d)
{
    d->target->host->parked = true;
    plan_refill(d->all);
    end_here(d);
}

static struct dur_us longer(struct dur_us pause, struct dur_us asked)
{
    const int64_t most = (int64_t)MOST_RETRY_AFTER_S * 1000000;
    const int64_t wanted = asked.us > most ? most : asked.us;
    return (struct dur_us){wanted > pause.us ? wanted : pause.us};
}

static void try_again_later(struct delivery *d, struct dur_us asked)
{
    struct webhooks *w = d->all;
    const struct wall_us now = time_wall();
    const uint32_t random = (uint32_t)(map_hash(str_of(d->r.id)) >> (d->r.tries % 16));
    struct dur_us pause;
    if (!webhook_pause(d->r.tries, d->r.made_at, now, random, &pause)) {
        give_up(d, DELIVERY_DEAD);
        return;
    }
    pause = longer(pause, asked);
    d->r.state = DELIVERY_FAILING;
    d->r.next_at.us = now.us + pause.us;
    if (pause.us > (int64_t)SOON_MS * 1000 && d->target->host->len > HOST_MOST / 4) {
        park(d);
    } else {
        store_update_delivery(w->store, &d->r, NULL, NULL);
        plan(d);
    }
}

/* Handles the result of a try; true if the delivery was accepted. */
static bool judge(struct delivery *d, const struct http_result *r)
{
    const bool answered = r->outcome == HTTP_ANSWERED;
    if (answered && r->status >= 200 && r->status < 300) {
        d->all->delivered++;
        end_taken(d);
        return true;
    }
    d->all->failed++;
    d->r.tries++;
    set_error(d, r);
    if (r->forbidden) {
        give_up(d, DELIVERY_FORBIDDEN);
    } else if (answered && r->status == 410) { /* Gone: the receiver wants no more */
        give_up(d, DELIVERY_DEAD);
    } else {
        try_again_later(d, r->retry_after);
    }
    return false;
}

/* Counts one more under way, or one less. */
static void count_under_way(struct delivery *d, int change)
{
    d->all->in_flight += (unsigned)change;
    d->target->in_flight += (unsigned)change;
    d->target->host->in_flight += (unsigned)change;
}

/* Gives others their turn once a delivery of the URL is no longer under way. */
static void go_on(struct webhooks *w, struct hook_target *t)
{
    target_is_ready(w, t);
    target_let_go(w, t);
    pump(w);
}

static void tried(void *ctx, const struct http_result *r)
{
    struct delivery *d = ctx;
    struct webhooks *w = d->all;
    struct hook_target *t = d->target;
    d->call = NULL;
    count_under_way(d, -1);
    t->len++; /* judging may forget the delivery, but not its URL */
    t->took = judge(d, r);
    t->len--;
    go_on(w, t);
}

static bool may_connect(void *ctx, const struct sockaddr *a)
{
    const struct delivery *d = ctx;
    return net_rules_allow(d->all->options.rules, webhook_host_name(d->target->host->name), a);
}

static void post(struct delivery *d, const char *secret, struct str body)
{
    struct webhooks *w = d->all;
    const int64_t now = time_wall().us / 1000000;
    AUTO_BUF struct buf signature;
    buf_init(&signature, BUF_NO_LIMIT);
    buf_add_text(&signature, "webhook-signature: ");
    if (secret != NULL) {
        webhook_sign(str_of(secret), str_of(d->r.id), now, body, &signature);
    }
    char id[96];
    char timestamp[64];
    char agent[96];
    (void)snprintf(id, sizeof id, "webhook-id: %s", d->r.id);
    (void)snprintf(timestamp, sizeof timestamp, "webhook-timestamp: %" PRId64, now);
    (void)snprintf(agent, sizeof agent, "User-Agent: comfypoold/%s", w->options.version);
    const char *const headers[] = {id, timestamp, agent,
                                   secret == NULL ? NULL : buf_text(&signature), NULL};
    d->call = http_call_start(w->http,
                              &(struct http_request_spec){
                                  .method = "POST",
                                  .url = d->r.url,
                                  .headers = headers,
                                  .body = body,
                                  .connect_timeout = dur_ms(CONNECT_MS),
                                  .timeout = dur_ms(TRY_MS),
                                  .sink = &http_sink_none,
                                  .may_connect = may_connect,
                              },
                              tried, d);
}

static void fly(struct delivery *d, const struct delivery_record *whole)
{
    d->stage = STAGE_FLYING;
    post(d, whole->configured ? d->all->options.secret : whole->secret, str_of(whole->body));
}

static void body_found(void *ctx, enum err e, struct delivery_record *whole)
{
    struct delivery *d = ctx;
    struct webhooks *w = d->all;
    struct hook_target *t = d->target;
    if (e == ERR_NONE) {
        fly(d, whole);
        return;
    }
    count_under_way(d, -1);
    t->len++;                          /* the delivery may go, but not its URL */
    if (e == ERR_DELIVERY_NOT_FOUND) { /* deleted meanwhile */
        leave(d);
    } else {
        d->r.next_at.us = time_wall().us + (int64_t)STORE_PAUSE_MS * 1000;
        plan(d);
    }
    t->len--;
    go_on(w, t);
}

static void start(struct delivery *d)
{
    count_under_way(d, 1);
    if (d->r.body != NULL) {
        fly(d, &d->r);
        drop_body(d);
    } else {
        d->stage = STAGE_READING;
        store_find_delivery(d->all->store, d->r.id, &d->read, body_found, d);
    }
}

static void pump(struct webhooks *w)
{
    if (w->is_pumping) { /* an unreadable store calls back at once */
        return;
    }
    w->is_pumping = true;
    while (w->ready_first != NULL && w->in_flight < w->options.concurrency && !w->stopping) {
        struct delivery *d = take_turn(w);
        struct hook_target *t = d->target;
        start(d);
        target_is_ready(w, t);
    }
    w->is_pumping = false;
}

/* ---- redelivery ------------------------------------------------------------------------------ */

static void begin_anew(struct delivery_record *r)
{
    r->state = DELIVERY_PENDING;
    r->tries = 0;
    r->made_at = r->next_at = time_wall();
}

/* Adds a delivery without its body: rereading that detects whether it was accepted just now. */
void webhooks_redeliver(struct webhooks *w, struct delivery_record *take)
{
    struct delivery *d = map_get(&w->by_id, str_of(take->id));
    if (d == NULL) {
        free(take->body);
        take->body = NULL;
        add(w, take);
    } else if (d->stage == STAGE_PLANNED) {
        begin_anew(&d->r);
        deadline_clear(w->deadlines, &d->due);
        plan(d);
    } else {
        begin_anew(&d->r); /* due or on its way; or its end is being written */
        d->again = d->stage == STAGE_ENDING || d->stage == STAGE_OVER;
    }
}

bool webhooks_has_taken(const struct webhooks *w, const char *id)
{
    const struct delivery *d = map_get(&w->by_id, str_of(id));
    return d != NULL && d->taken;
}

void webhooks_count(const struct webhooks *w, struct webhooks_stats *ret)
{
    *ret = (struct webhooks_stats){
        .busy = w->in_flight + w->going,
        .in_flight = w->in_flight,
        .delivered = w->delivered,
        .failed = w->failed,
        .dead = w->dead,
        .forbidden = w->forbidden,
    };
}

const struct webhooks_options *webhooks_options_of(const struct webhooks *w)
{
    return &w->options;
}

void webhooks_write(struct webhooks *w, const struct outbox *o, store_kept_fn done, void *ctx)
{
    const struct store_beside beside = outbox_beside(o);
    pending_add(w->pending);
    store_add_deliveries(w->store, &beside, done, ctx);
}

void webhooks_written(struct webhooks *w, struct outbox *o)
{
    webhooks_take(w, o);
    pending_remove(w->pending);
}

enum err webhooks_renew(struct webhooks *w, struct delivery_record *d)
{
    if (webhooks_has_taken(w, d->id)) {
        return ERR_DELIVERY_NOT_FOUND;
    }
    if (!store_is_writable(w->store)) {
        return ERR_STORE_UNAVAILABLE;
    }
    begin_anew(d);
    store_update_delivery(w->store, d, NULL, NULL);
    return ERR_NONE;
}

/* ---- life ------------------------------------------------------------------------------------ */

struct webhooks *webhooks_new(uv_loop_t *loop, struct store *store, struct deadlines *deadlines,
                              struct pending *pending, const struct webhooks_options *options)
{
    struct webhooks *w = mem_zero(1, sizeof *w);
    w->store = store;
    w->deadlines = deadlines;
    w->pending = pending;
    w->options = *options;
    w->http = http_client_new(loop);
    map_init(&w->hosts);
    map_init(&w->targets);
    map_init(&w->by_id);
    return w;
}

bool webhooks_start(struct webhooks *w)
{
    if (store_load_due_hosts(w->store, host_found, w) != ERR_NONE) {
        return false;
    }
    refill(w);
    return true;
}

void webhooks_stop(struct webhooks *w)
{
    w->stopping = true;
    deadline_clear(w->deadlines, &w->refill);
    store_read_forget(&w->round.read);
    flush_taken(w);
    size_t at = 0;
    for (struct delivery *d = map_next(&w->by_id, &at); d != NULL; d = map_next(&w->by_id, &at)) {
        store_read_forget(&d->read);
        if (d->call != NULL) {
            http_call_cancel(d->call);
            d->call = NULL;
        }
    }
}

void webhooks_free(struct webhooks *w)
{
    size_t at = 0;
    for (struct delivery *d = map_next(&w->by_id, &at); d != NULL; d = map_next(&w->by_id, &at)) {
        deadline_clear(w->deadlines, &d->due);
        delivery_record_done(&d->r);
        free(d);
    }
    map_done(&w->by_id);
    at = 0;
    for (struct hook_target *t = map_next(&w->targets, &at); t != NULL;
         t = map_next(&w->targets, &at)) {
        free(t->url);
        free(t);
    }
    map_done(&w->targets);
    at = 0;
    for (struct hook_host *h = map_next(&w->hosts, &at); h != NULL; h = map_next(&w->hosts, &at)) {
        free(h->name);
        free(h);
    }
    map_done(&w->hosts);
    free(w->round.hosts);
    http_client_close(w->http);
    free(w);
}
