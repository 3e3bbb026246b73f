/*
 * Questions for /object_info and /node_replacements. An answer may have megabytes: it is read on
 * libuv's pool, and its request lives until then.
 */
#include <stdlib.h>

#include "inner.h"

enum { MOST = 256 << 20 };

struct comfy_ask {
    uv_work_t work;
    struct http_call *call; /* NULL: answered */
    struct buf body;
    struct catalog_draft draft;
    bool found;
    bool cancelled; /* while being read */
    comfy_classes_fn classes_done;
    comfy_text_fn text_done;
    void *ctx;
};

static void ask_free(struct comfy_ask *a)
{
    buf_done(&a->body);
    catalog_draft_done(&a->draft);
    free(a);
}

static void read_off(uv_work_t *work)
{
    struct comfy_ask *a = (struct comfy_ask *)work;
    a->found = catalog_draft_read(buf_str(&a->body), &a->draft);
}

static void was_read(uv_work_t *work, int status)
{
    struct comfy_ask *a = (struct comfy_ask *)work;
    if (!a->cancelled) {
        a->classes_done(a->ctx, a->found && status == 0, &a->draft);
    }
    ask_free(a);
}

static bool is_good(const struct http_result *r)
{
    return r->outcome == HTTP_ANSWERED && r->status == 200;
}

static void classes_came(void *ctx, const struct http_result *r)
{
    struct comfy_ask *a = ctx;
    a->call = NULL;
    if (is_good(r)) {
        buf_add_str(&a->body, r->body);
        if (uv_queue_work((uv_loop_t *)a->work.data, &a->work, read_off, was_read) == 0) {
            return;
        }
    }
    a->classes_done(a->ctx, false, &a->draft);
    ask_free(a);
}

static void text_came(void *ctx, const struct http_result *r)
{
    struct comfy_ask *a = ctx;
    a->call = NULL;
    a->text_done(a->ctx, is_good(r) ? r->body : (struct str){"", 0});
    ask_free(a);
}

/* timeout: 0: only a stall ends it. */
static struct comfy_ask *ask(struct comfy_backend *b, const char *path, struct str class_type,
                             struct dur_us timeout, http_done_fn came, void *ctx)
{
    struct comfy_ask *a = mem_zero(1, sizeof *a);
    a->work.data = b->loop;
    a->ctx = ctx;
    buf_init(&a->body, BUF_NO_LIMIT);
    AUTO_BUF struct buf url;
    buf_init(&url, 1 << 20);
    buf_printf(&url, "%s%s", b->base, path);
    if (class_type.n > 0) {
        buf_add_char(&url, '/');
        url_encode(&url, class_type);
    }
    const struct http_request_spec spec = {
        .method = "GET",
        .url = buf_text(&url),
        .headers = b->headers,
        .connect_timeout = b->timeouts.connect,
        .ca_file = b->ca_file,
        .timeout = timeout,
        .stall = b->timeouts.request,
        .max_answer = MOST,
    };
    a->call = http_call_start(b->http, &spec, came, a);
    return a;
}

struct comfy_ask *comfy_ask_classes(struct comfy_backend *b, struct str class_type,
                                    comfy_classes_fn done, void *ctx)
{
    const bool all = class_type.n == 0; /* megabytes, perhaps from far away */
    const struct dur_us timeout = all ? (struct dur_us){0} : b->timeouts.request;
    struct comfy_ask *a = ask(b, "/object_info", class_type, timeout, classes_came, ctx);
    a->classes_done = done;
    return a;
}

struct comfy_ask *comfy_ask_text(struct comfy_backend *b, const char *path, comfy_text_fn done,
                                 void *ctx)
{
    struct comfy_ask *a = ask(b, path, STR(""), b->timeouts.request, text_came, ctx);
    a->text_done = done;
    return a;
}

void comfy_ask_cancel(struct comfy_ask *a)
{
    if (a->call != NULL) {
        http_call_cancel(a->call);
        ask_free(a);
    } else {
        a->cancelled = true; /* freed after reading */
    }
}
