/*
 * The thread that asks the driver, and the loop's side of it. The driver may hang for ever, so
 * waits for the thread have a limit, and the common state (struct shared) is freed by the last side
 * to release it. `async` is NULL once its handle is closing: the thread sends only under the mutex.
 */
#include "internal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static const char LIBRARY[] = "libnvidia-ml.so.1";

enum {
    RETRY_MS = 30000,
    CLOSE_WAIT_MS = 200,
    SILENT_MS = 5000,
    READING_US = 1000000,
    TROUBLE_SIZE = 320
};

/* State under the mutex, except constants. */
struct shared {
    uv_mutex_t mutex;
    uv_cond_t changed; /* asked, stopping or ended */
    unsigned refs;     /* the loop's and the thread's */
    char *path;        /* constant */
    struct dur_us retry;
    uv_async_t *async;
    bool asked;
    bool stopping;
    bool ended; /* the thread makes no more calls */
    bool answered;
    struct host_gpu *gpus; /* the answer */
    size_t gpus_len;
    char trouble[TROUBLE_SIZE];
};

/* The loop's side. */
struct host_gpus {
    uv_async_t async;
    uv_thread_t thread;
    bool has_thread;
    struct shared *shared;
    struct dur_us silent; /* longest open question without a complaint */
    bool open;            /* a question is open */
    struct mono_us asked_at;
    host_gpus_fn done;
    void *ctx;
    char trouble[TROUBLE_SIZE];
};

