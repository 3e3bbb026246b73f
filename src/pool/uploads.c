/*
 * Kept files; see the header. The file is durable before its row is written, and the row before a
 * job that names it: writes keep their order. At a start a file without a row gets one, and a row
 * without its file goes.
 */
#include "uploads.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "comfypool/base/log.h"
#include "file_answer.h"
#include "serve.h"
#include "state.h"
#include "walls.h"

enum {
    EXPIRE_EVERY_MS = 60000,
    FILES_MOST = 1 << 18,
    DROPPED_AT_ONCE = 200, /* in one turn of the loop: some 6 ms */
};

/* ---- the list ----------------------------------------------------------------------------------
 */

static struct wall_us expires_at(const struct pool *p, const struct upload *u)
{
    return (struct wall_us){u->used_at.us + p->options.upload_age.us};
}

static void unlink_upload(struct uploads *s, struct upload *u)
{
    *(u->older == NULL ? &s->oldest : &u->older->newer) = u->newer;
    *(u->newer == NULL ? &s->newest : &u->newer->older) = u->older;
    u->older = u->newer = NULL;
}

static void link_newest(struct uploads *s, struct upload *u)
{
    u->older = s->newest;
    u->newer = NULL;
    *(s->newest == NULL ? &s->oldest : &s->newest->newer) = u;
    s->newest = u;
}

struct upload *uploads_find(struct pool *p, const char *sha256)
{
    return map_get(&p->uploads.by_sha, str_of(sha256));
}

/* ---- whose they are ----------------------------------------------------------------------------
 */

static struct upload_share *share_find(struct pool *p, const char *sha256, const char *client)
{
    AUTO_BUF struct buf key;
    buf_init(&key, BUF_NO_LIMIT);
    buf_printf(&key, "%s %s", sha256, client);
    return map_get(&p->uploads.shares, buf_str(&key));
}

static struct upload_share *share_of(struct pool *p, struct upload *u, const char *client)
{
    struct upload_share *s = share_find(p, u->sha256, client);
    if (s != NULL) {
        return s;
    }
    const size_t size = sizeof u->sha256 + strlen(client) + 1; /* a blank for the hash's end */
    s = mem_zero(1, sizeof *s + size);
    (void)snprintf(s->key, size, "%s %s", u->sha256, client);
    s->client = s->key + sizeof u->sha256;
    s->upload = u;
    s->next = u->shares;
    s->link = &u->shares;
    if (s->next != NULL) {
        s->next->link = &s->next;
    }
    u->shares = s;
    (void)map_put(&p->uploads.shares, str_of(s->key), s);
    return s;
}

static void share_free(struct pool *p, struct upload_share *s)
{
    *s->link = s->next;
    if (s->next != NULL) {
        s->next->link = s->link;
    }
    (void)map_remove(&p->uploads.shares, str_of(s->key));
    free(s);
}

static void shares_free(struct pool *p, struct upload *u)
{
    struct upload_share *next = NULL;
    for (struct upload_share *s = u->shares; s != NULL; s = next) {
        next = s->next;
        share_free(p, s);
    }
}

static bool is_owned(const struct upload *u)
{
    const struct upload_share *s = u->shares;
    while (s != NULL && !s->sent) {
        s = s->next;
    }
    return s != NULL;
}

static struct owner_record owner_record(const struct upload_share *s)
{
    struct owner_record r = {.client = (char *)(uintptr_t)s->client}; /* copied by the store */
    memcpy(r.sha256, s->upload->sha256, sizeof r.sha256);
    return r;
}

/* done, unless NULL, comes when the store has it. */
static void own(struct pool *p, struct upload *u, const char *client, store_done_fn done, void *ctx)
{
    struct upload_share *s = share_of(p, u, client);
    u->forgotten = false;
    if (!s->sent || done != NULL) {
        s->sent = true;
        const struct owner_record r = owner_record(s);
        store_put_owner(p->store, &r, done, ctx);
    }
}

void uploads_own(struct pool *p, struct upload *u, const char *client)
{
    own(p, u, client, NULL, NULL);
}

static void disown(struct pool *p, struct upload_share *s, store_done_fn done, void *ctx)
{
    const struct owner_record r = owner_record(s);
    store_delete_owner(p->store, &r, done, ctx);
    s->sent = false;
    if (s->holds == 0) {
        share_free(p, s);
    }
}

