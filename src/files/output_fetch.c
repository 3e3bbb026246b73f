/* Fetches an output; see the header. The bytes go to disk as fast as it takes them. */
#include "comfypool/files/output_fetch.h"

#include <stdlib.h>

#include "comfypool/comfy/backend.h"

#include "server.h"

const char fetch_is_another[] = "the backend has another file of this name by now: its size, ETag "
                                "or time is not that of the job's";
const char fetch_was_streamed[] = "it only passed by over the WebSocket, and was not kept";
const char fetch_is_missing[] = "the backend does not have the file any more";
static const char is_too_large[] = "it is larger than all files of its kind may be together";

struct fetch {
    struct http_call *call;     /* NULL: ended */
    struct blob_writer *writer; /* NULL: not begun, or failed */
    struct blobs *to;
    struct output_stamp stamp;
    uint64_t most;
    const char *gone; /* why it is unavailable; NULL: no reason known */
    fetch_done_fn done;
    void *ctx;
};

void fetch_cancel(struct fetch *f)
{
    if (f->call != NULL) {
        http_call_cancel(f->call);
    }
    if (f->writer != NULL) {
        blob_abort(f->writer);
    }
    free(f);
}

static void end(struct fetch *f, enum fetch_end how, const char *why, const char *sha256,
                uint64_t size)
{
    const fetch_done_fn done = f->done;
    void *ctx = f->ctx;
    fetch_cancel(f);
    done(ctx, how, why, sha256, size);
}

static void drained(void *ctx)
{
    struct fetch *f = ctx;
    if (f->call != NULL) {
        http_call_resume(f->call);
    }
}

static void written(void *ctx, enum err e, const char *why, const char *sha256, uint64_t size)
{
    struct fetch *f = ctx;
    f->writer = NULL;
    end(f, e == ERR_NONE ? FETCH_DONE : FETCH_TROUBLE, why, sha256, size);
}

static const struct blob_writer_ops writer_ops = {drained, written};

static bool begins(void *ctx, unsigned status, const char *content_type, int64_t length)
{
    struct fetch *f = ctx;
    (void)content_type;
    if (status != 200) {
        return false;
    }
    if (!stamp_matches(&f->stamp, f->call, status, length)) {
        f->gone = fetch_is_another;
    } else if (length > 0 && (uint64_t)length > f->most) {
        f->gone = is_too_large;
    } else {
        f->writer = blob_begin(f->to, &writer_ops, f);
    }
    return f->writer != NULL;
}

static bool comes(void *ctx, const char *bytes, size_t n)
{
    struct fetch *f = ctx;
    if (f->writer == NULL) {
        return true;
    }
    if (blob_written(f->writer) + n > f->most) {
        f->gone = is_too_large;
        blob_abort(f->writer);
        f->writer = NULL;
        return true;
    }
    return blob_write(f->writer, bytes, n);
}

static const struct http_sink sink = {.begin = begins, .bytes = comes};

static void ended(void *ctx, const struct http_result *r)
{
    struct fetch *f = ctx;
    f->call = NULL;
    if (f->writer != NULL && r->outcome == HTTP_ANSWERED) {
        blob_finish(f->writer);
    } else if (f->gone != NULL) {
        end(f, FETCH_GONE, f->gone, "", 0);
    } else if (f->writer == NULL && r->status >= 400 && r->status < 500) {
        end(f, FETCH_GONE, fetch_is_missing, "", 0);
    } else {
        end(f, FETCH_TROUBLE, r->error[0] == '\0' ? "the backend failed" : r->error, "", 0);
    }
}

struct fetch *fetch_begin(struct file_server *from, const struct output_stamp *stamp,
                          const struct render_output *o, struct blobs *to, uint64_t most,
                          fetch_done_fn done, void *ctx)
{
    struct fetch *f = mem_alloc(sizeof *f);
    *f = (struct fetch){.to = to, .most = most, .done = done, .ctx = ctx};
    f->stamp = *stamp;
    f->call = output_view(from, o, NULL, &sink, ended, f);
    return f;
}

struct http_call *output_view(struct file_server *from, const struct render_output *o,
                              const char *const *headers, const struct http_sink *view,
                              http_done_fn done, void *ctx)
{
    return comfy_view(from->comfy, str_of(o->filename), str_of(o->subfolder), str_of(o->type),
                      headers, view, done, ctx);
}
