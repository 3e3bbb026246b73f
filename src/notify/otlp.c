/*
 * The push of traces. Jobs wait by their id; a batch is rendered from the store when sent, a second
 * after the first job came or as soon as it is full; its jobs are read one after the other. An
 * endpoint that is down is retried at growing intervals; meanwhile the oldest jobs make room for
 * new ones.
 */
#include "comfypool/notify/otlp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/base/json_write.h"
#include "comfypool/base/log.h"
#include "comfypool/base/uuid.h"
#include "comfypool/loop/deadlines.h"
#include "comfypool/loop/http_client.h"
#include "comfypool/render/render.h"
#include "comfypool/store/finds.h"

enum {
    BATCH = 16,
    BATCH_BYTES = 256 << 10,
    BATCH_MS = 1000,
    CONNECT_MS = 5000,
    REQUEST_MS = 10000,
    FIRST_PAUSE_MS = 1000,
    LAST_PAUSE_MS = 60000,
};

enum { OTLP_MOST = 1000 };

struct otlp {
    struct store *store;
    struct http_client *http;
    struct deadlines *deadlines;
    struct otlp_options options;
    bool stopping;
    char (*ids)[UUID_SIZE]; /* waiting jobs, a ring of OTLP_MOST; NULL: none yet */
    size_t first, len;
    size_t sending;    /* the first ones, in the current body or request... */
    size_t unreadable; /* ...except this many */
    bool is_busy;      /* building a body, or sending it */
    struct buf body;
    struct js_out out; /* into body */
    struct store_read read;
    struct http_call *call;
    struct deadline next;
    int64_t pause_ms;       /* after failures */
    uint64_t sent, dropped; /* jobs, since the start */
};

static void begin_batch(void *ctx);

static void plan(struct otlp *t, int64_t ms)
{
    if (!t->is_busy && t->len > 0 && !t->stopping) {
        deadline_set(t->deadlines, &t->next, mono_add(time_mono(), dur_ms(ms)), begin_batch, t);
    }
}

static void drop_first(struct otlp *t, size_t n)
{
    t->first = (t->first + n) % OTLP_MOST;
    t->len -= n;
}

/* ---- sending --------------------------------------------------------------------------------- */

/* True if the protocol says to retry. */
static bool is_for_later(const struct http_result *r)
{
    return r->outcome != HTTP_ANSWERED || r->status == 429 || r->status == 502 ||
           r->status == 503 || r->status == 504;
}

static void log_failure(const struct otlp *t, const struct http_result *r, const char *then)
{
    char status[32];
    (void)snprintf(status, sizeof status, "HTTP %u", r->status);
    LOG(LOG_WARN, "traces were not taken", LOG_S("to", t->options.url), LOG_S("then", then),
        LOG_S("why", r->outcome == HTTP_ANSWERED ? status : r->error));
}

static void answered(void *ctx, const struct http_result *r)
{
    struct otlp *t = ctx;
    t->call = NULL;
    t->is_busy = false;
    if (is_for_later(r)) {
        if (t->pause_ms == 0) { /* log only once */
            log_failure(t, r, "they are kept and tried again");
        }
        t->pause_ms = t->pause_ms == 0 ? FIRST_PAUSE_MS : t->pause_ms * 2;
        t->pause_ms = t->pause_ms > LAST_PAUSE_MS ? LAST_PAUSE_MS : t->pause_ms;
        t->sending = 0;
        const int64_t asked = r->retry_after.us / 1000;
        plan(t, asked > t->pause_ms && asked < LAST_PAUSE_MS * 10 ? asked : t->pause_ms);
        return;
    }
    const bool good = r->status >= 200 && r->status < 300;
    if (!good) {
        log_failure(t, r, "they are dropped");
    }
    t->sent += good ? t->sending - t->unreadable : 0;
    t->dropped += good ? t->unreadable : t->sending;
    drop_first(t, t->sending);
    t->sending = 0;
    t->pause_ms = 0;
    plan(t, t->len >= BATCH ? 0 : BATCH_MS);
}

