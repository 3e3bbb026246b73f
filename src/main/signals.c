/* SIGTERM and SIGINT stop the daemon, SIGHUP makes it reread files. */
#include <signal.h>

#include "comfypool/base/log.h"

#include "inner.h"

static void on_signal(uv_signal_t *handle, int number)
{
    struct signals *s = handle->data;
    if (s->stopping) {
        return;
    }
    if (number == SIGHUP) {
        s->reload(s->ctx);
        return;
    }
    s->stopping = true;
    LOG(LOG_INFO, "stopping", LOG_S("signal", number == SIGTERM ? "SIGTERM" : "SIGINT"));
    s->stop(s->ctx);
}

void signals_watch(struct signals *s, uv_loop_t *loop)
{
    static const int numbers[SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < SIGNALS; i++) {
        (void)uv_signal_init(loop, &s->handles[i]);
        s->handles[i].data = s;
        (void)uv_signal_start(&s->handles[i], on_signal, numbers[i]);
    }
    /* A write to a closed socket, or to a file at its size limit, is an error to handle. */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
}

void signals_close(struct signals *s)
{
    for (size_t i = 0; i < SIGNALS; i++) {
        uv_close((uv_handle_t *)&s->handles[i], NULL);
    }
}
