/*
 * The backends: their links and the operator's settings. A backend gets jobs when its link is up
 * and nothing else bars it (backend_settle); trust.c judges the ends of its prompts, dispatch.c
 * picks the backend of the next job. Invariant: a backend outlives its attempts and strays.
 */
#include "backends.h"

#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/base/log.h"
#include "comfypool/files/input_transfers.h"
#include "comfypool/files/output_copies.h"
#include "comfypool/sampling/sampler.h"
#include "comfypool/store/settings.h"

#include "attempt.h"
#include "attempt_frame.h"
#include "dispatch.h"
#include "eligible.h"
#include "event_publish.h"
#include "input_sending.h"
#include "knowledge.h"
#include "reconcile.h"
#include "review.h"
#include "run_measurement.h"
#include "state.h"
#include "strays.h"
#include "streamed.h"
#include "trust.h"
#include "unlisted.h"

enum {
    IDLE_MS = 5000, /* node threads may still report on a prompt that has ended */
};

/* ---- whether it gets jobs -------------------------------------------------------------------- */

void backend_settle(struct backend *b)
{
    struct pool *p = b->pool;
    knowledge_settle(b);
    const bool takes = b->conn.up && b->terms.admin == ADMIN_NONE && trust_allows(b) &&
                       !b->terms.removing && !knowledge_is_reading(b);
    if (takes != b->slot.up) {
        scheduler_set_up(&p->scheduler, &b->slot, takes);
    }
    publish_backend(b, backend_state_name(b));
    if (takes) {
        p->ops->give_jobs(p);
    }
}

const char *backend_state_name(const struct backend *b)
{
    static const char *const links[] = {
        [COMFY_DOWN] = "down", [COMFY_CONNECTING] = "connecting", [COMFY_UP] = "up"};
    if (b->terms.removing || b->terms.admin == ADMIN_DRAINED) {
        return "draining";
    }
    if (b->terms.admin == ADMIN_QUARANTINED || b->trust.quarantine != QUARANTINE_NONE) {
        return "quarantined";
    }
    const enum comfy_link link = comfy_link_state(b->comfy);
    return links[link == COMFY_UP && !b->conn.up ? COMFY_CONNECTING : link];
}

/* ---- a port that refuses --------------------------------------------------------------------- */

/* The port has refused for long: asks for every attempt there again, so that each learns of it. */
static void refused_long(void *ctx)
{
    struct backend *b = ctx;
    for (struct attempt *a = b->load.attempts; a != NULL; a = a->backend_next) {
        if (attempt_is_posted(&a->state)) {
            attempt_ask_in(a, 0);
        }
    }
}

static void port_refuses(struct backend *b, struct mono_us now)
{
    if (b->conn.refused_lost.us == 0) {
        return; /* a tunnel: says nothing about the server behind it */
    }
    b->conn.refused_at = now;
    if (b->conn.refuses_since.us == 0) {
        b->conn.refuses_since = now;
        deadline_set(&b->pool->deadlines, &b->conn.refused_long,
                     mono_add(now, b->conn.refused_lost), refused_long, b);
    }
}

static void port_listens(struct backend *b)
{
    b->conn.refuses_since = (struct mono_us){0};
    deadline_clear(&b->pool->deadlines, &b->conn.refused_long);
}

/* ---- what backends say ----------------------------------------------------------------------- */

static struct attempt *find_attempt(struct backend *b, struct str prompt_id)
{
    struct attempt *a = b->load.attempts;
    while (a != NULL && !str_is(prompt_id, a->r.prompt_id)) {
        a = a->backend_next;
    }
    return a;
}

/* Handles the frame that a new connection under a prompt's client id gets: one of its nodes has
   begun. */
static void node_runs(struct backend *b)
{
    for (struct attempt *a = b->load.attempts; a != NULL; a = a->backend_next) {
        const bool ours = strcmp(comfy_client_id(b->comfy), a->r.client_id) == 0;
        if (ours && attempt_is_started(&a->state)) {
            attempt_worker_seen(a);
        }
    }
}

/* Servers send node messages to the client id of the running prompt. A message that names no prompt
   is a sign of life of every started attempt there. Cost: O(attempts there). */
static void sign_came(struct backend *b, struct mono_us now, struct str prompt_id, bool proves_node)
{
    for (struct attempt *a = b->load.attempts; a != NULL; a = a->backend_next) {
        const bool ours = strcmp(comfy_client_id(b->comfy), a->r.client_id) == 0;
        const bool told = prompt_id.p == NULL || str_is(prompt_id, a->r.prompt_id);
        if (ours && told && attempt_is_started(&a->state)) {
            attempt_sign(a, now, proves_node);
        }
    }
}

