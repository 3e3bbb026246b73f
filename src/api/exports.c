/*
 * GET /profiles: the profiles of many jobs as one stream, in the order of their ends. The store is
 * read page by page, the next one when the client has taken most of the last, so that neither
 * memory nor an open read grows with a slow client. If a page cannot be read the connection is cut,
 * so that a part is not taken for the whole.
 */
#include <stdlib.h>

#include "comfypool/base/log.h"
#include "comfypool/pool/walls.h"
#include "comfypool/render/render.h"
#include "comfypool/store/profiles.h"

#include "args.h"
#include "bodies.h"
#include "inner.h"
#include "params.h"

struct export
{
    struct api *api;
    struct http_ref request;
    enum format format;
    struct profile_query query;
    char workflow_hash[DIGEST_HEX_SIZE];
    char backend[TEXT_NAME_MOST + 1];
    char *client;               /* NULL: all */
    struct profile_place place; /* where the next page begins */
    struct buf page;            /* rendered rows of the page being read */
    bool begun;
    bool reading;
    bool gone; /* the client has gone; the last callback frees the export */
};

static void read_page(struct export *e);

static void let_go(struct export *e)
{
    buf_done(&e->page);
    free(e->client);
    free(e);
}

static void client_drained(void *ctx)
{
    read_page(ctx);
}

static void client_gone(void *ctx)
{
    struct export *e = ctx;
    e->gone = true;
    if (!e->reading) {
        let_go(e);
    }
}

static const struct http_stream_ops stream_ops = {.drained = client_drained, .gone = client_gone};

/* Begins the stream. False: the client is gone, or there are too many streams; free e then. */
static bool begin(struct export *e)
{
    struct http_answer answer = http_answer_new(200);
    answer.content_type = format_media_type(e->format);
    answer.no_store = true;
    e->begun = http_stream_begin(e->api->http, e->request, &answer, -1, &stream_ops, e);
    if (e->begun && e->format == FORMAT_CSV) {
        AUTO_BUF struct buf head;
        buf_init(&head, BUF_NO_LIMIT);
        render_csv_head(true, &head);
        (void)http_stream_write(e->api->http, e->request, head.data, head.len);
    }
    return e->begun;
}

static void add_row(enum format f, const struct profile_row *row, struct buf *out)
{
    if (f == FORMAT_CSV) {
        (void)render_csv_rows(row->json, true, out);
    } else {
        buf_add_str(out, row->json);
        buf_add_char(out, '\n');
    }
}

/* Renders a page on the thread that read it: some 50 ms of work for large workflows. */
static void render_page(void *ctx, const struct profile_row *rows, size_t n)
{
    struct export *e = ctx;
    for (size_t i = 0; i < n; i++) {
        add_row(e->format, &rows[i], &e->page);
    }
}

/* Writes the page; true if the client keeps up. */
static bool write_page(struct export *e)
{
    const bool room =
        e->page.len == 0 || http_stream_write(e->api->http, e->request, e->page.data, e->page.len);
    buf_done(&e->page);
    return room;
}

static void fail(struct export *e, enum err why)
{
    struct http_server *server = e->api->http;
    if (server != NULL && e->begun) {
        LOG_PLAIN(LOG_ERROR, "an export is cut: the store cannot be read");
        http_stream_end(server, e->request, false);
    } else if (server != NULL) {
        api_refuse(e->api, e->request, why);
    }
    let_go(e);
}

static void page_came(void *ctx, enum err why, const struct profile_row *rows, size_t n, bool more,
                      struct profile_place last)
{
    struct export *e = ctx;
    struct http_server *server = e->api->http;
    (void)rows;
    (void)n;
    e->reading = false;
    if (e->gone || server == NULL) {
        let_go(e);
    } else if (why != ERR_NONE) {
        fail(e, why);
    } else if (!e->begun && !begin(e)) {
        let_go(e);
    } else {
        e->place = last;
        const bool room = write_page(e);
        if (!more) {
            http_stream_end(server, e->request, true);
            let_go(e);
        } else if (room) {
            read_page(e);
        }
    }
}

static void read_page(struct export *e)
{
    e->reading = true;
    store_list_profiles(e->api->store, &e->query, e->place, render_page, page_came, e);
}

static void export_profiles(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    struct export *e = mem_zero(1, sizeof *e);
    e->api = a;
    e->request = x;
    e->format = rq->format;
    buf_init(&e->page, BUF_NO_LIMIT);
    memcpy(e->workflow_hash, args_of(rq)->workflow_hash, sizeof e->workflow_hash);
    memcpy(e->backend, args_of(rq)->backend, sizeof e->backend);
    e->client = mem_strdup(api_wall(a, rq));
    /* Jobs that end during an export are for the next one. */
    const struct wall_us now = time_wall();
    e->query = (struct profile_query){
        .since = args_of(rq)->since,
        .until = args_of(rq)->until.us > now.us ? now : args_of(rq)->until,
        .workflow_hash = e->workflow_hash,
        .backend = e->backend,
        .client = e->client,
    };
    read_page(e);
}

static const struct http_route routes[] = {
    {"GET", "/profiles", ROLE_READ, .serve = export_profiles,
     .params = PARAMS(&http_param_format, &param_since, &param_until, &param_hash, &param_backend),
     .formats = 1u << FORMAT_NDJSON | 1u << FORMAT_CSV},
};
const struct http_table api_exports = API_TABLE(routes);