struct upload *uploads_seen(struct pool *p, const char *wall, const char *sha256)
{
    if (wall == NULL) {
        return uploads_find(p, sha256);
    }
    const struct upload_share *s = share_find(p, sha256, wall);
    return s == NULL || !s->sent ? NULL : s->upload;
}

/* ---- the list ----------------------------------------------------------------------------------
 */

static struct upload *add(struct pool *p, const char *sha256, uint64_t size, struct wall_us used_at)
{
    struct upload *u = mem_zero(1, sizeof *u);
    memcpy(u->sha256, sha256, sizeof u->sha256);
    u->size = size;
    u->used_at = used_at;
    p->uploads.bytes += size;
    link_newest(&p->uploads, u);
    (void)map_put(&p->uploads.by_sha, str_of(u->sha256), u);
    return u;
}

static void write_row(struct pool *p, const struct upload *u)
{
    const struct upload_record r = {.size = (int64_t)u->size, .used_at = u->used_at};
    struct upload_record named = r;
    memcpy(named.sha256, u->sha256, sizeof named.sha256);
    store_put_upload(p->store, &named);
}

void uploads_touch(struct pool *p, struct upload *u)
{
    unlink_upload(&p->uploads, u);
    u->came_with = (struct http_ref){0};
    u->used_at = time_wall();
    link_newest(&p->uploads, u);
    write_row(p, u);
}

/* The row goes first: a file without one is mended, a row without its file is a lie. */
static void drop(struct pool *p, struct upload *u)
{
    store_delete_upload(p->store, u->sha256);
    blob_remove(p->uploads.blobs, u->sha256);
    p->uploads.bytes -= u->size;
    unlink_upload(&p->uploads, u);
    shares_free(p, u);
    (void)map_remove(&p->uploads.by_sha, str_of(u->sha256));
    free(u);
}

void uploads_hold(struct pool *p, struct upload *u, const char *client)
{
    u->holds++;
    u->came_with = (struct http_ref){0};
    if (client != NULL) {
        share_of(p, u, client)->holds++;
    }
}

void uploads_release(struct pool *p, struct upload *u, const char *client)
{
    struct upload_share *s = client == NULL ? NULL : share_find(p, u->sha256, client);
    u->holds -= u->holds > 0 ? 1 : 0;
    if (s != NULL && s->holds > 0 && --s->holds == 0 && !s->sent) {
        share_free(p, s);
    }
    if (u->holds == 0 && u->forgotten && !p->stopping) {
        drop(p, u);
    }
}

static bool are_too_many(const struct pool *p, uint64_t bytes, size_t files)
{
    return bytes > p->options.upload_bytes || files > FILES_MOST;
}

static bool is_full(const struct pool *p)
{
    return are_too_many(p, p->uploads.bytes, p->uploads.by_sha.len);
}

/* Whether there is room for what was just kept, once those that nobody needs have gone. */
static bool may_make_room(const struct pool *p, const struct upload *for_this)
{
    uint64_t bytes = p->uploads.bytes;
    size_t files = p->uploads.by_sha.len;
    for (const struct upload *u = p->uploads.oldest; u != NULL && are_too_many(p, bytes, files);
         u = u->newer) {
        const bool goes = u->holds == 0 && u != for_this;
        bytes -= goes ? u->size : 0;
        files -= goes ? 1 : 0;
    }
    return !are_too_many(p, bytes, files);
}

/* The oldest that nobody needs go: those that are too old, and as many as there is no room for, but
   not the newest. Some at a time; the next ones in another turn. */
static void expire(void *ctx)
{
    struct pool *p = ctx;
    const struct wall_us now = time_wall();
    unsigned dropped = 0;
    struct upload *next = NULL;
    for (struct upload *u = p->uploads.oldest; u != NULL && dropped < DROPPED_AT_ONCE; u = next) {
        const bool is_old = expires_at(p, u).us <= now.us;
        next = u->newer;
        if (!is_old && (next == NULL || !is_full(p))) {
            break;
        }
        if (u->holds == 0) {
            drop(p, u);
            dropped++;
        }
    }
    if (!p->stopping) {
        const struct dur_us pause = dur_ms(dropped == DROPPED_AT_ONCE ? 0 : EXPIRE_EVERY_MS);
        deadline_set(&p->deadlines, &p->uploads.expire, mono_add(time_mono(), pause), expire, p);
    }
}