/* Drops a reference. The mutex must be held; it is released. */
static void shared_unref(struct shared *s)
{
    const bool last = --s->refs == 0;
    uv_mutex_unlock(&s->mutex);
    if (last) {
        uv_cond_destroy(&s->changed);
        uv_mutex_destroy(&s->mutex);
        host_gpu_list_free(s->gpus, s->gpus_len);
        free(s->path);
        free(s);
    }
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* State of the thread alone. */
struct asker {
    struct nvml *nvml; /* NULL: not opened */
    struct mono_us next_try;
    struct host_gpu *gpus;
    size_t gpus_len;
    char trouble[TROUBLE_SIZE];
};

static bool wait_for_question(struct shared *s)
{
    uv_mutex_lock(&s->mutex);
    while (!s->asked && !s->stopping) {
        uv_cond_wait(&s->changed, &s->mutex);
    }
    s->asked = false;
    const bool goes_on = !s->stopping;
    uv_mutex_unlock(&s->mutex);
    return goes_on;
}

/* Without the mutex: any call here may hang. */
static void ask_driver(struct asker *a, const struct shared *s)
{
    if (a->nvml == NULL && mono_before(time_mono(), a->next_try)) {
        return; /* keeps the trouble of the last try */
    }
    if (a->nvml == NULL) {
        a->nvml = nvml_open(s->path, a->trouble, sizeof a->trouble);
    }
    if (a->nvml != NULL &&
        !nvml_read(a->nvml, &a->gpus, &a->gpus_len, a->trouble, sizeof a->trouble)) {
        nvml_close(a->nvml);
        a->nvml = NULL;
    }
    if (a->nvml == NULL) {
        a->next_try = mono_add(time_mono(), s->retry);
    }
}

static void publish(struct asker *a, struct shared *s)
{
    uv_mutex_lock(&s->mutex);
    s->gpus = a->gpus;
    s->gpus_len = a->gpus_len;
    s->answered = true;
    memcpy(s->trouble, a->trouble, sizeof s->trouble);
    if (s->async != NULL) {
        (void)uv_async_send(s->async);
    }
    uv_mutex_unlock(&s->mutex);
    a->gpus = NULL;
    a->gpus_len = 0;
}

static void run(void *arg)
{
    struct shared *s = arg;
    struct asker a = {.next_try = {INT64_MIN}};
    while (wait_for_question(s)) {
        ask_driver(&a, s);
        publish(&a, s);
    }
    if (a.nvml != NULL) {
        nvml_close(a.nvml);
    }
    uv_mutex_lock(&s->mutex);
    s->ended = true;
    uv_cond_signal(&s->changed);
    shared_unref(s);
}

/* ---- the loop's side ------------------------------------------------------------------------- */

static void answered(uv_async_t *async)
{
    struct host_gpus *g = async->data;
    struct shared *s = g->shared;
    uv_mutex_lock(&s->mutex);
    const bool is_new = s->answered;
    struct host_gpu *gpus = s->gpus;
    const size_t n = s->gpus_len;
    s->answered = false;
    s->gpus = NULL;
    s->gpus_len = 0;
    if (is_new) {
        memcpy(g->trouble, s->trouble, sizeof g->trouble);
    }
    uv_mutex_unlock(&s->mutex);
    if (is_new) {
        char trouble[TROUBLE_SIZE];
        memcpy(trouble, g->trouble, sizeof trouble); /* the callback may close us */
        g->open = false;
        g->done(g->ctx, gpus, n, trouble);
    }
    host_gpu_list_free(gpus, n);
}

struct host_gpus *gpus_open(uv_loop_t *loop, const char *path, struct dur_us retry,
                            struct dur_us silent)
{
    struct host_gpus *g = mem_zero(1, sizeof *g);
    struct shared *s = mem_zero(1, sizeof *s);
    if (uv_mutex_init(&s->mutex) != 0 || uv_cond_init(&s->changed) != 0 ||
        uv_async_init(loop, &g->async, answered) != 0) {
        abort(); /* out of memory, or of descriptors at the start */
    }
    g->async.data = g;
    g->shared = s;
    g->silent = silent;
    s->path = mem_strdup(path);
    s->retry = retry;
    s->async = &g->async;
    s->refs = 2;
    g->has_thread = uv_thread_create(&g->thread, run, s) == 0;
    if (!g->has_thread) {
        s->refs = 1;
        s->ended = true;
        (void)snprintf(g->trouble, sizeof g->trouble, "no thread could be made for the GPUs");
    }
    return g;
}

struct host_gpus *host_gpus_new(uv_loop_t *loop)
{
    return gpus_open(loop, LIBRARY, dur_ms(RETRY_MS), dur_ms(SILENT_MS));
}

bool host_gpus_ask(struct host_gpus *g, host_gpus_fn done, void *ctx)
{
    if (g == NULL || g->open || !g->has_thread) {
        return false;
    }
    g->open = true;
    g->asked_at = time_mono();
    g->done = done;
    g->ctx = ctx;
    uv_mutex_lock(&g->shared->mutex);
    g->shared->asked = true;
    uv_cond_signal(&g->shared->changed);
    uv_mutex_unlock(&g->shared->mutex);
    return true;
}

bool host_gpus_is_reading(const struct host_gpus *g)
{
    return g != NULL && g->open && mono_diff(time_mono(), g->asked_at).us < READING_US;
}

const char *host_gpus_trouble(struct host_gpus *g)
{
    if (g == NULL) {
        return "the GPUs are not watched";
    }
    const int64_t silent_us = mono_diff(time_mono(), g->asked_at).us;
    if (g->open && silent_us >= g->silent.us) {
        (void)snprintf(g->trouble, sizeof g->trouble,
                       "NVIDIA's driver has not answered for %lld s; does nvidia-smi hang too?",
                       (long long)(silent_us / 1000000));
    }
    return g->trouble;
}

static void gpus_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* Waits for the thread to leave the driver, within a limit. The mutex is held. */
static void wait_for_thread(struct shared *s)
{
    const struct mono_us until = mono_add(time_mono(), dur_ms(CLOSE_WAIT_MS));
    while (!s->ended) {
        const int64_t left = mono_diff(until, time_mono()).us;
        if (left <= 0) {
            return;
        }
        (void)uv_cond_timedwait(&s->changed, &s->mutex, (uint64_t)left * 1000);
    }
}

bool host_gpus_close(struct host_gpus *g)
{
    if (g == NULL) {
        return true;
    }
    struct shared *s = g->shared;
    uv_mutex_lock(&s->mutex);
    s->async = NULL;
    s->stopping = true;
    uv_cond_signal(&s->changed);
    wait_for_thread(s);
    const bool ended = s->ended;
    shared_unref(s);
    if (g->has_thread && ended) {
        (void)uv_thread_join(&g->thread);
    } else if (g->has_thread) {
        (void)pthread_detach(g->thread);
    }
    uv_close((uv_handle_t *)&g->async, gpus_closed);
    return ended;
}