static void send_batch(struct otlp *t)
{
    render_otlp_end(&t->out);
    t->call = http_call_start(t->http,
                              &(struct http_request_spec){
                                  .method = "POST",
                                  .url = t->options.url,
                                  .headers = t->options.headers,
                                  .body = buf_str(&t->body),
                                  .connect_timeout = dur_ms(CONNECT_MS),
                                  .timeout = dur_ms(REQUEST_MS),
                                  .sink = &http_sink_none,
                              },
                              answered, t);
    buf_done(&t->body);
}

/* ---- rendering ------------------------------------------------------------------------------- */

/* Adds the job's attempts' profiles, in order. */
static void add_job(struct otlp *t, const struct store_found *f)
{
    struct str *profiles = mem_alloc((f->profiles_len + 1) * sizeof *profiles);
    size_t len = 0;
    for (size_t i = 0; i < f->profiles_len; i++) {
        if (f->profiles[i].attempt > 0 || f->job->attempts == 0) {
            profiles[len++] = f->profiles[i].json;
        }
    }
    struct render_trace trace;
    render_trace_of(f->job, t->options.version, profiles, len, &trace);
    render_otlp_spans(&t->out, &trace);
    free(profiles);
}

static void add_next(struct otlp *t);

static void job_found(void *ctx, const struct store_found *f)
{
    struct otlp *t = ctx;
    if (f->error == ERR_NONE) {
        add_job(t, f);
    } else {
        t->unreadable++; /* or deleted meanwhile */
    }
    t->sending++;
    add_next(t);
}

/* Adds another job to the body, or sends it. */
static void add_next(struct otlp *t)
{
    if (t->sending == t->len || t->sending == BATCH || t->body.len >= BATCH_BYTES) {
        send_batch(t);
        return;
    }
    struct store_wish wish = {.wants = STORE_WANT_PROFILES};
    memcpy(wish.id, t->ids[(t->first + t->sending) % OTLP_MOST], sizeof wish.id);
    store_find_job(t->store, &wish, &t->read, job_found, t);
}

static void begin_batch(void *ctx)
{
    struct otlp *t = ctx;
    t->is_busy = true;
    t->sending = t->unreadable = 0;
    buf_init(&t->body, BUF_NO_LIMIT);
    t->out = js_out_to(&t->body);
    render_otlp_begin(&t->out, t->options.version);
    add_next(t);
}

void otlp_add(struct otlp *t, const char *job_id)
{
    if (t->options.url == NULL || t->stopping) {
        return;
    }
    if (t->ids == NULL) {
        t->ids = mem_zero(OTLP_MOST, sizeof *t->ids);
    }
    if (t->len == OTLP_MOST && t->is_busy) {
        t->dropped++; /* the oldest are being sent */
        return;
    }
    if (t->len == OTLP_MOST) {
        drop_first(t, 1);
        t->dropped++;
    }
    memcpy(t->ids[(t->first + t->len) % OTLP_MOST], job_id, UUID_SIZE);
    t->len++;
    if (t->pause_ms == 0 && t->len >= BATCH) {
        plan(t, 0);
    } else if (!heap_holds(&t->next.node)) {
        plan(t, t->pause_ms > 0 ? t->pause_ms : BATCH_MS);
    }
}

void otlp_stop(struct otlp *t)
{
    t->stopping = true;
    deadline_clear(t->deadlines, &t->next);
    store_read_forget(&t->read);
    if (t->call != NULL) {
        http_call_cancel(t->call);
        t->call = NULL;
    }
}

struct otlp *otlp_new(struct store *store, struct http_client *http, struct deadlines *deadlines,
                      const struct otlp_options *options)
{
    struct otlp *t = mem_zero(1, sizeof *t);
    t->store = store;
    t->http = http;
    t->deadlines = deadlines;
    t->options = *options;
    return t;
}

void otlp_count(const struct otlp *t, struct otlp_stats *ret)
{
    *ret = (struct otlp_stats){.waiting = t->len, .sent = t->sent, .dropped = t->dropped};
}

void otlp_free(struct otlp *t)
{
    buf_done(&t->body);
    free(t->ids);
    free(t);
}
