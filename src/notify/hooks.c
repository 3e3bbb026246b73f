/*
 * Runs of hooks.exec: at most a configured number at once, MOST_WAITING behind them in order. Each
 * has its own process group, which is killed at its timeout; see loop/process.h.
 */
#include "comfypool/notify/hooks.h"

#include <stdlib.h>

#include "comfypool/base/list.h"
#include "comfypool/base/log.h"
#include "comfypool/loop/process.h"
#include "comfypool/notify/webhooks.h"

enum { MOST_WAITING = 1000 };

struct hook_run {
    struct hooks *hooks;
    struct hook_run *next, **link; /* link: if running */
    struct process *process;
    struct buf body;
};

struct hooks {
    uv_loop_t *loop;
    struct hooks_options options;
    bool stopping;
    struct hook_run *first, *last; /* waiting */
    struct hook_run *running;
    size_t waiting_len;
    size_t running_len;
    uint64_t completed, failed, timed_out, dropped; /* since the start */
};

bool hooks_want(const struct hooks *h, enum event_type type)
{
    return h->options.exec != NULL && (h->options.events >> type & 1u) != 0;
}

static void run_free(struct hook_run *r)
{
    buf_done(&r->body);
    free(r);
}

static void start_next(struct hooks *h);

static void count(struct hooks *h, const struct process_end *e)
{
    h->timed_out += e->timed_out ? 1 : 0;
    h->failed += !e->timed_out && e->why[0] != '\0' ? 1 : 0;
    h->completed += e->why[0] == '\0' ? 1 : 0;
}

static void ended(void *ctx, const struct process_end *e)
{
    struct hook_run *r = ctx;
    struct hooks *h = r->hooks;
    count(h, e);
    if (e->why[0] != '\0') {
        LOG(LOG_WARN, "the hook program failed", LOG_S("program", h->options.exec),
            LOG_S("why", e->why));
    }
    list_remove(r, next, link);
    h->running_len--;
    run_free(r);
    start_next(h);
}

static void start_next(struct hooks *h)
{
    while (h->first != NULL && h->running_len < h->options.concurrency && !h->stopping) {
        struct hook_run *r = h->first;
        h->first = r->next;
        h->last = h->first == NULL ? NULL : h->last;
        h->waiting_len--;
        list_push(&h->running, r, next, link);
        h->running_len++;
        r->process = process_start(h->loop,
                                   &(struct process_spec){.path = h->options.exec,
                                                          .input = buf_str(&r->body),
                                                          .timeout = h->options.timeout},
                                   ended, r);
    }
}

void hooks_tell(struct hooks *h, enum event_type type, struct str data)
{
    if (!hooks_want(h, type) || h->stopping) {
        return;
    }
    if (h->waiting_len >= MOST_WAITING) {
        if (h->dropped++ == 0) {
            LOG(LOG_WARN, "the hook program is too slow: events are dropped (GET /stats counts)",
                LOG_S("program", h->options.exec));
        }
        return;
    }
    struct hook_run *r = mem_zero(1, sizeof *r);
    r->hooks = h;
    buf_init(&r->body, BUF_NO_LIMIT);
    webhook_render_body(type, data, &r->body);
    *(h->last == NULL ? &h->first : &h->last->next) = r;
    h->last = r;
    h->waiting_len++;
    start_next(h);
}

void hooks_stop(struct hooks *h)
{
    h->stopping = true;
    while (h->running != NULL) {
        struct hook_run *r = h->running;
        h->running = r->next;
        process_cancel(r->process);
        run_free(r);
    }
    while (h->first != NULL) {
        struct hook_run *r = h->first;
        h->first = r->next;
        run_free(r);
    }
    h->last = NULL;
    h->running_len = h->waiting_len = 0;
}

struct hooks *hooks_new(uv_loop_t *loop, const struct hooks_options *options)
{
    struct hooks *h = mem_zero(1, sizeof *h);
    h->loop = loop;
    h->options = *options;
    return h;
}

void hooks_count(const struct hooks *h, struct hooks_stats *ret)
{
    *ret = (struct hooks_stats){
        .running = h->running_len,
        .waiting = h->waiting_len,
        .completed = h->completed,
        .failed = h->failed,
        .timed_out = h->timed_out,
        .dropped = h->dropped,
    };
}

void hooks_free(struct hooks *h)
{
    free(h);
}
