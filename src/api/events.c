/*
 * Streams of server-sent events: GET /events and GET /jobs/<id>/events.
 *
 *   REPLAY     events missed since Last-Event-ID, from the ring        (not without one)
 *   SNAPSHOT   the job, or all active ones, rendered one by one
 *   FOLLOW     events since then, from the ring
 *   LIVE       each event as it happens
 *
 * Up to LIVE a stream reads from the ring only as fast as its buffer drains, so that it costs no
 * more memory than that; in LIVE unread bytes are queued, up to BEHIND_BYTES. A reader that is
 * further behind, or for longer than BEHIND_S, or out of the ring, is dropped: events never wait
 * for a reader. An event that is larger by itself does not count while it is the newest such: even
 * the fastest reader is that far behind when it comes. Previews are never queued: the newest is
 * sent once all else was read.
 *
 * The event and the snapshot of an ended job include its data from the store. While that is read
 * the stream pauses; one in LIVE goes back to FOLLOW for it. The profile of a job that ends now is
 * in the store's memory, without a wait. One read serves all streams at an event.
 */
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/base64.h"
#include "comfypool/base/json_write.h"
#include "comfypool/base/list.h"
#include "comfypool/base/log.h"
#include "comfypool/pool/jobs.h"
#include "comfypool/pool/stats.h"
#include "comfypool/pool/walls.h"
#include "comfypool/render/render.h"
#include "comfypool/store/finds.h"

#include "args.h"
#include "bodies.h"
#include "found.h"
#include "inner.h"
#include "params.h"
#include "streams.h"

enum {
    HEARTBEAT_MS = 15000,
    BEHIND_BYTES = 1 << 20,
    BEHIND_S = 30,
    /* One mark a second: the time, and the bytes written before. */
    MARKS = BEHIND_S + 2,
};

/* Tells EventSource how long to wait before it reconnects. */
static const struct str hello = STR_INIT("retry: 2000\n");

/* The active jobs at one moment, for snapshots; shared by all streams that begin before the next
   event. */
struct roster {
    unsigned refs;
    uint64_t at; /* number of the newest event then */
    size_t len;
    char (*ids)[UUID_SIZE];
};

enum mode { MODE_REPLAY, MODE_SNAPSHOT, MODE_FOLLOW, MODE_LIVE };

struct mark {
    struct mono_us at;
    uint64_t written; /* total before that moment's bytes */
};

struct listener {
    struct api *api;
    struct listener *next, **link; /* in api->streams.first */
    struct http_ref request;
    char job_id[UUID_SIZE]; /* "": all jobs */
    char *wall;             /* limits the events, see walls.h; NULL: all */
    unsigned types;
    bool previews;
    enum mode mode;
    uint64_t cursor;        /* number of the next event to send; before LIVE */
    bool waits;             /* for the store: nothing is sent meanwhile */
    struct store_read read; /* of a snapshot's job */
    struct roster *roster;
    size_t roster_at;
    bool roster_begun; /* the list has an element */
    uint64_t written;
    uint64_t large_from, large_to; /* range in written of the last event larger than BEHIND_BYTES */
    struct mark marks[MARKS];
    unsigned marks_first, marks_len;
    struct deadline heartbeat;
    uint64_t preview_seen;
    bool pumping;
    bool over; /* ended or dropped: freed once pump is done with it */
};

/* An event whose profile is being read from the store. */
struct telling {
    struct api *api;
    struct telling *next, **link; /* in api->streams.tellings */
    uint64_t n;                   /* number of the event */
    struct store_read read;
    bool awaited; /* streams wait for it: freed once sent to them */
    bool made;
    struct buf text; /* empty: the event is no longer kept */
};

/* ---- rosters --------------------------------------------------------------------------------- */

static void roster_unref(struct roster *r)
{
    if (r != NULL && --r->refs == 0) {
        free(r->ids);
        free(r);
    }
}

