/*
 * Streams of server-sent events: GET /events and GET /jobs/<id>/events.
 *
 *   REPLAY     what was missed since Last-Event-ID, from the ring      (not without one)
 *   SNAPSHOT   the job, or all active ones, rendered one by one
 *   FOLLOW     what happened meanwhile, from the ring
 *   LIVE       each event as it happens
 *
 * Up to LIVE a stream takes from the ring what its buffer takes, so that it costs no more memory
 * than that; in LIVE what it does not read is kept for it up to BEHIND_BYTES. One that is further
 * behind, or for longer than BEHIND_S, or out of the ring, is dropped: nobody waits for a reader.
 * One event that alone is larger does not count while it is the newest such: the fastest reader is
 * that far behind when it comes.
 * Previews are never queued: the newest goes when all else was read.
 */
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/base64.h"
#include "comfypool/base/log.h"
#include "attempt.h"
#include "clients.h"
#include "events.h"
#include "jobs.h"
#include "serve.h"
#include "state.h"
#include "streams.h"
#include "walls.h"
#include "backends.h"

enum {
    HEARTBEAT_MS = 15000,
    BEHIND_BYTES = 1 << 20,
    BEHIND_S = 30,
    /* One mark a second of when which byte was written. */
    MARKS = BEHIND_S + 2,
};

/* What EventSource waits before it comes back. */
static const struct str hello = STR_INIT("retry: 2000\n");

/* The active jobs at one moment, for snapshots; shared by all streams that begin before the next
   event. */
struct roster {
    unsigned refs;
    uint64_t at; /* the newest event then */
    size_t len;
    char ids[][UUID_SIZE];
};

enum mode { MODE_REPLAY, MODE_SNAPSHOT, MODE_FOLLOW, MODE_LIVE };

struct mark {
    struct mono_us at;
    uint64_t written; /* in all, before that moment's bytes */
};

struct listener {
    struct pool *pool;
    struct listener *next, **link; /* in pool->events.listeners */
    struct http_ref x;
    char job_id[UUID_SIZE]; /* "": all jobs */
    char *wall;             /* only what is seen there, see walls.h; NULL: everything */
    unsigned types;
    bool previews;
    enum mode mode;
    uint64_t cursor; /* the next event to be sent; before LIVE */
    struct roster *roster;
    size_t roster_at;
    bool roster_begun; /* the list has an element */
    uint64_t written;
    uint64_t large_from, large_to; /* of written: the last event larger than BEHIND_BYTES */
    struct mark marks[MARKS];
    unsigned marks_first, marks_len;
    struct deadline heartbeat;
    uint64_t preview_seen;
    bool pumping;
    bool over; /* ended or dropped: freed when nobody looks at it any more */
};

/* ---- rosters ----------------------------------------------------------------------------------
 */

static int by_seq(const void *x, const void *y)
{
    const struct job *a = *(const struct job *const *)x;
    const struct job *b = *(const struct job *const *)y;
    return (a->r.seq > b->r.seq) - (a->r.seq < b->r.seq);
}

static void roster_unref(struct roster *r)
{
    if (r != NULL && --r->refs == 0) {
        free(r);
    }
}

/* The active jobs of a client, or (NULL) all; len: how many there may be. */
static size_t list_active(struct pool *p, const struct client *c, struct job **list)
{
    size_t n = 0;
    size_t at = 0;
    struct job *j = c != NULL ? c->jobs : map_next(&p->jobs, &at);
    while (j != NULL) {
        if (j->stored) {
            list[n++] = j;
        }
        j = c != NULL ? j->client_next : map_next(&p->jobs, &at);
    }
    return n;
}

static struct roster *roster_new(struct pool *p, const char *wall)
{
    const struct client *c = wall == NULL ? NULL : map_get(&p->clients, str_of(wall));
    const size_t most = wall == NULL ? p->jobs.len : c == NULL ? 0 : c->active;
    struct job **list = mem_alloc((most + 1) * sizeof(struct job *));
    const size_t n = most == 0 ? 0 : list_active(p, c, list);
    qsort(list, n, sizeof(struct job *), by_seq);
    struct roster *r = mem_alloc(sizeof *r + n * sizeof *r->ids);
    *r = (struct roster){.refs = 1, .at = p->events.last, .len = n};
    for (size_t i = 0; i < n; i++) {
        memcpy(r->ids[i], list[i]->r.id, UUID_SIZE);
    }
    free(list);
    return r;
}