static bool is_bystander(const struct backend *b, uint64_t type)
{
    const unsigned n = b->conn.bystanders_len < BYSTANDERS ? b->conn.bystanders_len : BYSTANDERS;
    unsigned i = 0;
    while (i < n && b->conn.bystanders[i] != type) {
        i++;
    }
    return i < n;
}

/* True if nothing runs there or ran lately: messages that come now are sent regardless of prompts.
 */
static bool is_idle(const struct backend *b, struct mono_us now)
{
    return b->load.attempts == NULL && b->said.queue == 0 &&
           mono_diff(now, b->load.ended_at).us > IDLE_MS * INT64_C(1000);
}

/* Handles a message of a type that servers do not have, mostly a node's. Extensions broadcast such
   messages as well: types seen while nothing ran prove nothing, and of the others only a message
   that names its prompt proves that a node has begun. */
static void own_type_came(struct backend *b, struct mono_us now, const struct frame *f)
{
    const uint64_t type = map_hash(f->name);
    if (f->prompt_id.p != NULL) {
        sign_came(b, now, f->prompt_id, true);
    } else if (is_bystander(b, type)) {
        return;
    } else if (is_idle(b, now)) {
        b->conn.bystanders[b->conn.bystanders_len++ % BYSTANDERS] = type;
    } else {
        sign_came(b, now, f->prompt_id, false);
    }
}

static void unnamed_came(struct backend *b, struct mono_us now, const struct frame *f)
{
    if (f->type == FRAME_EXECUTING && f->node.p != NULL) {
        node_runs(b);
    }
    if (f->type == FRAME_SIGN) {
        own_type_came(b, now, f);
    } else if (f->type != FRAME_OTHER) {
        sign_came(b, now, f->prompt_id, false);
    }
}

static void frame_came(struct backend *b, const struct comfy_event *e)
{
    const struct mono_us now = e->came_at.us != 0 ? e->came_at : e->now;
    const struct frame *f = e->frame;
    if (f->type == FRAME_MONITOR) {
        sampler_frame(b->sampler, now, f);
    } else if (f->type == FRAME_STATUS) {
        reconcile_status(b, f->queue_remaining);
        b->said.queue = f->queue_remaining;
        b->conn.last_status = now;
        measurement_status(b);
        strays_status(b);
    } else if (f->type == FRAME_SIGN || f->prompt_id.p == NULL) {
        unnamed_came(b, now, f);
    } else {
        struct attempt *a = find_attempt(b, f->prompt_id);
        if (a != NULL && attempt_is_posted(&a->state)) {
            attempt_frame(a, e);
        } else if (b->strays != NULL) {
            strays_frame(b, f->prompt_id, f->type);
        } else if (f->type == FRAME_START) {
            measurement_foreign(b);
        }
        if (f->type == FRAME_EXECUTING && f->node.p == NULL) {
            b->load.leaving = 0; /* this frame comes after the status without them */
        }
    }
}

static void went_up(struct backend *b)
{
    struct pool *p = b->pool;
    free(b->said.last_error);
    b->said.last_error = NULL;
    b->said.no_creation = false; /* the server may have been updated */
    b->conn.up = true;
    file_server_set_up(b->file_server, true);
    b->conn.up_since = b->conn.last_status = time_mono();
    b->load.leaving = 0;
    deadline_clear(&p->deadlines, &b->conn.gone);
    breaker_forget_refusals(&p->breaker, b->id); /* the server may have other models now */
    struct attempt *next = NULL;
    for (struct attempt *a = b->load.attempts; a != NULL; a = next) {
        next = a->backend_next;
        if (attempt_is_posted(&a->state) && a->post.call == NULL) {
            attempt_ask_in(a, 0);
            (void)attempt_stop_again(a);
        }
    }
    strays_up(b);
    sampler_up(b->sampler);
    input_server_forget(b->input_server);
    copies_up(b->file_server);
    knowledge_read(b);
    trust_up(b); /* after the strays: this may dispatch jobs */
    backend_settle(b);
}