static struct roster *roster_new(struct api *a, const char *wall)
{
    struct roster *r = mem_alloc(sizeof *r);
    *r = (struct roster){.refs = 1, .at = a->streams.events->last};
    r->len = pool_list_active(a->pool, wall, &r->ids);
    return r;
}

static struct roster *roster_ref(struct api *a, const char *wall)
{
    struct event_streams *s = &a->streams;
    if (wall != NULL) {
        return roster_new(a, wall);
    }
    if (s->roster != NULL && s->roster->at != s->events->last) {
        roster_unref(s->roster);
        s->roster = NULL;
    }
    if (s->roster == NULL) {
        s->roster = roster_new(a, NULL);
    }
    s->roster->refs++;
    return s->roster;
}

/* ---- the end of a stream --------------------------------------------------------------------- */

static void count_listeners(const struct event_streams *s)
{
    events_set_listeners(s->events, s->len, s->with_previews);
}

static void unlink_listener(struct listener *l)
{
    struct event_streams *s = &l->api->streams;
    list_remove(l, next, link);
    s->len--;
    s->with_previews -= l->previews ? 1 : 0;
    count_listeners(s);
    if (s->len == 0) { /* no reuse is expected soon */
        roster_unref(s->roster);
        s->roster = NULL;
    }
    deadline_clear(&l->api->deadlines, &l->heartbeat);
    store_read_forget(&l->read);
    roster_unref(l->roster);
    l->roster = NULL;
}

static void listener_free(struct listener *l)
{
    free(l->wall);
    free(l);
}

/* Unlinks and frees a listener; one that is being pumped is freed by pump. */
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

static void cut(struct listener *l, const char *why)
{
    LOG(LOG_INFO, "an event stream is cut", LOG_S("why", why));
    http_stream_drop(l->api->http, l->request);
    listener_over(l);
}

static void drop(struct listener *l, const char *why)
{
    l->api->streams.events->slow_readers++;
    cut(l, why);
}

static void finish(struct listener *l)
{
    http_stream_end(l->api->http, l->request, true);
    listener_over(l);
}