/* ---- the start ---------------------------------------------------------------------------------
 */

static void found_row(void *ctx, const struct upload_record *r)
{
    struct pool *p = ctx;
    uint64_t size = 0;
    const int fd = blob_open(p->uploads.blobs, r->sha256, &size);
    if (fd < 0) {
        LOG(LOG_WARN, "the file of an upload is gone", LOG_S("sha256", r->sha256));
        store_delete_upload(p->store, r->sha256);
        return;
    }
    (void)close(fd);
    (void)add(p, r->sha256, size, r->used_at);
}

static void found_file(void *ctx, const char *sha256, uint64_t size)
{
    struct pool *p = ctx;
    if (uploads_find(p, sha256) == NULL) {
        write_row(p, add(p, sha256, size, time_wall()));
    }
}

static void found_owner(void *ctx, const struct owner_record *r)
{
    struct pool *p = ctx;
    struct upload *u = uploads_find(p, r->sha256);
    if (u != NULL) {
        share_of(p, u, r->client)->sent = true;
    }
}

/* It is made once, so that files keep their names at the servers. */
static bool load_salt(struct pool *p)
{
    struct uploads *s = &p->uploads;
    char *kept = NULL;
    if (p->options.shared || p->server == NULL || !http_server_has_tokens(p->server)) {
        return true;
    }
    const bool good = store_get_setting(p->store, "uploads.salt", &kept) == ERR_NONE;
    if (good && kept != NULL) {
        (void)snprintf(s->salt, sizeof s->salt, "%s", kept);
    } else if (good) {
        (void)snprintf(s->salt, sizeof s->salt, "%016" PRIx64 "%016" PRIx64, uuid_random(),
                       uuid_random());
        store_put_setting(p->store, "uploads.salt", s->salt, NULL, NULL);
    }
    free(kept);
    return good;
}

void uploads_server_name(const struct pool *p, const char *sha256, char ret[33])
{
    AUTO_BUF struct buf both;
    char made[DIGEST_HEX_SIZE];
    buf_init(&both, BUF_NO_LIMIT);
    buf_printf(&both, "%s%s", p->uploads.salt, sha256);
    if (p->uploads.salt[0] != '\0') {
        digest_sha256_hex(buf_str(&both), made);
    }
    (void)snprintf(ret, 33, "%.32s", p->uploads.salt[0] != '\0' ? made : sha256);
}

bool uploads_start(struct pool *p)
{
    p->uploads.blobs = p->options.uploads;
    map_init(&p->uploads.by_sha);
    map_init(&p->uploads.shares);
    if (p->uploads.blobs == NULL) {
        return true;
    }
    if (store_load_uploads(p->store, found_row, p) != ERR_NONE ||
        store_load_owners(p->store, found_owner, p) != ERR_NONE || !load_salt(p)) {
        return false;
    }
    blobs_each(p->uploads.blobs, found_file, p);
    expire(p);
    return true;
}

/* ---- writing -----------------------------------------------------------------------------------
 */

/* A file on its way: of a request, or of bytes that are here. */
struct upload_writing {
    struct pool *pool;
    struct upload_writing *next, **link;
    struct blob_writer *writer;
    uint64_t incoming; /* its part of uploads.incoming */
    struct http_ref x;
    size_t index;
    char sha256[DIGEST_HEX_SIZE]; /* what it must have; "": any */
    char *owner;                  /* who sends it, or NULL: see uploads_own */
    bool is_upload;               /* it is the whole request, not a file of a job */
    bool refused;                 /* its request is */
    uint64_t size;                /* of what is kept */
    upload_kept_fn kept;          /* NULL: of a request */
    void *ctx;
};

static struct upload_writing *writing_new(struct pool *p, const char *owner)
{
    struct upload_writing *w = mem_zero(1, sizeof *w);
    w->pool = p;
    w->owner = mem_strdup(owner);
    w->next = p->uploads.writings;
    w->link = &p->uploads.writings;
    if (w->next != NULL) {
        w->next->link = &w->next;
    }
    p->uploads.writings = w;
    return w;
}