static void went_down(struct backend *b, struct mono_us now, const char *why)
{
    free(b->said.last_error);
    b->said.last_error = mem_strdup(why);
    const bool lost = b->conn.up;
    b->conn.up = false;
    file_server_set_up(b->file_server, false);
    if (lost) {
        b->trust.link_lost = true;
        b->conn.down_since = now;
        backend_plan_gone(b);
        measurement_lost(b);
        sampler_down(b->sampler);
        knowledge_down(b);
    }
    deadline_clear(&b->pool->deadlines, &b->conn.deaf_check);
    backend_settle(b);
    struct attempt *next = NULL;
    for (struct attempt *a = b->load.attempts; a != NULL; a = next) {
        next = a->backend_next;
        const bool posted = attempt_is_posted(&a->state);
        if (posted && lost) {
            attempt_distrust(a, now, "socket_lost");
        }
        if (posted) {
            attempt_ask_in(a, lost ? 0 : 1000);
            (void)attempt_stop_again(a);
        }
    }
    backend_maybe_reap(b);
}

static void stats_came(struct backend *b, struct mono_us now, const struct stats_answer *s)
{
    sampler_stats(b->sampler, now, s);
    free(b->said.version);
    free(b->said.devices);
    b->said.version = mem_copy(buf_str(&s->version));
    b->said.devices = mem_copy(buf_str(&s->devices));
    b->said.vram = s->vram;
}

/* Returns the attempt whose running node streams its outputs as images; a server runs one prompt at
   a time. */
static struct attempt *streaming_attempt(struct backend *b, const struct frame_preview *f)
{
    struct attempt *a = b->load.attempts;
    while (a != NULL && !(attempt_is_started(&a->state) && attempt_streams(a, f))) {
        a = a->backend_next;
    }
    return a;
}

/* Returns the attempt that a preview belongs to. A preview that names no prompt is ours only if
   nothing else runs there, or if our node does. */
static struct attempt *attempt_of_preview(struct backend *b, const struct frame_preview *f)
{
    if (f->prompt_id.p != NULL) {
        return find_attempt(b, f->prompt_id);
    }
    struct attempt *a = b->load.attempts;
    return a != NULL && a->backend_next == NULL && attempt_is_started(&a->state) &&
                   b->said.queue <= 1
               ? a
               : streaming_attempt(b, f);
}

static void preview_came(struct backend *b, struct mono_us now, const struct frame_preview *f)
{
    sign_came(b, now, f->prompt_id, true);
    struct attempt *a = attempt_of_preview(b, f);
    if (a != NULL && !attempt_is_over(&a->state)) {
        publish_preview(a, f);
        if (attempt_streams(a, f)) {
            attempt_take_streamed(a, f);
        }
    }
}

