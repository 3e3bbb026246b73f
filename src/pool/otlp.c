/*
 * The push of traces. Jobs wait by their id; a batch is rendered from the store when it goes, a
 * second after the first job came or as soon as it is full. An endpoint that is down is asked
 * again, later and later; meanwhile the oldest jobs make room for new ones.
 */
#include "otlp.h"

#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/log.h"
#include "state.h"

enum {
    /* A batch is rendered in one turn of the loop. */
    BATCH = 16,
    BATCH_BYTES = 256 << 10,
    BATCH_MS = 1000,
    CONNECT_MS = 5000,
    REQUEST_MS = 10000,
    FIRST_PAUSE_MS = 1000,
    LAST_PAUSE_MS = 60000,
};

static void send_batch(void *ctx);

static void plan(struct pool *p, int64_t ms)
{
    struct otlp *t = &p->otlp;
    if (t->call == NULL && t->len > 0 && !p->stopping) {
        deadline_set(&p->deadlines, &t->next, mono_add(time_mono(), dur_ms(ms)), send_batch, p);
    }
}

static void drop_first(struct otlp *t, size_t n)
{
    t->first = (t->first + n) % OTLP_MOST;
    t->len -= n;
}

/* ---- rendering ---------------------------------------------------------------------------------
 */

/* Its attempts' profiles, in order. False: it cannot be read, or was deleted meanwhile. */
static bool add_job(struct pool *p, const char *id, struct js_out *o)
{
    struct job_record r = {.seq = 0};
    if (store_get_job(p->store, (struct str){id, UUID_TEXT}, &r) != ERR_NONE) {
        job_record_done(&r);
        return false;
    }
    const unsigned first = r.attempts == 0 ? 0 : 1;
    struct buf *texts = mem_zero(r.attempts + 1, sizeof *texts);
    struct str *profiles = mem_zero(r.attempts + 1, sizeof *profiles);
    size_t len = 0;
    for (unsigned n = first; n <= r.attempts; n++) {
        buf_init(&texts[len], BUF_NO_LIMIT);
        if (store_get_profile(p->store, r.seq, n, &texts[len]) == ERR_NONE) {
            profiles[len] = buf_str(&texts[len]);
            len++;
        } else {
            buf_done(&texts[len]);
        }
    }
    struct render_trace t;
    render_trace_of(&r, p->options.version, profiles, len, &t);
    render_otlp_spans(o, &t);
    for (size_t i = 0; i < len; i++) {
        buf_done(&texts[i]);
    }
    free(texts);
    free(profiles);
    job_record_done(&r);
    return true;
}

static void render_batch(struct pool *p, struct buf *out)
{
    struct otlp *t = &p->otlp;
    struct js_out o = js_out_to(out);
    render_otlp_begin(&o, p->options.version);
    t->sending = t->unreadable = 0;
    while (t->sending < t->len && t->sending < BATCH && out->len < BATCH_BYTES) {
        t->unreadable += !add_job(p, t->ids[(t->first + t->sending) % OTLP_MOST], &o);
        t->sending++;
    }
    render_otlp_end(&o);
}

/* ---- sending -----------------------------------------------------------------------------------
 */

/* What the protocol says to try again. */
static bool is_for_later(const struct http_result *r)
{
    return r->outcome != HTTP_ANSWERED || r->status == 429 || r->status == 502 ||
           r->status == 503 || r->status == 504;
}

static void log_failure(const struct pool *p, const struct http_result *r, const char *then)
{
    char status[32];
    (void)snprintf(status, sizeof status, "HTTP %u", r->status);
    LOG(LOG_WARN, "traces were not taken", LOG_S("to", p->options.otlp_url), LOG_S("then", then),
        LOG_S("why", r->outcome == HTTP_ANSWERED ? status : r->error));
}

static void answered(void *ctx, const struct http_result *r)
{
    struct pool *p = ctx;
    struct otlp *t = &p->otlp;
    t->call = NULL;
    if (is_for_later(r)) {
        if (t->pause_ms == 0) { /* said once */
            log_failure(p, r, "they are kept and tried again");
        }
        t->pause_ms = t->pause_ms == 0 ? FIRST_PAUSE_MS : t->pause_ms * 2;
        t->pause_ms = t->pause_ms > LAST_PAUSE_MS ? LAST_PAUSE_MS : t->pause_ms;
        t->sending = 0;
        const int64_t asked = r->retry_after.us / 1000;
        plan(p, asked > t->pause_ms && asked < LAST_PAUSE_MS * 10 ? asked : t->pause_ms);
        return;
    }
    const bool good = r->status >= 200 && r->status < 300;
    if (!good) {
        log_failure(p, r, "they are dropped");
    }
    t->sent += good ? t->sending - t->unreadable : 0;
    t->dropped += good ? t->unreadable : t->sending;
    drop_first(t, t->sending);
    t->sending = 0;
    t->pause_ms = 0;
    plan(p, t->len >= BATCH ? 0 : BATCH_MS);
}

static void send_batch(void *ctx)
{
    struct pool *p = ctx;
    AUTO_BUF struct buf body;
    buf_init(&body, BUF_NO_LIMIT);
    render_batch(p, &body);
    p->otlp.call = http_call_start(p->http,
                                   &(struct http_request_spec){
                                       .method = "POST",
                                       .url = p->options.otlp_url,
                                       .headers = p->options.otlp_headers,
                                       .body = buf_str(&body),
                                       .connect_timeout = dur_ms(CONNECT_MS),
                                       .timeout = dur_ms(REQUEST_MS),
                                       .sink = &http_sink_none,
                                   },
                                   answered, p);
}

void otlp_add(struct pool *p, const char *job_id)
{
    struct otlp *t = &p->otlp;
    if (p->options.otlp_url == NULL || p->stopping) {
        return;
    }
    if (t->ids == NULL) {
        t->ids = mem_zero(OTLP_MOST, sizeof *t->ids);
    }
    if (t->len == OTLP_MOST && t->sending > 0) {
        t->dropped++; /* the oldest are on their way */
        return;
    }
    if (t->len == OTLP_MOST) {
        drop_first(t, 1);
        t->dropped++;
    }
    memcpy(t->ids[(t->first + t->len) % OTLP_MOST], job_id, UUID_SIZE);
    t->len++;
    if (t->pause_ms == 0 && t->len >= BATCH) {
        plan(p, 0);
    } else if (!heap_holds(&t->next.node)) {
        plan(p, t->pause_ms > 0 ? t->pause_ms : BATCH_MS);
    }
}

void otlp_stop(struct pool *p)
{
    struct otlp *t = &p->otlp;
    deadline_clear(&p->deadlines, &t->next);
    if (t->call != NULL) {
        http_call_cancel(t->call);
        t->call = NULL;
    }
}

void otlp_done(struct pool *p)
{
    free(p->otlp.ids);
}