static void writing_free(struct upload_writing *w)
{
    w->pool->uploads.incoming -= w->incoming;
    *w->link = w->next;
    if (w->next != NULL) {
        w->next->link = w->link;
    }
    free(w->owner);
    free(w);
}

static void count_incoming(struct upload_writing *w, size_t n)
{
    w->incoming += n;
    w->pool->uploads.incoming += n;
}

static void tell(struct upload_writing *w, enum err e, const char *why, const char *sha256,
                 uint64_t size)
{
    struct pool *p = w->pool;
    if (w->kept != NULL) {
        w->kept(w->ctx, e, why, sha256);
    } else if (p->server != NULL) {
        http_file_done(p->server, w->x, w->index, e, why, sha256, size);
    }
    writing_free(w);
}

static const char too_large[] = "it is larger than uploads.maxFileBytes, or than the room that "
                                "uploads.maxBytes leaves beside files that active jobs need, or "
                                "that come at this moment";

struct upload *uploads_add(struct pool *p, const char *sha256, uint64_t size)
{
    struct upload *u = uploads_find(p, sha256);
    if (u != NULL) {
        uploads_touch(p, u);
        return u;
    }
    u = add(p, sha256, size, time_wall());
    if (!may_make_room(p, u)) {
        drop(p, u);
        return NULL;
    }
    write_row(p, u);
    if (is_full(p) && !p->stopping) { /* its row, and so its answer, comes later than that */
        deadline_set(&p->deadlines, &p->uploads.expire, time_mono(), expire, p);
    }
    return u;
}

/* Only now is a request answered: who was told that a file is its own finds it after a crash. */
static void owner_stored(void *ctx, enum err e)
{
    struct upload_writing *w = ctx;
    struct pool *p = w->pool;
    tell(w, e, "", e == ERR_NONE ? w->sha256 : "", w->size);
    pool_one_less(p, &p->writes);
}

static bool is_same_request(struct http_ref a, struct http_ref b)
{
    return a.slot == b.slot && a.generation == b.generation;
}

/* A file of a request is there: which one brought it is known until another uses it. */
static struct upload *add_of_request(struct upload_writing *w, const char *sha256, uint64_t size)
{
    struct pool *p = w->pool;
    struct upload *u = uploads_find(p, sha256);
    const bool is_new = w->kept == NULL && (u == NULL || is_same_request(u->came_with, w->x));
    u = uploads_add(p, sha256, size);
    if (u != NULL && is_new) {
        u->came_with = w->x;
    }
    return u;
}

/* The bytes are not to be kept, but for somebody else who has sent the same. */
static void let_go(struct pool *p, const char *sha256)
{
    if (uploads_find(p, sha256) == NULL) {
        blob_remove(p->uploads.blobs, sha256);
    }
}

static void file_kept(void *ctx, enum err e, const char *why, const char *sha256, uint64_t size)
{
    struct upload_writing *w = ctx;
    struct pool *p = w->pool;
    w->writer = NULL;
    if (e != ERR_NONE) {
        tell(w, e, why, "", 0);
        return;
    }
    if (w->refused) {
        let_go(p, sha256);
        writing_free(w);
        return;
    }
    if (w->sha256[0] != '\0' && strcmp(w->sha256, sha256) != 0) {
        let_go(p, sha256);
        tell(w, ERR_UPLOAD_HASH_MISMATCH,
             "the SHA-256 of the body is another one than the path says", "", 0);
        return;
    }
    struct upload *u = add_of_request(w, sha256, size);
    if (u == NULL) {
        tell(w, ERR_UPLOAD_TOO_LARGE, too_large, "", 0);
        return;
    }
    memcpy(w->sha256, u->sha256, sizeof w->sha256);
    w->size = size;
    if (w->is_upload && w->owner != NULL) {
        p->writes++;
        own(p, u, w->owner, owner_stored, w);
        return;
    }
    if (w->owner != NULL) {
        uploads_own(p, u, w->owner); /* before the job that names it */
    }
    tell(w, ERR_NONE, "", w->sha256, size);
}

static void file_drained(void *ctx)
{
    struct upload_writing *w = ctx;
    if (w->kept == NULL && w->pool->server != NULL) {
        http_file_resume(w->pool->server, w->x);
    }
}

