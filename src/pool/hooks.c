/*
 * Runs of hooks.exec: at most a configured number at once, MOST_WAITING behind them in order. Each
 * has its own process group, which is ended when its time is over; see loop/process.h.
 */
#include "hooks.h"

#include <stdlib.h>

#include "comfypool/base/log.h"
#include "comfypool/loop/process.h"
#include "state.h"
#include "webhooks.h"

enum { MOST_WAITING = 1000 };

struct hook_run {
    struct pool *pool;
    struct hook_run *next, **link; /* link: of a running one */
    struct process *process;
    struct buf body;
};

bool hooks_want(const struct pool *p, enum event_type type)
{
    return p->options.hook_exec != NULL && (p->options.hook_events >> type & 1u) != 0;
}

static void run_free(struct hook_run *r)
{
    buf_done(&r->body);
    free(r);
}

static void start_next(struct pool *p);

static void count(struct hooks *h, const struct process_end *e)
{
    h->timed_out += e->timed_out ? 1 : 0;
    h->failed += !e->timed_out && e->why[0] != '\0' ? 1 : 0;
    h->completed += e->why[0] == '\0' ? 1 : 0;
}

static void ended(void *ctx, const struct process_end *e)
{
    struct hook_run *r = ctx;
    struct pool *p = r->pool;
    struct hooks *h = &p->hooks;
    count(h, e);
    if (e->why[0] != '\0') {
        LOG(LOG_WARN, "the hook program failed", LOG_S("program", p->options.hook_exec),
            LOG_S("why", e->why));
    }
    *r->link = r->next;
    if (r->next != NULL) {
        r->next->link = r->link;
    }
    h->running_len--;
    run_free(r);
    start_next(p);
}

static void start_next(struct pool *p)
{
    struct hooks *h = &p->hooks;
    while (h->first != NULL && h->running_len < p->options.hook_concurrency && !p->stopping) {
        struct hook_run *r = h->first;
        h->first = r->next;
        h->last = h->first == NULL ? NULL : h->last;
        h->waiting_len--;
        r->next = h->running;
        r->link = &h->running;
        if (r->next != NULL) {
            r->next->link = &r->next;
        }
        h->running = r;
        h->running_len++;
        r->process = process_start(p->loop,
                                   &(struct process_spec){.path = p->options.hook_exec,
                                                          .input = buf_str(&r->body),
                                                          .timeout = p->options.hook_timeout},
                                   ended, r);
    }
}

void hooks_tell(struct pool *p, enum event_type type, struct str data)
{
    struct hooks *h = &p->hooks;
    if (!hooks_want(p, type) || p->stopping) {
        return;
    }
    if (h->waiting_len >= MOST_WAITING) {
        if (h->dropped++ == 0) {
            LOG(LOG_WARN, "the hook program is too slow: events are dropped (GET /stats counts)",
                LOG_S("program", p->options.hook_exec));
        }
        return;
    }
    struct hook_run *r = mem_zero(1, sizeof *r);
    r->pool = p;
    buf_init(&r->body, BUF_NO_LIMIT);
    webhook_render_body(type, data, &r->body);
    *(h->last == NULL ? &h->first : &h->last->next) = r;
    h->last = r;
    h->waiting_len++;
    start_next(p);
}

void hooks_stop(struct pool *p)
{
    struct hooks *h = &p->hooks;
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