static void on_backend_event(void *ctx, const struct comfy_event *e)
{
    struct backend *b = ctx;
    switch (e->kind) {
    case COMFY_EVENT_UP:
        went_up(b);
        break;
    case COMFY_EVENT_DOWN:
        went_down(b, e->now, e->text);
        break;
    case COMFY_EVENT_FRAME:
        frame_came(b, e);
        break;
    case COMFY_EVENT_STATS:
        stats_came(b, e->now, e->stats);
        break;
    case COMFY_EVENT_PREVIEW:
        preview_came(b, e->now, e->preview);
        break;
    case COMFY_EVENT_SIGN:
        sign_came(b, e->now, (struct str){NULL, 0}, true);
        break;
    case COMFY_EVENT_LISTENS:
        port_listens(b);
        break;
    case COMFY_EVENT_REFUSED:
        port_refuses(b, e->now);
        break;
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

/* Returns the URL with credentials; an operator's URL overrides the configured one. */
static const char *url_of(const struct backend *b)
{
    return b->terms.overrides.url != NULL || b->terms.configured == NULL ? b->terms.overrides.url
                                                                         : b->terms.configured->url;
}

/* Owner: the caller. */
static char *labels_json(const struct pool_backend_options *c)
{
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    struct js_out o = js_out_to(&b);
    js_open(&o, '[');
    for (size_t i = 0; c != NULL && i < c->labels_len; i++) {
        js_string(&o, c->labels[i]);
    }
    js_close(&o, ']');
    return buf_take(&b);
}

bool backend_has_url(const struct backend *b, const char *url)
{
    return strcmp(url_of(b), url) == 0;
}

void backend_apply_own(struct backend *b)
{
    const struct pool_backend_options *c = b->terms.configured;
    const struct backend_record *o = &b->terms.overrides;
    const bool own = o->name != NULL;
    b->slot.weight = own && o->weight >= 0 ? (double)o->weight : c != NULL ? c->weight : 1.0;
    b->terms.places = own && o->max_in_flight >= 0 ? (unsigned)o->max_in_flight
                      : c != NULL                  ? c->max_in_flight
                                                   : 1;
    free(b->terms.labels);
    b->terms.labels = own && o->labels != NULL ? mem_strdup(o->labels) : labels_json(c);
    names_done(&b->terms.label_names);
    names_read(&b->terms.label_names, str_of(b->terms.labels));
    knowledge_changed(b->pool);
    b->terms.admin = own ? (enum backend_admin)o->admin : ADMIN_NONE;
    trust_set_places(b);
}

static void name_backend(struct backend *b)
{
    AUTO_BUF struct buf url;
    AUTO_BUF struct buf name;
    buf_init(&url, 65536);
    buf_init(&name, 65536);
    comfy_url_clean(url_of(b), &url, &name);
    b->url = buf_take(&url);
    const char *given = b->terms.configured == NULL ? NULL : b->terms.configured->name;
    given = b->terms.overrides.name != NULL ? b->terms.overrides.name : given;
    b->name = given != NULL ? mem_strdup(given) : buf_take(&name);
}

/* Returns the configured headers; they are not sent to a server that an operator put under the same
   name. */
static const char *const *headers_of(const struct backend *b)
{
    return b->terms.configured == NULL || b->terms.overrides.url != NULL
               ? NULL
               : b->terms.configured->headers;
}

void backend_take_headers(struct backend *b)
{
    comfy_set_headers(b->comfy, headers_of(b));
}

struct backend *backend_new(struct pool *p, const struct pool_backend_options *configured,
                            struct backend_record *take_own)
{
    struct backend *b = mem_zero(1, sizeof *b);
    b->pool = p;
    b->id = ++p->last_backend_id;
    b->said.queue = -1;
    catalog_init(&b->knows.catalog);
    b->terms.configured = configured;
    if (take_own != NULL) {
        b->terms.overrides = *take_own;
        *take_own = (struct backend_record){0};
        b->terms.removing =
            b->terms.overrides.removed; /* prompts still running there are followed to their end */
    }
    b->said.version = mem_strdup("");
    b->said.devices = mem_strdup("[]");
    b->conn.refused_lost = configured != NULL && configured->refused_lost.us >= 0
                               ? configured->refused_lost
                               : p->options.refused_lost;
    trust_init(b);
    name_backend(b);
    unlisted_init(b);
    slot_init(&b->slot, 1.0, 1);
    backend_apply_own(b);
    (void)map_put(&p->backends_by_name, str_of(b->name), b);
    p->backends = mem_grow(p->backends, (p->backends_len + 1) * sizeof(struct backend *));
    p->backends[p->backends_len++] = b;
    const struct comfy_spec spec = {
        .name = b->name,
        .url = url_of(b),
        .headers = headers_of(b),
        .ca_file = configured != NULL && configured->ca_file != NULL ? configured->ca_file
                                                                     : p->options.ca_file,
        .timeouts = p->options.timeouts,
    };
    b->comfy = comfy_new(p->loop, p->http, p->ws, &spec, on_backend_event, b);
    b->sampler =
        sampler_new(p->samplers, b->url, b->comfy, configured == NULL ? NULL : configured->gpu);
    b->input_server =
        input_server_new(p->uploads, b->comfy, p->options.upload_subfolder, inputs_sent, b);
    b->file_server = file_server_add(p->file_servers, b->name, b->comfy);
    comfy_want_previews(b->comfy, true); /* GET /jobs/<id>/preview */
    b->conn.down_since = time_mono();
    backend_plan_gone(b);
    return b;
}

void backend_free(struct backend *b)
{
    struct pool *p = b->pool;
    input_server_free(b->input_server);
    copies_leave(b->file_server);
    file_server_remove(b->file_server);
    knowledge_done(b);
    store_read_forget(&b->reading_accepted);
    accepted_clear(&b->accepted);
    names_done(&b->terms.label_names);
    comfy_close(b->comfy);
    strays_free(b);
    sampler_free(b->sampler);
    scheduler_set_up(&p->scheduler, &b->slot, false);
    deadline_clear(&p->deadlines, &b->conn.gone);
    deadline_clear(&p->deadlines, &b->conn.deaf_check);
    deadline_clear(&p->deadlines, &b->terms.reap);
    deadline_clear(&p->deadlines, &b->conn.refused_long);
    trust_done(b);
    (void)map_remove(&p->backends_by_name, str_of(b->name));
    backend_record_done(&b->terms.overrides);
    free(b->name);
    free(b->url);
    free(b->said.version);
    free(b->said.devices);
    free(b->terms.labels);
    free(b->said.last_error);
    free(b);
}

/* True if no prompt of ours is there or may turn up. A backend out of reach for link.backendLostMs
   is not awaited: its strays are forgotten with it. */
static bool is_free_of_us(const struct backend *b)
{
    const int64_t down_us = b->conn.up ? 0 : mono_diff(time_mono(), b->conn.down_since).us;
    const bool lost = !b->conn.up && down_us >= b->pool->options.backend_lost.us;
    const bool nothing = b->strays == NULL && !copies_wait_for(b->file_server);
    return b->load.refs == 0 && (nothing || lost);
}

static void reap(void *ctx)
{
    struct backend *b = ctx;
    struct pool *p = b->pool;
    if (!b->terms.removing || !is_free_of_us(b)) {
        return; /* the removal was taken back, or a prompt came back */
    }
    size_t i = 0;
    while (p->backends[i] != b) {
        i++;
    }
    memmove(&p->backends[i], &p->backends[i + 1],
            (p->backends_len - i - 1) * sizeof(struct backend *));
    p->backends_len--;
    LOG(LOG_INFO, "backend removed", LOG_S("backend", b->name));
    if (backend_configured(p, b->name) == NULL) {
        store_delete_backend(p->store, b->name, NULL, NULL);
    }
    breaker_forget_backend(&p->breaker, b->id);
    backend_free(b);
    review_begin(p);
}

void backend_maybe_reap(struct backend *b)
{
    if (b->terms.removing && !b->pool->stopping && is_free_of_us(b)) {
        deadline_set(&b->pool->deadlines, &b->terms.reap, time_mono(), reap, b);
    }
}

/* ---- the start: what is configured, and over it what people changed -------------------------- */

struct changes {
    struct backend_record *list;
    size_t len;
};

static void collect(void *ctx, struct backend_record *found)
{
    struct changes *c = ctx;
    c->list = mem_grow(c->list, (c->len + 1) * sizeof *c->list);
    c->list[c->len++] = *found;
    *found = (struct backend_record){0};
}

static struct backend_record *find_change(const struct changes *c, const char *name)
{
    for (size_t i = 0; i < c->len; i++) {
        if (c->list[i].name != NULL && strcmp(c->list[i].name, name) == 0) {
            return &c->list[i];
        }
    }
    return NULL;
}

const struct pool_backend_options *backend_configured(const struct pool *p, const char *name)
{
    for (size_t i = 0; i < p->options.backends_len; i++) {
        if (strcmp(p->options.backends[i].name, name) == 0) {
            return &p->options.backends[i];
        }
    }
    return NULL;
}

static void load_configured(struct pool *p, const struct pool_backend_options *o,
                            const struct changes *changes)
{
    struct backend_record *own = find_change(changes, o->name);
    if (own != NULL && own->removed) {
        LOG(LOG_WARN,
            "a configured backend was removed by DELETE and is left out; POST /backends "
            "adds it again",
            LOG_S("backend", o->name));
    }
    (void)backend_new(p, o, own);
}

/* Warns of a backend that was added and later configured under another name. */
static void warn_of_twin(const struct backend *b)
{
    for (size_t i = 0; i < b->pool->backends_len; i++) {
        const struct backend *other = b->pool->backends[i];
        if (other != b && !other->terms.removing && !b->terms.removing &&
            strcmp(other->url, b->url) == 0) {
            LOG(LOG_WARN,
                "a server is there under two names and is given twice what it takes; "
                "DELETE /backends/<name> removes the added one",
                LOG_S("backend", other->name), LOG_S("added", b->name), LOG_S("url", b->url));
        }
    }
}

bool backends_load(struct pool *p)
{
    struct changes changes = {.len = 0};
    const bool good = store_load_backends(p->store, collect, &changes) == ERR_NONE;
    for (size_t i = 0; good && i < p->options.backends_len; i++) {
        load_configured(p, &p->options.backends[i], &changes);
    }
    for (size_t i = 0; i < changes.len; i++) {
        struct backend_record *own = &changes.list[i];
        if (good && own->name != NULL && own->url != NULL) {
            warn_of_twin(backend_new(p, NULL, own));
        }
        backend_record_done(own);
    }
    free(changes.list);
    return good;
}

void backends_reap(struct pool *p)
{
    for (size_t i = 0; i < p->backends_len; i++) {
        backend_maybe_reap(p->backends[i]);
    }
}