static const struct blob_writer_ops writer_ops = {file_drained, file_kept};

bool uploads_take(const struct pool *p, uint64_t size)
{
    return size <= p->options.upload_file_bytes && size <= p->options.upload_bytes;
}

static bool has_file(void *ctx, const struct http_request *rq)
{
    return uploads_seen(ctx, wall_of(ctx, rq), rq->sha256) != NULL;
}

static enum err file_begin(void *ctx, const struct http_request *rq, struct http_ref x,
                           size_t index, uint64_t length, const char *sha256, void **ret_file,
                           const char **ret_why)
{
    struct pool *p = ctx;
    if (p->stopping || p->uploads.blobs == NULL) {
        *ret_why = "the daemon is stopping";
        return ERR_STORE_UNAVAILABLE;
    }
    if (!store_is_writable(p->store)) {
        *ret_why = store_trouble(p->store)[0] != '\0' ? store_trouble(p->store)
                                                      : "the store cannot be written";
        return ERR_STORE_UNAVAILABLE;
    }
    if (length != UINT64_MAX && !uploads_take(p, length)) {
        *ret_why = too_large;
        return ERR_UPLOAD_TOO_LARGE;
    }
    struct upload_writing *w = writing_new(p, rq->caller);
    w->x = x;
    w->index = index;
    w->is_upload = rq->route == ROUTE_UPLOAD || rq->route == ROUTE_UPLOAD_PUT;
    (void)snprintf(w->sha256, sizeof w->sha256, "%s", sha256 == NULL ? "" : sha256);
    w->writer = blob_begin(p->uploads.blobs, &writer_ops, w);
    *ret_file = w;
    return ERR_NONE;
}

static void give_up(struct upload_writing *w)
{
    if (w->writer != NULL) {
        blob_abort(w->writer);
        w->writer = NULL;
    }
}

static bool file_write(void *file, const char *bytes, size_t n)
{
    struct upload_writing *w = file;
    struct pool *p = w->pool;
    count_incoming(w, n);
    if (!uploads_take(p, w->incoming) || p->uploads.incoming > p->options.upload_bytes) {
        give_up(w);
        tell(w, ERR_UPLOAD_TOO_LARGE, too_large, "", 0);
        return true;
    }
    return blob_write(w->writer, bytes, n);
}

static void file_end(void *file)
{
    struct upload_writing *w = file;
    blob_finish(w->writer);
}

static void file_abort(void *file)
{
    struct upload_writing *w = file;
    give_up(w);
    writing_free(w);
}

/* It goes when this request brought it, and nobody else has used it since. */
static void drop_refused(struct pool *p, const char *sha256, struct http_ref x)
{
    struct upload *u = uploads_find(p, sha256);
    if (u != NULL && u->holds == 0 && is_same_request(u->came_with, x)) {
        drop(p, u);
    }
}

/* Of those that are not known to be kept some are being written, and others wait for the row of
   their owner. */
static void files_refused(void *ctx, const struct http_request *rq, struct http_ref x)
{
    struct pool *p = ctx;
    for (struct upload_writing *w = p->uploads.writings; w != NULL; w = w->next) {
        if (w->kept == NULL && is_same_request(w->x, x)) {
            w->refused = true;
            drop_refused(p, w->sha256, x);
        }
    }
    for (size_t i = 0; i < rq->files_len; i++) {
        drop_refused(p, rq->files[i].sha256, x);
    }
}

const struct http_file_ops pool_file_ops = {has_file, file_begin, file_write,
                                            file_end, file_abort, files_refused};

void uploads_keep(struct pool *p, struct str bytes, const char *owner, upload_kept_fn done,
                  void *ctx)
{
    struct upload_writing *w = writing_new(p, owner);
    w->kept = done;
    w->ctx = ctx;
    w->writer = blob_begin(p->uploads.blobs, &writer_ops, w);
    count_incoming(w, bytes.n);
    (void)blob_write(w->writer, bytes.p, bytes.n);
    blob_finish(w->writer);
}

