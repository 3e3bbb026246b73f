/* Uploads: files of bodies while they are received, and kept files. */
#include "comfypool/files/uploads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/base/json_write.h"

#include "args.h"
#include "bodies.h"
#include "inner.h"
#include "params.h"

/* ---- files of bodies ------------------------------------------------------------------------- */

/* A file of a request, being stored. */
struct incoming {
    struct api *api;
    struct http_ref request;
    size_t index; /* number of the file in the request */
    struct upload_writing *writing;
};

static void has_room(void *ctx)
{
    struct incoming *in = ctx;
    if (in->api->http != NULL) {
        http_file_resume(in->api->http, in->request);
    }
}

static void file_kept(void *ctx, enum err e, const char *why, const char *sha256, uint64_t size)
{
    struct incoming *in = ctx;
    if (in->api->http != NULL) {
        http_file_done(in->api->http, in->request, in->index, e, why, sha256, size);
    }
    free(in);
}

static const struct incoming_ops incoming_ops = {has_room, file_kept, free};

static bool file_is_there(void *ctx, const struct http_request *rq)
{
    struct api *a = ctx;
    const char *sha256 = args_of(rq)->sha256;
    return sha256[0] != '\0' &&
           uploads_seen(pool_uploads(a->pool), api_wall(a, rq), sha256) != NULL;
}

static enum err file_begin(void *ctx, const struct http_request *rq, struct http_ref x,
                           size_t index, uint64_t length, void **ret_file, const char **ret_why)
{
    struct api *a = ctx;
    const char *sha256 = args_of(rq)->sha256;
    const struct incoming_upload upload = {
        .owner = rq->caller,
        .request = api_ticket(x),
        .is_whole = rq->route->body == &body_file,
        .length = length,
        .sha256 = sha256[0] == '\0' ? NULL : sha256,
    };
    struct incoming *in = mem_zero(1, sizeof *in);
    *in = (struct incoming){.api = a, .request = x, .index = index};
    enum err e = ERR_NONE;
    in->writing = upload_begin(pool_uploads(a->pool), &upload, &incoming_ops, in, &e, ret_why);
    if (in->writing == NULL) {
        free(in);
        return e;
    }
    *ret_file = in;
    return ERR_NONE;
}

static bool file_write(void *file, const char *bytes, size_t n)
{
    struct incoming *in = file;
    return upload_write(in->writing, bytes, n);
}

static void file_end(void *file)
{
    struct incoming *in = file;
    upload_end(in->writing);
}

static void file_abort(void *file)
{
    struct incoming *in = file;
    upload_abort(in->writing);
    free(in);
}

static void files_refused(void *ctx, const struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    struct uploads *all = pool_uploads(a->pool);
    uploads_refuse(all, api_ticket(x));
    for (size_t i = 0; i < rq->files_len; i++) {
        uploads_refuse_file(all, api_ticket(x), rq->files[i].sha256);
    }
}

const struct http_file_ops api_file_ops = {file_is_there, file_begin, file_write,
                                           file_end,      file_abort, files_refused};

/* ---- kept ones ------------------------------------------------------------------------------- */

/* Serves POST /uploads and PUT /uploads/{sha256}: the body is kept already, or is not needed. */
static void put_upload(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    struct uploads *all = pool_uploads(a->pool);
    const bool has_come = rq->files_len > 0;
    struct upload *u = uploads_find(all, has_come ? rq->files[0].sha256 : args_of(rq)->sha256);
    if (u == NULL) {
        api_refuse(a, x, ERR_UPLOAD_NOT_FOUND);
        return;
    }
    if (!has_come) {
        uploads_touch(all, u);
    }
    struct http_answer answer = http_answer_new(rq->had_file ? 200 : 201);
    struct js_out o = js_out_to(&answer.body);
    js_open(&o, '{');
    js_member_string(&o, "sha256", u->sha256);
    js_member_int(&o, "size", (int64_t)u->size);
    js_member_ms(&o, "expiresAt", uploads_expires_at(all, u).us);
    js_close(&o, '}');
    (void)snprintf(answer.location, sizeof answer.location, "/uploads/%s", u->sha256);
    http_answer(a->http, x, &answer);
}

static void get_upload(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    struct uploads *all = pool_uploads(a->pool);
    uint64_t size = 0;
    const bool is_kept = uploads_find(all, args_of(rq)->sha256) != NULL;
    const int fd = is_kept ? uploads_open(all, args_of(rq)->sha256, &size) : -1;
    if (fd < 0) {
        api_refuse(a, x, ERR_UPLOAD_NOT_FOUND);
        return;
    }
    struct http_answer answer = http_answer_new(200);
    answer.content_type = "application/octet-stream";
    answer.sandbox = true;
    api_answer_file(a, rq, x, fd, size, args_of(rq)->sha256, &answer);
}

static void forgotten(void *asking)
{
    api_answer_no_content(asking, NULL);
}

static void delete_upload(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    struct refusal why;
    struct api_asking *q = api_asking_new(a, x, 204, NULL);
    if (!uploads_forget(pool_uploads(a->pool), api_wall(a, rq), args_of(rq)->sha256, forgotten, q,
                        &why)) {
        api_asking_free(q);
        api_refuse_as(a, x, &why);
    }
}

static const struct http_route routes[] = {
    {"POST", "/uploads", ROLE_SUBMIT, .serve = put_upload, .body = &body_file,
     .flags = HTTP_MAY_BE_NAME},
    {"PUT", "/uploads/{sha256}", ROLE_SUBMIT, .serve = put_upload, .body = &body_file},
    {"GET", "/uploads/{sha256}", ROLE_READ, .serve = get_upload, .door = DOOR_UPLOAD,
     .flags = HTTP_HAS_RANGES},
    {"DELETE", "/uploads/{sha256}", ROLE_SUBMIT, .serve = delete_upload, .door = DOOR_UPLOAD,
     .body = &body_nothing},
};
const struct http_table api_uploads = API_TABLE(routes);
