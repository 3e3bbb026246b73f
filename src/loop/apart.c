/* Work on other threads; see the header. */
#include "comfypool/loop/apart.h"

#include <stdlib.h>

#include "comfypool/base/str.h"
#include "comfypool/loop/loop.h"

struct apart {
    struct apart *next;
    uv_work_t req;
    struct aparts *of;
    unsigned slot;
    apart_work_fn work;
    apart_done_fn done;
    void *ctx;
    bool finished; /* under the mutex */
    bool told;
};

struct aparts {
    uv_loop_t *loop;
    uv_mutex_t mutex;
    uv_cond_t finished;
    struct apart *running[APART_AT_ONCE];
    struct apart *first, *last; /* waiting work */
    unsigned refs;
    bool closing;
};

struct aparts *aparts_new(uv_loop_t *loop)
{
    struct aparts *a = mem_zero(1, sizeof *a);
    a->loop = loop;
    a->refs = 1;
    (void)uv_mutex_init(&a->mutex);
    (void)uv_cond_init(&a->finished);
    return a;
}

static void unref(struct aparts *a)
{
    a->refs--;
    if (a->refs == 0) {
        uv_cond_destroy(&a->finished);
        uv_mutex_destroy(&a->mutex);
        free(a);
    }
}

static void tell(struct apart *w, bool worked)
{
    w->told = true;
    w->done(w->ctx, worked);
}

static void on_thread(uv_work_t *req)
{
    struct apart *w = req->data;
    w->work(w->ctx);
    uv_mutex_lock(&w->of->mutex);
    w->finished = true;
    uv_cond_broadcast(&w->of->finished);
    uv_mutex_unlock(&w->of->mutex);
}

static void start_waiting(struct aparts *a);

static void worked(uv_work_t *req, int status)
{
    (void)status;
    struct apart *w = req->data;
    struct aparts *a = w->of;
    loop_note("work that was done apart");
    a->running[w->slot] = NULL;
    if (!w->told) {
        tell(w, true);
    }
    free(w);
    start_waiting(a);
    unref(a);
}

static void start_waiting(struct aparts *a)
{
    for (unsigned i = 0; i < APART_AT_ONCE && a->first != NULL && !a->closing; i++) {
        if (a->running[i] != NULL) {
            continue;
        }
        struct apart *w = a->first;
        a->first = w->next;
        a->last = a->first == NULL ? NULL : a->last;
        w->slot = i;
        a->running[i] = w;
        a->refs++;
        (void)uv_queue_work(a->loop, &w->req, on_thread, worked);
    }
}

void aparts_start(struct aparts *a, apart_work_fn work, apart_done_fn done, void *ctx)
{
    struct apart *w = mem_zero(1, sizeof *w);
    w->req.data = w;
    w->of = a;
    w->work = work;
    w->done = done;
    w->ctx = ctx;
    *(a->last == NULL ? &a->first : &a->last->next) = w;
    a->last = w;
    start_waiting(a);
}

static void finish(struct aparts *a, struct apart *w)
{
    uv_mutex_lock(&a->mutex);
    while (!w->finished) {
        uv_cond_wait(&a->finished, &a->mutex);
    }
    uv_mutex_unlock(&a->mutex);
    if (!w->told) {
        tell(w, true);
    }
}

void aparts_close(struct aparts *a)
{
    a->closing = true;
    for (unsigned i = 0; i < APART_AT_ONCE; i++) {
        if (a->running[i] != NULL) {
            finish(a, a->running[i]);
        }
    }
    while (a->first != NULL) {
        struct apart *w = a->first;
        a->first = w->next;
        tell(w, false);
        free(w);
    }
    a->last = NULL;
    unref(a);
}