static struct roster *roster_ref(struct pool *p, const char *wall)
{
    struct events *e = &p->events;
    if (wall != NULL) {
        return roster_new(p, wall);
    }
    if (e->roster != NULL && e->roster->at != e->last) {
        roster_unref(e->roster);
        e->roster = NULL;
    }
    if (e->roster == NULL) {
        e->roster = roster_new(p, NULL);
    }
    e->roster->refs++;
    return e->roster;
}

/* ---- the end of a stream ----------------------------------------------------------------------
 */

static void unlink_listener(struct listener *l)
{
    struct pool *p = l->pool;
    struct events *e = &p->events;
    *l->link = l->next;
    if (l->next != NULL) {
        l->next->link = l->link;
    }
    e->listeners_len--;
    e->preview_listeners -= l->previews ? 1 : 0;
    if (e->listeners_len == 0) { /* nobody will want the same soon */
        roster_unref(e->roster);
        e->roster = NULL;
    }
    deadline_clear(&p->deadlines, &l->heartbeat);
    roster_unref(l->roster);
    l->roster = NULL;
}

static void listener_free(struct listener *l)
{
    free(l->wall);
    free(l);
}

/* It may be on the stack: then it is freed there. */
static void listener_over(struct listener *l)
{
    if (!l->over) {
        l->over = true;
        unlink_listener(l);
    }
    if (!l->pumping) {
        listener_free(l);
    }
}

static void drop(struct listener *l, const char *why)
{
    LOG(LOG_INFO, "the reader of an event stream is dropped", LOG_S("why", why));
    l->pool->events.slow_readers++;
    http_stream_drop(l->pool->server, l->x);
    listener_over(l);
}

static void finish(struct listener *l)
{
    http_stream_end(l->pool->server, l->x, true);
    listener_over(l);
}