void uploads_done(struct pool *p)
{
    struct uploads *s = &p->uploads;
    for (struct upload_writing *w = s->writings, *next = NULL; w != NULL; w = next) {
        next = w->next;
        give_up(w);
        writing_free(w);
    }
    while (s->oldest != NULL) {
        struct upload *u = s->oldest;
        unlink_upload(s, u);
        shares_free(p, u);
        (void)map_remove(&s->by_sha, str_of(u->sha256));
        free(u);
    }
    map_done(&s->by_sha);
    map_done(&s->shares);
}

/* ---- the API -----------------------------------------------------------------------------------
 */

static void answer(struct pool *p, const struct upload *u, unsigned status, struct http_ref x)
{
    struct http_answer a = http_answer_new(status);
    struct js_out o = js_out_to(&a.body);
    js_open(&o, '{');
    js_member_string(&o, "sha256", u->sha256);
    js_member_int(&o, "size", (int64_t)u->size);
    js_member_ms(&o, "expiresAt", expires_at(p, u).us);
    js_close(&o, '}');
    (void)snprintf(a.location, sizeof a.location, "/uploads/%s", u->sha256);
    http_answer(p->server, x, &a);
}

/* POST /uploads, PUT /uploads/{sha256}: the body is kept already, or need not come. */
void serve_upload(struct pool *p, struct http_request *rq, struct http_ref x)
{
    const bool has_come = rq->files_len > 0;
    struct upload *u = uploads_find(p, has_come ? rq->files[0].sha256 : rq->sha256);
    if (u != NULL && !has_come) {
        uploads_touch(p, u);
    }
    if (u == NULL) {
        serve_problem(p, x, ERR_UPLOAD_NOT_FOUND);
    } else {
        answer(p, u, rq->had_file ? 200 : 201, x);
    }
}

void serve_upload_get(struct pool *p, struct http_request *rq, struct http_ref x)
{
    struct upload *u = uploads_find(p, rq->sha256);
    uint64_t size = 0;
    const int fd = u == NULL ? -1 : blob_open(p->uploads.blobs, rq->sha256, &size);
    if (fd < 0) {
        serve_problem(p, x, ERR_UPLOAD_NOT_FOUND);
        return;
    }
    struct http_answer a = http_answer_new(200);
    a.content_type = "application/octet-stream";
    a.sandbox = true;
    file_answer(p, rq, x, fd, size, rq->sha256, &a);
}

/* A DELETE that the store writes down. */
struct forgetting {
    struct pool *pool;
    struct http_ref x;
};

static void answer_deleted(struct pool *p, struct http_ref x)
{
    struct http_answer a = http_answer_new(204);
    http_answer(p->server, x, &a);
}

static void forgotten(void *ctx, enum err e)
{
    struct forgetting *f = ctx;
    struct pool *p = f->pool;
    if (p->server != NULL && e != ERR_NONE) {
        serve_problem(p, f->x, e);
    } else if (p->server != NULL) {
        answer_deleted(p, f->x);
    }
    free(f);
    pool_one_less(p, &p->writes);
}

/* One client forgets it; it goes with its last owner, or when no job of others needs it. */
static void forget(struct pool *p, struct upload *u, struct upload_share *s, struct http_ref x)
{
    struct forgetting *f = mem_alloc(sizeof *f);
    *f = (struct forgetting){p, x};
    p->writes++;
    disown(p, s, forgotten, f);
    if (is_owned(u)) {
        return;
    }
    u->forgotten = true;
    if (u->holds == 0) {
        drop(p, u);
    }
}

void serve_upload_delete(struct pool *p, struct http_request *rq, struct http_ref x)
{
    const char *wall = wall_of(p, rq);
    struct upload *u = uploads_seen(p, wall, rq->sha256);
    struct upload_share *s = u == NULL || wall == NULL ? NULL : share_find(p, u->sha256, wall);
    if (u == NULL) {
        serve_problem(p, x, ERR_UPLOAD_NOT_FOUND);
    } else if ((s == NULL ? u->holds : s->holds) > 0) {
        http_problem(p->server, x, ERR_JOB_ACTIVE, "a job that has not ended needs it", NULL);
    } else if (s == NULL) {
        drop(p, u);
        answer_deleted(p, x);
    } else if (store_is_writable(p->store)) {
        forget(p, u, s, x);
    } else {
        serve_problem(p, x, ERR_STORE_UNAVAILABLE);
    }
}