static void gone(void *ctx)
{
    listener_over(ctx);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void add_mark(struct listener *l, struct mono_us now)
{
    const struct mark *last = &l->marks[(l->marks_first + l->marks_len + MARKS - 1) % MARKS];
    if (l->marks_len > 0 && mono_diff(now, last->at).us < 1000000) {
        return;
    }
    if (l->marks_len == MARKS) {
        return; /* the oldest marks decide */
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

/* Returns why the reader is too far behind; NULL: it is not. */
static const char *is_behind(struct listener *l, struct mono_us now)
{
    size_t waiting = 0;
    uint64_t taken = 0;
    if (!http_stream_state(l->api->http, l->request, &waiting, &taken)) {
        return NULL;
    }
    /* A mark is done when everything up to the next one was read. */
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

/* Writes text; false: the buffer is full. The first text is preceded by the reconnection time: in a
   block of its own that would be an empty message to some readers. */
static bool put(struct listener *l, struct str text)
{
    add_mark(l, time_mono());
    if (l->written == 0) {
        (void)http_stream_write(l->api->http, l->request, hello.p, hello.n);
        l->written += hello.n;
    }
    if (text.n > BEHIND_BYTES) {
        l->large_from = l->written;
        l->large_to = l->written + text.n;
    }
    l->written += text.n;
    return http_stream_write(l->api->http, l->request, text.p, text.n);
}

static void heartbeat(void *ctx)
{
    struct listener *l = ctx;
    struct api *a = l->api;
    const struct mono_us now = time_mono();
    const char *behind = is_behind(l, now);
    if (behind != NULL) {
        drop(l, behind);
        return;
    }
    if (l->mode != MODE_SNAPSHOT) { /* else in the middle of a line, with bytes left to read */
        (void)put(l, STR(": still here\n"));
    }
    struct mono_us next = mono_add(now, dur_ms(HEARTBEAT_MS));
    if (l->marks_len > 0) { /* early when the oldest unread bytes become too old */
        next = mono_min(next, mono_add(l->marks[l->marks_first].at, dur_ms(BEHIND_S * 1000 + 1)));
    }
    deadline_set(&a->deadlines, &l->heartbeat, next, heartbeat, l);
}

/* ---- events as text -------------------------------------------------------------------------- */

/* Writes "event: TYPE\nid: START-N\ndata: "; the id only if has_id. */
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

/* Replaces line breaks with blanks, which mean the same in JSON: a line break ends the data of an
   event, but a client's metadata is kept verbatim, with those between its tokens. */
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

/* Renders an event, with the profile before the data's last brace (n == 0: none). */
static void render_event(struct api *a, const struct event *e, struct str profile, struct buf *out)
{
    begin_event(out, a->streams.events, event_name(e->type), e->n != 0, e->n);
    const size_t start = out->len;
    buf_add(out, e->data, e->len);
    if (profile.n > 0) {
        out->len--;
        buf_add_text(out, ",\"profileStats\":");
        render_profile_brief(profile, out);
        buf_add_char(out, '}');
    }
    keep_one_line(out, start);
    buf_add_text(out, "\n\n");
}

static bool is_end(const struct event *e)
{
    return (EVENTS_OF_ENDS >> e->type & 1u) != 0;
}

/* True if the listener gets the event. Events of backends go to all clients, as GET /backends
   does. */
static bool wants(const struct listener *l, const struct event *e)
{
    return (l->types >> e->type & 1u) != 0 &&
           (e->type == EVENT_BACKEND || wall_lets(l->wall, e->client)) &&
           (l->job_id[0] == '\0' || strcmp(l->job_id, e->job_id) == 0);
}

/* True for the terminal event of the listener's job. */
static bool ends_with(const struct listener *l, const struct event *e)
{
    return l->job_id[0] != '\0' && is_end(e) && strcmp(l->job_id, e->job_id) == 0;
}

/* ---- profiles of events ---------------------------------------------------------------------- */

static void pump(struct listener *l);

static void telling_free(struct telling *t)
{
    store_read_forget(&t->read);
    list_remove(t, next, link);
    buf_done(&t->text);
    free(t);
}

/* Renders the event and resumes its streams. An unreadable profile (the job was deleted) is left
   out. */
static void profile_came(void *ctx, const struct store_found *f)
{
    struct telling *t = ctx;
    struct event_streams *s = &t->api->streams;
    const struct event *e = events_find(s->events, t->n);
    if (e != NULL) {
        render_event(t->api, e, f->profile, &t->text);
    }
    t->made = true;
    if (!t->awaited) {
        return; /* called synchronously: make_text takes the text */
    }
    struct listener *next = NULL;
    for (struct listener *l = s->first; l != NULL; l = next) {
        next = l->next;
        if (l->waits && l->mode != MODE_SNAPSHOT && l->cursor == t->n) {
            l->waits = false;
            pump(l);
        }
    }
    telling_free(t);
}

static struct telling *telling_of(struct api *a, const struct event *e)
{
    for (struct telling *t = a->streams.tellings; t != NULL; t = t->next) {
        if (t->n == e->n) {
            return t;
        }
    }
    struct telling *t = mem_zero(1, sizeof *t);
    t->api = a;
    t->n = e->n;
    buf_init(&t->text, BUF_NO_LIMIT);
    list_push(&a->streams.tellings, t, next, link);
    struct store_wish wish = {.wants = STORE_WANT_PROFILE, .attempt = e->attempt};
    memcpy(wish.id, e->job_id, sizeof wish.id);
    store_find_job(a->store, &wish, &t->read, profile_came, t);
    return t;
}

/* Makes the text of an event. False: its profile is being read; streams that wait for it are pumped
   afterwards. */
static bool make_text(struct api *a, const struct event *e, struct buf *out)
{
    if (e->seq == 0) {
        render_event(a, e, (struct str){NULL, 0}, out);
        return true;
    }
    struct telling *t = telling_of(a, e);
    t->awaited = t->awaited || !t->made;
    const bool made = t->made;
    buf_add_str(out, buf_str(&t->text));
    if (!t->awaited) {
        telling_free(t);
    }
    return made;
}

/* ---- snapshots ------------------------------------------------------------------------------- */

static void begin_snapshot(struct listener *l)
{
    struct api *a = l->api;
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    l->mode = MODE_SNAPSHOT;
    l->cursor = a->streams.events->last + 1;
    begin_event(&out, a->streams.events, "snapshot", true, a->streams.events->last);
    if (l->job_id[0] == '\0') {
        l->roster = roster_ref(a, l->wall);
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

/* Adds the next job that is still active; false: no more. */
static bool add_next_job(struct listener *l, struct buf *out)
{
    while (l->roster_at < l->roster->len) {
        const char *id = l->roster->ids[l->roster_at++];
        if (pool_has_job(l->api->pool, id)) {
            buf_add_text(out, l->roster_begun ? "," : "");
            l->roster_begun = true;
            (void)api_render_active(l->api, id, false, out);
            keep_one_line(out, 0);
            return true;
        }
    }
    return false;
}

/* Sends the job and ends the snapshot. ended: a job that is not active; NULL: deleted. */
static void put_job(struct listener *l, const struct job_record *ended)
{
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    const bool is_active = api_render_active(l->api, l->job_id, false, &out);
    if (!is_active && ended != NULL) {
        render_job_json(ended, NULL, &out);
    } else if (!is_active) {
        buf_add_text(&out, "null");
    }
    keep_one_line(&out, 0);
    (void)put(l, buf_str(&out));
    end_snapshot(l);
}

static void job_came(void *ctx, const struct store_found *f)
{
    struct listener *l = ctx;
    l->waits = false;
    if (f->error == ERR_STORE_UNAVAILABLE) {
        cut(l, "the store cannot be read");
        return;
    }
    put_job(l, f->error == ERR_NONE ? f->job : NULL);
    pump(l);
}

/* Sends the whole snapshot of one job; false: it is being read. */
static bool take_job(struct listener *l)
{
    if (pool_has_job(l->api->pool, l->job_id)) {
        put_job(l, NULL);
        return true;
    }
    struct store_wish wish = {.wants = 0};
    memcpy(wish.id, l->job_id, sizeof wish.id);
    l->waits = true;
    store_find_job(l->api->store, &wish, &l->read, job_came, l);
    return !l->waits;
}

/* Sends a piece of a snapshot; false: the buffer is full, or the store is being read. */
static bool continue_snapshot(struct listener *l)
{
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    if (l->job_id[0] != '\0') {
        return take_job(l);
    }
    if (add_next_job(l, &out)) {
        return put(l, buf_str(&out));
    }
    end_snapshot(l);
    return true;
}

/* ---- the pump -------------------------------------------------------------------------------- */

/* Sends one event from the ring; false: the buffer is full, the store is being read, or the stream
   is over. */
static bool send_kept(struct listener *l)
{
    struct api *a = l->api;
    const struct event *e = events_find(a->streams.events, l->cursor);
    if (e == NULL) {
        drop(l, "what it did not read is not kept any more");
        return false;
    }
    const bool wanted = wants(l, e);
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    if (wanted && !make_text(a, e, &out)) {
        l->waits = true;
        return false;
    }
    l->cursor++;
    const bool room = !wanted || put(l, buf_str(&out));
    if (l->mode == MODE_FOLLOW && ends_with(l, e)) {
        finish(l);
    }
    return room && !l->over;
}

/* Enters the next mode at the newest event; false: no more to pump. */
static bool caught_up(struct listener *l)
{
    if (l->mode == MODE_REPLAY) {
        begin_snapshot(l);
        return true;
    }
    l->mode = MODE_LIVE;
    if (l->job_id[0] != '\0' && !pool_has_job(l->api->pool, l->job_id)) {
        finish(l); /* its end was sent */
    }
    return false;
}

/* Advances a listener towards LIVE as far as its buffer allows. */
static void pump(struct listener *l)
{
    if (l->pumping || l->over || l->waits) {
        return;
    }
    l->pumping = true;
    bool goes_on = true;
    while (goes_on && !l->over && l->mode != MODE_LIVE) {
        goes_on = l->mode == MODE_SNAPSHOT                   ? continue_snapshot(l)
                  : l->cursor > l->api->streams.events->last ? caught_up(l)
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

/* ---- live events ----------------------------------------------------------------------------- */

/* Sends a live event. text is made once, for the first listener that wants it. */
static void tell_one(struct listener *l, const struct event *e, struct mono_us now,
                     struct buf *text)
{
    const char *behind = NULL;
    if (wants(l, e)) {
        if (text->len == 0 && !make_text(l->api, e, text)) {
            l->mode = MODE_FOLLOW;
            l->cursor = e->n;
            l->waits = true;
            return;
        }
        (void)put(l, buf_str(text));
        behind = is_behind(l, now);
    }
    if (behind != NULL) {
        drop(l, behind);
    } else if (ends_with(l, e)) {
        finish(l);
    }
}

static void tell(void *ctx, const struct event *e)
{
    struct api *a = ctx;
    AUTO_BUF struct buf text;
    buf_init(&text, BUF_NO_LIMIT);
    const struct mono_us now = time_mono();
    struct listener *next = NULL;
    for (struct listener *l = a->streams.first; l != NULL; l = next) {
        next = l->next;
        if (l->mode == MODE_LIVE) { /* else from the ring, later */
            tell_one(l, e, now, &text);
        }
    }
}

/* ---- previews -------------------------------------------------------------------------------- */

static void send_preview(struct listener *l, const struct preview_view *v)
{
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    begin_event(&out, l->api->streams.events, event_name(EVENT_PREVIEW), false, 0);
    struct js_out o = js_out_to(&out);
    js_open(&o, '{');
    js_member_string(&o, "jobId", v->job_id);
    js_member_int(&o, "attempt", v->attempt);
    js_member_string(&o, "nodeId", v->node_id);
    js_member_string(&o, "mediaType", v->media_type);
    js_key(&o, "image");
    buf_add_char(&out, '"');
    base64_write(&out, v->image);
    buf_add_char(&out, '"');
    buf_add_text(&out, "}\n\n");
    (void)put(l, buf_str(&out));
}

/* Sends the newest unseen preview, if no other bytes wait. */
static void offer_preview(struct listener *l)
{
    size_t waiting = 0;
    uint64_t taken = 0;
    struct preview_view v;
    if (!l->previews || l->mode != MODE_LIVE || (l->types >> EVENT_PREVIEW & 1u) == 0 ||
        !http_stream_state(l->api->http, l->request, &waiting, &taken) || waiting > 0) {
        return;
    }
    if (pool_next_preview(l->api->pool, l->wall, l->job_id, l->preview_seen, &v)) {
        l->preview_seen = v.n;
        send_preview(l, &v);
    }
}

static void all_read(void *ctx)
{
    offer_preview(ctx);
}

static void preview(void *ctx)
{
    struct api *a = ctx;
    for (struct listener *l = a->streams.first; l != NULL; l = l->next) {
        offer_preview(l);
    }
}

/* ---- opening --------------------------------------------------------------------------------- */

static const struct http_stream_ops stream_ops = {
    .drained = drained, .gone = gone, .empty = all_read};

/* Starts after Last-Event-ID, or with a snapshot. */
static void choose_mode(struct listener *l, const struct http_request *rq)
{
    uint64_t seen = 0;
    if (rq->resumes && events_read_id(l->api->streams.events, rq->last_event_id, &seen)) {
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

static void open_stream(struct api *a, struct http_request *rq, struct http_ref x)
{
    struct event_streams *s = &a->streams;
    struct listener *l = mem_zero(1, sizeof *l);
    l->api = a;
    l->request = x;
    memcpy(l->job_id, args_of(rq)->job_id, sizeof l->job_id);
    l->types = args_of(rq)->event_types;
    l->previews = args_of(rq)->previews || args_of(rq)->names_previews;
    l->wall = mem_strdup(api_wall(a, rq));
    struct http_answer answer = http_answer_new(200);
    answer.content_type = format_media_type(FORMAT_EVENTS);
    answer.no_store = true;
    if (!http_stream_begin(a->http, x, &answer, -1, &stream_ops, l)) {
        listener_free(l);
        return;
    }
    list_push(&s->first, l, next, link);
    s->len++;
    s->with_previews += l->previews ? 1 : 0;
    count_listeners(s);
    deadline_set(&a->deadlines, &l->heartbeat, mono_add(time_mono(), dur_ms(HEARTBEAT_MS)),
                 heartbeat, l);
    choose_mode(l, rq);
    pump(l);
}

/* True if the reader resumes after the end of its job: no more will come, which 204 tells
   EventSource. */
static bool has_seen_end(struct api *a, const struct http_request *rq)
{
    struct events *e = a->streams.events;
    uint64_t seen = 0;
    if (!rq->resumes || pool_has_job(a->pool, args_of(rq)->job_id) ||
        !events_read_id(e, rq->last_event_id, &seen)) {
        return false;
    }
    for (uint64_t n = seen + 1; n <= e->last; n++) {
        if (strcmp(events_find(e, n)->job_id, args_of(rq)->job_id) == 0) {
            return false;
        }
    }
    return true;
}

/* True after a refusal: the daemon is stopping. */
static bool is_stopping(struct api *a, struct http_ref x)
{
    const bool stopping = pool_is_stopping(a->pool);
    if (stopping) {
        http_problem_retry(a->http, x, ERR_STORE_UNAVAILABLE, "the daemon is stopping", 1);
    }
    return stopping;
}

static void follow_all(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    if (!is_stopping(a, x)) {
        open_stream(a, rq, x);
    }
}

/* Opens a job's stream; f NULL: the job is active. */
static void follow_found(struct api *a, struct http_request *rq, struct http_ref x,
                         const struct store_found *f)
{
    if (f != NULL && f->error != ERR_NONE) {
        api_refuse(a, x, f->error);
    } else if (is_stopping(a, x)) {
        return;
    } else if (has_seen_end(a, rq)) {
        struct http_answer answer = http_answer_new(204);
        http_answer(a->http, x, &answer);
    } else {
        open_stream(a, rq, x);
    }
}

static void follow_job(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    const char *id = args_of(rq)->job_id;
    if (pool_has_job(a->pool, id)) {
        follow_found(a, rq, x, NULL);
    } else {
        api_find_job(a, rq, x, id, &(struct api_find){.found = follow_found});
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

void streams_init(struct api *a)
{
    const struct events_reader reader = {tell, preview, a};
    a->streams.events = pool_events(a->pool);
    events_set_reader(a->streams.events, &reader);
}

void streams_done(struct api *a)
{
    roster_unref(a->streams.roster);
    while (a->streams.tellings != NULL) {
        telling_free(a->streams.tellings);
    }
}

void api_end_streams(struct api *a)
{
    while (a->streams.first != NULL) {
        finish(a->streams.first);
    }
}

static const struct http_route routes[] = {
    {"GET", "/jobs/{id}/events", ROLE_READ, .serve = follow_job, .door = DOOR_JOB,
     .params = PARAMS(&param_types, &param_previews), .formats = 1u << FORMAT_EVENTS},
    {"GET", "/events", ROLE_READ, .serve = follow_all,
     .params = PARAMS(&param_types, &param_previews), .formats = 1u << FORMAT_EVENTS},
};
const struct http_table api_events = API_TABLE(routes);