static void gone(void *ctx)
{
    listener_over(ctx);
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static void add_mark(struct listener *l, struct mono_us now)
{
    const struct mark *last = &l->marks[(l->marks_first + l->marks_len + MARKS - 1) % MARKS];
    if (l->marks_len > 0 && mono_diff(now, last->at).us < 1000000) {
        return;
    }
    if (l->marks_len == MARKS) {
        return; /* the oldest decides */
    }
    l->marks[(l->marks_first + l->marks_len) % MARKS] = (struct mark){now, l->written};
    l->marks_len++;
}

static bool has_too_much(const struct listener *l, size_t waiting, uint64_t taken)
{
    const uint64_t from = taken > l->large_from ? taken : l->large_from;
    const uint64_t large = l->large_to > from ? l->large_to - from : 0;
    return l->mode == MODE_LIVE && waiting - large > BEHIND_BYTES;
}

/* The reader has fallen too far behind; NULL: it has not. */
static const char *is_behind(struct listener *l, struct mono_us now)
{
    size_t waiting = 0;
    uint64_t taken = 0;
    if (!http_stream_state(l->pool->server, l->x, &waiting, &taken)) {
        return NULL;
    }
    /* A mark is behind us when everything up to the next one was read. */
    while (l->marks_len > 0) {
        const struct mark *next = &l->marks[(l->marks_first + 1) % MARKS];
        const uint64_t up_to = l->marks_len > 1 ? next->written : l->written;
        if (taken < up_to) {
            break;
        }
        l->marks_first = (l->marks_first + 1) % MARKS;
        l->marks_len--;
    }
    if (has_too_much(l, waiting, taken)) {
        return "it is 1 MiB behind";
    }
    if (l->marks_len > 0 &&
        mono_diff(now, l->marks[l->marks_first].at).us > (int64_t)BEHIND_S * 1000000) {
        return "it is 30 s behind";
    }
    return NULL;
}

/* False: the buffer is full. What comes first says when to come back: in a block of its own that
   would be an empty message to some readers. */
static bool put(struct listener *l, struct str text)
{
    add_mark(l, time_mono());
    if (l->written == 0) {
        (void)http_stream_write(l->pool->server, l->x, hello.p, hello.n);
        l->written += hello.n;
    }
    if (text.n > BEHIND_BYTES) {
        l->large_from = l->written;
        l->large_to = l->written + text.n;
    }
    l->written += text.n;
    return http_stream_write(l->pool->server, l->x, text.p, text.n);
}

static void heartbeat(void *ctx)
{
    struct listener *l = ctx;
    struct pool *p = l->pool;
    const struct mono_us now = time_mono();
    const char *behind = is_behind(l, now);
    if (behind != NULL) {
        drop(l, behind);
        return;
    }
    if (l->mode != MODE_SNAPSHOT) { /* which is in the middle of a line, and has bytes to be read */
        (void)put(l, STR(": still here\n"));
    }
    /* Also at the moment when what it has not read is too old. */
    const struct mono_us too_old =
        mono_add(l->marks[l->marks_first].at, dur_ms(BEHIND_S * 1000 + 1));
    deadline_set(&p->deadlines, &l->heartbeat,
                 mono_min(mono_add(now, dur_ms(HEARTBEAT_MS)), too_old), heartbeat, l);
}

/* ---- events as text ----------------------------------------------------------------------------
 */

/* "event: TYPE\nid: START-N\ndata: "; n 0: no id. */
static void begin_event(struct buf *out, const struct events *e, const char *type, bool has_id,
                        uint64_t n)
{
    buf_add_text(out, "event: ");
    buf_add_text(out, type);
    if (has_id) {
        buf_add_text(out, "\nid: ");
        buf_add_text(out, e->start);
        buf_add_char(out, '-');
        buf_add_uint(out, n);
    }
    buf_add_text(out, "\ndata: ");
}

/* What a client gave (metadata) is kept exactly, line breaks between its tokens too; a line break
   ends the data of an event. In JSON it is a blank. */
static void keep_one_line(struct buf *out, size_t from)
{
    static const char breaks[] = {'\n', '\r'};
    for (size_t i = 0; i < sizeof breaks && out->len > from; i++) {
        char *end = out->data + out->len;
        char *at = memchr(out->data + from, breaks[i], out->len - from);
        for (; at != NULL; at = memchr(at, breaks[i], (size_t)(end - at))) {
            *at = ' ';
        }
    }
}

/* The profile goes in before the data's last brace. What cannot be read (the job was deleted) is
   left out. */
static void add_profile(struct pool *p, const struct event *e, struct buf *out)
{
    AUTO_BUF struct buf json;
    buf_init(&json, BUF_NO_LIMIT);
    if (store_get_profile(p->store, e->seq, e->attempt, &json) == ERR_NONE) {
        out->len--;
        buf_add_text(out, ",\"profileStats\":");
        render_profile_brief(buf_str(&json), out);
        buf_add_char(out, '}');
    }
}

static void render_event(struct pool *p, const struct event *e, struct buf *out)
{
    begin_event(out, &p->events, event_name(e->type), e->n != 0, e->n);
    const size_t start = out->len;
    buf_add(out, e->data, e->len);
    if (e->seq != 0) {
        add_profile(p, e, out);
    }
    keep_one_line(out, start);
    buf_add_text(out, "\n\n");
}

static bool is_end(const struct event *e)
{
    return (EVENTS_OF_ENDS >> e->type & 1u) != 0;
}

/* What a backend does is told to everybody, as GET /backends is. */
static bool wants(const struct listener *l, const struct event *e)
{
    return (l->types >> e->type & 1u) != 0 &&
           (e->type == EVENT_BACKEND || wall_lets(l->wall, e->client)) &&
           (l->job_id[0] == '\0' || strcmp(l->job_id, e->job_id) == 0);
}

/* The terminal event of its job was told. */
static bool ends_with(const struct listener *l, const struct event *e)
{
    return l->job_id[0] != '\0' && is_end(e) && strcmp(l->job_id, e->job_id) == 0;
}

/* ---- snapshots ---------------------------------------------------------------------------------
 */

static void begin_snapshot(struct listener *l)
{
    struct pool *p = l->pool;
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    l->mode = MODE_SNAPSHOT;
    l->cursor = p->events.last + 1;
    begin_event(&out, &p->events, "snapshot", true, p->events.last);
    if (l->job_id[0] == '\0') {
        l->roster = roster_ref(p, l->wall);
        l->roster_at = 0;
        l->roster_begun = false;
        buf_add_text(&out, "{\"jobs\":[");
    } else {
        buf_add_text(&out, "{\"job\":");
    }
    (void)put(l, buf_str(&out));
}

static void end_snapshot(struct listener *l)
{
    (void)put(l, l->job_id[0] == '\0' ? STR("]}\n\n") : STR("}\n\n"));
    roster_unref(l->roster);
    l->roster = NULL;
    l->mode = MODE_FOLLOW;
}

/* The next job that is still active; false: that was the last one. */
static bool add_next_job(struct listener *l, struct buf *out)
{
    while (l->roster_at < l->roster->len) {
        struct job *j = job_find(l->pool, serve_id(l->roster->ids[l->roster_at++]));
        if (j != NULL) {
            buf_add_text(out, l->roster_begun ? "," : "");
            l->roster_begun = true;
            serve_render_active(j, false, out);
            keep_one_line(out, 0);
            return true;
        }
    }
    return false;
}

/* One piece of it; false: the buffer is full. */
static bool continue_snapshot(struct listener *l)
{
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    if (l->job_id[0] == '\0' && add_next_job(l, &out)) {
        return put(l, buf_str(&out));
    }
    if (l->job_id[0] != '\0') {
        serve_render_job(l->pool, serve_id(l->job_id), &out);
        keep_one_line(&out, 0);
        (void)put(l, buf_str(&out));
    }
    end_snapshot(l);
    return true;
}

/* ---- the pump ----------------------------------------------------------------------------------
 */

/* One event from the ring; false: the buffer is full, or the stream is over. */
static bool send_kept(struct listener *l)
{
    struct pool *p = l->pool;
    const struct event *e = events_find(&p->events, l->cursor);
    if (e == NULL) {
        drop(l, "what it did not read is not kept any more");
        return false;
    }
    l->cursor++;
    const bool last = l->mode == MODE_FOLLOW && ends_with(l, e);
    bool room = true;
    if (wants(l, e)) {
        AUTO_BUF struct buf out;
        buf_init(&out, BUF_NO_LIMIT);
        render_event(p, e, &out);
        room = put(l, buf_str(&out));
    }
    if (last) {
        finish(l);
    }
    return room && !l->over;
}

/* At the newest event. */
static bool caught_up(struct listener *l)
{
    if (l->mode == MODE_REPLAY) {
        begin_snapshot(l);
        return true;
    }
    l->mode = MODE_LIVE;
    if (l->job_id[0] != '\0' && job_find(l->pool, serve_id(l->job_id)) == NULL) {
        finish(l); /* it has ended, and that was told */
    }
    return false;
}

/* Brings it towards LIVE as far as its buffer allows. */
static void pump(struct listener *l)
{
    if (l->pumping || l->over) {
        return;
    }
    l->pumping = true;
    bool goes_on = true;
    while (goes_on && !l->over && l->mode != MODE_LIVE) {
        goes_on = l->mode == MODE_SNAPSHOT           ? continue_snapshot(l)
                  : l->cursor > l->pool->events.last ? caught_up(l)
                                                     : send_kept(l);
    }
    l->pumping = false;
    if (l->over) {
        listener_free(l);
    }
}

static void drained(void *ctx)
{
    pump(ctx);
}

/* ---- telling -----------------------------------------------------------------------------------
 */

void streams_tell(struct pool *p, const struct event *e)
{
    AUTO_BUF struct buf text; /* made once, for the first that wants it */
    buf_init(&text, BUF_NO_LIMIT);
    const struct mono_us now = time_mono();
    struct listener *next = NULL;
    for (struct listener *l = p->events.listeners; l != NULL; l = next) {
        next = l->next;
        if (l->mode != MODE_LIVE) {
            continue; /* from the ring, when it gets there */
        }
        const char *behind = NULL;
        if (wants(l, e)) {
            if (text.len == 0) {
                render_event(p, e, &text);
            }
            (void)put(l, buf_str(&text));
            behind = is_behind(l, now);
        }
        if (behind != NULL) {
            drop(l, behind);
        } else if (ends_with(l, e)) {
            finish(l);
        }
    }
}

/* ---- previews ----------------------------------------------------------------------------------
 */

static void send_preview(struct listener *l, const struct attempt *a)
{
    const struct preview *v = &a->preview;
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    begin_event(&out, &l->pool->events, event_name(EVENT_PREVIEW), false, 0);
    struct js_out o = js_out_to(&out);
    js_open(&o, '{');
    js_member_string(&o, "jobId", a->job->r.id);
    js_member_int(&o, "attempt", a->r.number);
    js_member_string(&o, "nodeId", v->node_id);
    js_member_string(&o, "mediaType", v->media_type);
    js_key(&o, "image");
    buf_add_char(&out, '"');
    base64_write(&out, buf_str(&v->image));
    buf_add_char(&out, '"');
    buf_add_text(&out, "}\n\n");
    (void)put(l, buf_str(&out));
}

/* The newest preview that it has not seen, when nothing else waits. */
static void offer_preview(struct listener *l)
{
    size_t waiting = 0;
    uint64_t taken = 0;
    if (!l->previews || l->mode != MODE_LIVE || (l->types >> EVENT_PREVIEW & 1u) == 0 ||
        !http_stream_state(l->pool->server, l->x, &waiting, &taken) || waiting > 0) {
        return;
    }
    const struct attempt *best = NULL;
    for (size_t i = 0; i < l->pool->backends_len; i++) {
        for (const struct attempt *a = l->pool->backends[i]->attempts; a != NULL; a = a->next) {
            if (a->preview.n > l->preview_seen && wall_lets(l->wall, a->job->r.client) &&
                (best == NULL || a->preview.n < best->preview.n) &&
                (l->job_id[0] == '\0' || strcmp(l->job_id, a->job->r.id) == 0)) {
                best = a;
            }
        }
    }
    if (best != NULL) {
        l->preview_seen = best->preview.n;
        send_preview(l, best);
    }
}

static void all_read(void *ctx)
{
    offer_preview(ctx);
}

void streams_preview(struct pool *p)
{
    for (struct listener *l = p->events.listeners; l != NULL; l = l->next) {
        offer_preview(l);
    }
}

/* ---- opening -----------------------------------------------------------------------------------
 */

static const struct http_stream_ops stream_ops = {
    .drained = drained, .gone = gone, .empty = all_read};

/* From Last-Event-ID on, or with a snapshot. */
static void choose_mode(struct listener *l, const struct http_request *rq)
{
    uint64_t seen = 0;
    if (rq->resumes && events_read_id(&l->pool->events, rq->last_event_id, &seen)) {
        l->mode = MODE_REPLAY;
        l->cursor = seen + 1;
        return;
    }
    if (rq->resumes) {
        (void)put(l, STR("event: reset\ndata: {\"reason\":\"the Last-Event-ID is unknown or too "
                         "old: what follows is the present\"}\n\n"));
    }
    begin_snapshot(l);
}

static void open_stream(struct pool *p, struct http_request *rq, struct http_ref x)
{
    struct listener *l = mem_zero(1, sizeof *l);
    l->pool = p;
    l->x = x;
    memcpy(l->job_id, rq->job_id, sizeof l->job_id);
    l->types = rq->event_types;
    l->previews = rq->previews;
    l->wall = mem_strdup(wall_of(p, rq));
    struct http_answer a = http_answer_new(200);
    a.content_type = format_media_type(FORMAT_EVENTS);
    a.no_store = true;
    if (!http_stream_begin(p->server, x, &a, -1, &stream_ops, l)) {
        listener_free(l);
        return;
    }
    struct events *e = &p->events;
    l->next = e->listeners;
    l->link = &e->listeners;
    if (l->next != NULL) {
        l->next->link = &l->next;
    }
    e->listeners = l;
    e->listeners_len++;
    e->preview_listeners += l->previews ? 1 : 0;
    deadline_set(&p->deadlines, &l->heartbeat, mono_add(time_mono(), dur_ms(HEARTBEAT_MS)),
                 heartbeat, l);
    choose_mode(l, rq);
    pump(l);
}

/* The reader comes back with what it was given last, and the end of its job is in that: nothing
   will come any more, and 204 tells EventSource so. */
static bool has_seen_end(struct pool *p, const struct http_request *rq)
{
    struct events *e = &p->events;
    uint64_t seen = 0;
    if (rq->route != ROUTE_JOB_EVENTS || !rq->resumes ||
        job_find(p, serve_id(rq->job_id)) != NULL || !events_read_id(e, rq->last_event_id, &seen)) {
        return false;
    }
    for (uint64_t n = seen + 1; n <= e->last; n++) {
        if (strcmp(events_find(e, n)->job_id, rq->job_id) == 0) {
            return false;
        }
    }
    return true;
}

void serve_events(struct pool *p, struct http_request *rq, struct http_ref x)
{
    const enum err e = rq->route == ROUTE_EVENTS ? ERR_NONE : serve_is_stored(p, rq->job_id);
    if (e != ERR_NONE) {
        serve_problem(p, x, e);
    } else if (p->stopping) {
        http_problem_retry(p->server, x, ERR_STORE_UNAVAILABLE, "the daemon is stopping", 1);
    } else if (has_seen_end(p, rq)) {
        struct http_answer a = http_answer_new(204);
        http_answer(p->server, x, &a);
    } else {
        open_stream(p, rq, x);
    }
}

void streams_end(struct pool *p)
{
    while (p->events.listeners != NULL) {
        finish(p->events.listeners);
    }
}
