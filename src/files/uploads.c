/*
 * Kept files; see the header. The file is durable before its row is written, and the row before a
 * job that names it: writes keep their order. At a start a file without a row gets one, and a row
 * without its file is deleted.
 */
#include "comfypool/files/uploads.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "comfypool/base/list.h"
#include "comfypool/base/log.h"
#include "comfypool/base/map.h"
#include "comfypool/base/uuid.h"
#include "comfypool/loop/deadlines.h"
#include "comfypool/store/settings.h"
#include "comfypool/store/store.h"
#include "comfypool/store/uploads.h"

enum {
    EXPIRE_EVERY_MS = 60000,
    FILES_MOST = 1 << 18,
    DROPPED_AT_ONCE = 200, /* in one turn of the loop: some 6 ms */
};

/* A client's relation to a file. */
struct upload_share {
    struct upload *upload;
    struct upload_share *next, **link; /* list of the upload */
    unsigned holds;                    /* by its active jobs */
    bool sent;                         /* it owns the file */
    const char *client;                /* the end of key; "": clients without a token */
    char key[];                        /* the hash, a blank, the client's name */
};

struct uploads {
    struct store *store;
    struct deadlines *deadlines;
    struct pending *pending;
    struct uploads_options options;
    struct map by_sha;
    struct map shares; /* by key */
    char salt[33];     /* for the names given to servers; "": they are the hashes */
    struct upload *oldest, *newest;
    uint64_t bytes;
    uint64_t incoming; /* bytes being written */
    struct deadline expire;
    struct upload_writing *writings;
    bool stopping;
};

/* ---- the list -------------------------------------------------------------------------------- */

struct wall_us uploads_expires_at(const struct uploads *all, const struct upload *u)
{
    return (struct wall_us){u->used_at.us + all->options.age.us};
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

struct blobs *uploads_blobs(const struct uploads *all)
{
    return all->options.blobs;
}

int uploads_open(const struct uploads *all, const char *sha256, uint64_t *ret_size)
{
    return all->options.blobs == NULL ? -1 : blob_open(all->options.blobs, sha256, ret_size);
}

void uploads_count(const struct uploads *all, size_t *ret_files, uint64_t *ret_bytes)
{
    *ret_files = all->by_sha.len;
    *ret_bytes = all->bytes;
}

struct upload *uploads_find(struct uploads *all, const char *sha256)
{
    return map_get(&all->by_sha, str_of(sha256));
}

/* ---- whose they are -------------------------------------------------------------------------- */

static struct upload_share *share_find(struct uploads *all, const char *sha256, const char *client)
{
    AUTO_BUF struct buf key;
    buf_init(&key, BUF_NO_LIMIT);
    buf_printf(&key, "%s %s", sha256, client);
    return map_get(&all->shares, buf_str(&key));
}

static struct upload_share *share_of(struct uploads *all, struct upload *u, const char *client)
{
    struct upload_share *s = share_find(all, u->sha256, client);
    if (s != NULL) {
        return s;
    }
    const size_t size = sizeof u->sha256 + strlen(client) + 1; /* the blank takes the hash's
                                                                  terminator */
    s = mem_zero(1, sizeof *s + size);
    (void)snprintf(s->key, size, "%s %s", u->sha256, client);
    s->client = s->key + sizeof u->sha256;
    s->upload = u;
    list_push(&u->shares, s, next, link);
    (void)map_put(&all->shares, str_of(s->key), s);
    return s;
}

static void share_free(struct uploads *all, struct upload_share *s)
{
    list_remove(s, next, link);
    (void)map_remove(&all->shares, str_of(s->key));
    free(s);
}

static void shares_free(struct uploads *all, struct upload *u)
{
    struct upload_share *next = NULL;
    for (struct upload_share *s = u->shares; s != NULL; s = next) {
        next = s->next;
        share_free(all, s);
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

/* Makes the client an owner. done (or NULL) comes when that is stored. */
static void own(struct uploads *all, struct upload *u, const char *client, store_kept_fn done,
                void *ctx)
{
    struct upload_share *s = share_of(all, u, client);
    u->forgotten = false;
    if (!s->sent || done != NULL) {
        s->sent = true;
        const struct owner_record r = owner_record(s);
        store_put_owner(all->store, &r, done, ctx);
    }
}

void uploads_own(struct uploads *all, struct upload *u, const char *client)
{
    own(all, u, client, NULL, NULL);
}

static void disown(struct uploads *all, struct upload_share *s, store_kept_fn done, void *ctx)
{
    const struct owner_record r = owner_record(s);
    store_delete_owner(all->store, &r, done, ctx);
    s->sent = false;
    if (s->holds == 0) {
        share_free(all, s);
    }
}

struct upload *uploads_seen(struct uploads *all, const char *wall, const char *sha256)
{
    if (wall == NULL) {
        return uploads_find(all, sha256);
    }
    const struct upload_share *s = share_find(all, sha256, wall);
    return s == NULL || !s->sent ? NULL : s->upload;
}

/* ---- the list -------------------------------------------------------------------------------- */

static struct upload *add(struct uploads *all, const char *sha256, uint64_t size,
                          struct wall_us used_at)
{
    struct upload *u = mem_zero(1, sizeof *u);
    memcpy(u->sha256, sha256, sizeof u->sha256);
    u->size = size;
    u->used_at = used_at;
    all->bytes += size;
    link_newest(all, u);
    (void)map_put(&all->by_sha, str_of(u->sha256), u);
    return u;
}

static void write_row(struct uploads *all, const struct upload *u)
{
    const struct upload_record r = {.size = (int64_t)u->size, .used_at = u->used_at};
    struct upload_record named = r;
    memcpy(named.sha256, u->sha256, sizeof named.sha256);
    store_put_upload(all->store, &named);
}

void uploads_touch(struct uploads *all, struct upload *u)
{
    unlink_upload(all, u);
    u->came_with = 0;
    u->used_at = time_wall();
    link_newest(all, u);
    write_row(all, u);
}

/* Deletes the row first: a file without one is repaired, a row without its file is wrong. */
static void drop(struct uploads *all, struct upload *u)
{
    store_delete_upload(all->store, u->sha256);
    blob_remove(all->options.blobs, u->sha256);
    all->bytes -= u->size;
    unlink_upload(all, u);
    shares_free(all, u);
    (void)map_remove(&all->by_sha, str_of(u->sha256));
    free(u);
}

void uploads_hold(struct uploads *all, struct upload *u, const char *client)
{
    u->holds++;
    u->came_with = 0;
    if (client != NULL) {
        share_of(all, u, client)->holds++;
    }
}

void uploads_release(struct uploads *all, struct upload *u, const char *client)
{
    struct upload_share *s = client == NULL ? NULL : share_find(all, u->sha256, client);
    u->holds -= u->holds > 0 ? 1 : 0;
    if (s != NULL && s->holds > 0 && --s->holds == 0 && !s->sent) {
        share_free(all, s);
    }
    if (u->holds == 0 && u->forgotten && !all->stopping) {
        drop(all, u);
    }
}

static bool are_too_many(const struct uploads *all, uint64_t bytes, size_t files)
{
    return bytes > all->options.bytes || files > FILES_MOST;
}

static bool is_full(const struct uploads *all)
{
    return are_too_many(all, all->bytes, all->by_sha.len);
}

/* True if there is room for a new file, once unneeded ones are removed. */
static bool may_make_room(const struct uploads *all, const struct upload *for_this)
{
    uint64_t bytes = all->bytes;
    size_t files = all->by_sha.len;
    for (const struct upload *u = all->oldest; u != NULL && are_too_many(all, bytes, files);
         u = u->newer) {
        const bool goes = u->holds == 0 && u != for_this;
        bytes -= goes ? u->size : 0;
        files -= goes ? 1 : 0;
    }
    return !are_too_many(all, bytes, files);
}

/* Removes unneeded files, oldest first: those too old, and as many as exceed the limits, but not
   the newest. Some at a time; the rest in another turn. */
static void expire(void *ctx)
{
    struct uploads *all = ctx;
    const struct wall_us now = time_wall();
    unsigned dropped = 0;
    struct upload *next = NULL;
    for (struct upload *u = all->oldest; u != NULL && dropped < DROPPED_AT_ONCE; u = next) {
        const bool is_old = uploads_expires_at(all, u).us <= now.us;
        next = u->newer;
        if (!is_old && (next == NULL || !is_full(all))) {
            break;
        }
        if (u->holds == 0) {
            drop(all, u);
            dropped++;
        }
    }
    if (!all->stopping) {
        const struct dur_us pause = dur_ms(dropped == DROPPED_AT_ONCE ? 0 : EXPIRE_EVERY_MS);
        deadline_set(all->deadlines, &all->expire, mono_add(time_mono(), pause), expire, all);
    }
}

/* ---- the start ------------------------------------------------------------------------------- */

static void found_row(void *ctx, const struct upload_record *r)
{
    struct uploads *all = ctx;
    uint64_t size = 0;
    const int fd = blob_open(all->options.blobs, r->sha256, &size);
    if (fd < 0) {
        LOG(LOG_WARN, "the file of an upload is gone", LOG_S("sha256", r->sha256));
        store_delete_upload(all->store, r->sha256);
        return;
    }
    (void)close(fd);
    (void)add(all, r->sha256, size, r->used_at);
}

static void found_file(void *ctx, const char *sha256, uint64_t size)
{
    struct uploads *all = ctx;
    if (uploads_find(all, sha256) == NULL) {
        write_row(all, add(all, sha256, size, time_wall()));
    }
}

static void found_owner(void *ctx, const struct owner_record *r)
{
    struct uploads *all = ctx;
    struct upload *u = uploads_find(all, r->sha256);
    if (u != NULL) {
        share_of(all, u, r->client)->sent = true;
    }
}

/* Loads the salt, made once, so that files keep their names at the servers. */
static bool load_salt(struct uploads *all)
{
    char *kept = NULL;
    if (!all->options.hides_names) {
        return true;
    }
    const bool good = store_load_setting(all->store, "uploads.salt", &kept) == ERR_NONE;
    if (good && kept != NULL) {
        (void)snprintf(all->salt, sizeof all->salt, "%s", kept);
    } else if (good) {
        (void)snprintf(all->salt, sizeof all->salt, "%016" PRIx64 "%016" PRIx64, uuid_random(),
                       uuid_random());
        store_put_setting(all->store, "uploads.salt", all->salt, NULL, NULL);
    }
    free(kept);
    return good;
}

void uploads_server_name(const struct uploads *all, const char *sha256, char ret[33])
{
    AUTO_BUF struct buf both;
    char made[DIGEST_HEX_SIZE];
    buf_init(&both, BUF_NO_LIMIT);
    buf_printf(&both, "%s%s", all->salt, sha256);
    if (all->salt[0] != '\0') {
        digest_sha256_hex(buf_str(&both), made);
    }
    (void)snprintf(ret, 33, "%.32s", all->salt[0] != '\0' ? made : sha256);
}

bool uploads_start(struct uploads *all)
{
    if (all->options.blobs == NULL) {
        return true;
    }
    if (store_load_uploads(all->store, found_row, all) != ERR_NONE ||
        store_load_owners(all->store, found_owner, all) != ERR_NONE || !load_salt(all)) {
        return false;
    }
    blobs_each(all->options.blobs, found_file, all);
    expire(all);
    return true;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* A file being received: of a request, or from memory. */
struct upload_writing {
    struct uploads *all;
    struct upload_writing *next, **link;
    struct blob_writer *writer;
    uint64_t incoming;            /* its part of all->incoming */
    uint64_t request;             /* 0: none */
    char sha256[DIGEST_HEX_SIZE]; /* required hash; "": any */
    char *owner;                  /* its sender, or NULL: see uploads_own */
    bool is_whole;                /* it is the whole request, not a file of a job */
    bool refused;                 /* its request was refused */
    uint64_t size;                /* of the kept file */
    const struct incoming_ops *ops;
    void *ctx;
};

static struct upload_writing *writing_new(struct uploads *all, const char *owner)
{
    struct upload_writing *w = mem_zero(1, sizeof *w);
    w->all = all;
    w->owner = mem_strdup(owner);
    list_push(&all->writings, w, next, link);
    return w;
}

static void writing_free(struct upload_writing *w)
{
    w->all->incoming -= w->incoming;
    list_remove(w, next, link);
    free(w->owner);
    free(w);
}

static void count_incoming(struct upload_writing *w, size_t n)
{
    w->incoming += n;
    w->all->incoming += n;
}

static void tell(struct upload_writing *w, enum err e, const char *why, const char *sha256,
                 uint64_t size)
{
    w->ops->done(w->ctx, e, why, sha256, size);
    writing_free(w);
}

static void leave(struct upload_writing *w)
{
    w->ops->gone(w->ctx);
    writing_free(w);
}

static const char too_large[] = "it is larger than uploads.maxFileBytes, or than the room that "
                                "uploads.maxBytes leaves beside files that active jobs need, or "
                                "that come at this moment";

struct upload *uploads_add(struct uploads *all, const char *sha256, uint64_t size)
{
    struct upload *u = uploads_find(all, sha256);
    if (u != NULL) {
        uploads_touch(all, u);
        return u;
    }
    u = add(all, sha256, size, time_wall());
    if (!may_make_room(all, u)) {
        drop(all, u);
        return NULL;
    }
    write_row(all, u);
    if (is_full(all) && !all->stopping) { /* its row, and so its answer, comes later */
        deadline_set(all->deadlines, &all->expire, time_mono(), expire, all);
    }
    return u;
}

/* Answers the request now: a client told that it owns a file finds it after a crash. */
static void owner_stored(void *ctx)
{
    struct upload_writing *w = ctx;
    struct uploads *all = w->all;
    tell(w, ERR_NONE, "", w->sha256, w->size);
    pending_remove(all->pending);
}

/* Adds a received file, noting its request until another uses it. */
static struct upload *add_of_request(struct upload_writing *w, const char *sha256, uint64_t size)
{
    struct uploads *all = w->all;
    struct upload *u = uploads_find(all, sha256);
    const bool is_new = w->request != 0 && (u == NULL || u->came_with == w->request);
    u = uploads_add(all, sha256, size);
    if (u != NULL && is_new) {
        u->came_with = w->request;
    }
    return u;
}

/* Removes unwanted bytes, unless another sender's equal file is kept. */
static void let_go(struct uploads *all, const char *sha256)
{
    if (uploads_find(all, sha256) == NULL) {
        blob_remove(all->options.blobs, sha256);
    }
}

static void file_kept(void *ctx, enum err e, const char *why, const char *sha256, uint64_t size)
{
    struct upload_writing *w = ctx;
    struct uploads *all = w->all;
    w->writer = NULL;
    if (e != ERR_NONE) {
        tell(w, e, why, "", 0);
        return;
    }
    if (w->refused) {
        let_go(all, sha256);
        leave(w);
        return;
    }
    if (w->sha256[0] != '\0' && strcmp(w->sha256, sha256) != 0) {
        let_go(all, sha256);
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
    if (w->is_whole && w->owner != NULL) {
        pending_add(all->pending);
        own(all, u, w->owner, owner_stored, w);
        return;
    }
    if (w->owner != NULL) {
        uploads_own(all, u, w->owner); /* before the job that names it */
    }
    tell(w, ERR_NONE, "", w->sha256, size);
}

static void file_drained(void *ctx)
{
    struct upload_writing *w = ctx;
    w->ops->has_room(w->ctx);
}

static const struct blob_writer_ops writer_ops = {file_drained, file_kept};

bool uploads_take(const struct uploads *all, uint64_t size)
{
    return size <= all->options.file_bytes && size <= all->options.bytes;
}

/* Checks the limits before any of a file of that length has come. */
static enum err check_new(const struct uploads *all, uint64_t length, const char **ret_why)
{
    if (all->stopping || all->options.blobs == NULL) {
        *ret_why = "the daemon is stopping";
        return ERR_STORE_UNAVAILABLE;
    }
    if (!store_is_writable(all->store)) {
        const char *trouble = store_trouble(all->store);
        *ret_why = trouble[0] != '\0' ? trouble : "the store cannot be written";
        return ERR_STORE_UNAVAILABLE;
    }
    if (length != UINT64_MAX && !uploads_take(all, length)) {
        *ret_why = too_large;
        return ERR_UPLOAD_TOO_LARGE;
    }
    return ERR_NONE;
}

struct upload_writing *upload_begin(struct uploads *all, const struct incoming_upload *in,
                                    const struct incoming_ops *ops, void *ctx, enum err *ret_e,
                                    const char **ret_why)
{
    *ret_e = check_new(all, in->length, ret_why);
    if (*ret_e != ERR_NONE) {
        return NULL;
    }
    struct upload_writing *w = writing_new(all, in->owner);
    w->request = in->request;
    w->is_whole = in->is_whole;
    w->ops = ops;
    w->ctx = ctx;
    (void)snprintf(w->sha256, sizeof w->sha256, "%s", in->sha256 == NULL ? "" : in->sha256);
    w->writer = blob_begin(all->options.blobs, &writer_ops, w);
    return w;
}

static void give_up(struct upload_writing *w)
{
    if (w->writer != NULL) {
        blob_abort(w->writer);
        w->writer = NULL;
    }
}

bool upload_write(struct upload_writing *w, const char *bytes, size_t n)
{
    struct uploads *all = w->all;
    count_incoming(w, n);
    if (!uploads_take(all, w->incoming) || all->incoming > all->options.bytes) {
        give_up(w);
        tell(w, ERR_UPLOAD_TOO_LARGE, too_large, "", 0);
        return true;
    }
    return blob_write(w->writer, bytes, n);
}

void upload_end(struct upload_writing *w)
{
    blob_finish(w->writer);
}

void upload_abort(struct upload_writing *w)
{
    give_up(w);
    writing_free(w);
}

void uploads_refuse_file(struct uploads *all, uint64_t request, const char *sha256)
{
    struct upload *u = uploads_find(all, sha256);
    if (u != NULL && u->holds == 0 && u->came_with == request) {
        drop(all, u);
    }
}

/* Some of its files are still being written, others wait for the row of their owner. */
void uploads_refuse(struct uploads *all, uint64_t request)
{
    for (struct upload_writing *w = all->writings; w != NULL; w = w->next) {
        if (w->request == request) {
            w->refused = true;
            uploads_refuse_file(all, request, w->sha256);
        }
    }
}

/* Bytes kept from memory. */
struct keeping {
    upload_kept_fn done;
    void *ctx;
};

static void keep_has_room(void *ctx)
{
    (void)ctx; /* all bytes were written at once */
}

static void keep_done(void *ctx, enum err e, const char *why, const char *sha256, uint64_t size)
{
    struct keeping *k = ctx;
    (void)size;
    k->done(k->ctx, e, why, sha256);
    free(k);
}

static void keep_gone(void *ctx)
{
    free(ctx);
}

static const struct incoming_ops keep_ops = {keep_has_room, keep_done, keep_gone};

void uploads_keep(struct uploads *all, struct str bytes, const char *owner, upload_kept_fn done,
                  void *ctx)
{
    struct keeping *k = mem_alloc(sizeof *k);
    *k = (struct keeping){done, ctx};
    struct upload_writing *w = writing_new(all, owner);
    w->ops = &keep_ops;
    w->ctx = k;
    w->writer = blob_begin(all->options.blobs, &writer_ops, w);
    count_incoming(w, bytes.n);
    (void)blob_write(w->writer, bytes.p, bytes.n);
    blob_finish(w->writer);
}

/* ---- forgetting ------------------------------------------------------------------------------ */

/* A change of owners being stored. */
struct forgetting {
    struct uploads *all;
    store_kept_fn done;
    void *ctx;
};

static void forgotten(void *ctx)
{
    struct forgetting *f = ctx;
    struct pending *pending = f->all->pending;
    f->done(f->ctx);
    free(f);
    pending_remove(pending);
}

/* Removes a client's share; the file goes with its last owner, or when no other job needs it. */
static void forget_share(struct uploads *all, struct upload *u, struct upload_share *s,
                         store_kept_fn done, void *ctx)
{
    struct forgetting *f = mem_alloc(sizeof *f);
    *f = (struct forgetting){all, done, ctx};
    pending_add(all->pending);
    disown(all, s, forgotten, f);
    if (is_owned(u)) {
        return;
    }
    u->forgotten = true;
    if (u->holds == 0) {
        drop(all, u);
    }
}

bool uploads_forget(struct uploads *all, const char *wall, const char *sha256, store_kept_fn done,
                    void *ctx, struct refusal *ret)
{
    struct upload *u = uploads_seen(all, wall, sha256);
    struct upload_share *s = u == NULL || wall == NULL ? NULL : share_find(all, sha256, wall);
    if (u == NULL) {
        return refusal_set(ret, ERR_UPLOAD_NOT_FOUND);
    }
    if ((s == NULL ? u->holds : s->holds) > 0) {
        return refusal_say(ret, ERR_JOB_ACTIVE, "a job that has not ended needs it");
    }
    if (s == NULL) {
        drop(all, u);
        done(ctx);
    } else if (store_is_writable(all->store)) {
        forget_share(all, u, s, done, ctx);
    } else {
        return refusal_set(ret, ERR_STORE_UNAVAILABLE);
    }
    return true;
}

/* ---- life ------------------------------------------------------------------------------------ */

struct uploads *uploads_new(struct store *store, struct deadlines *deadlines,
                            struct pending *pending, const struct uploads_options *options)
{
    struct uploads *all = mem_zero(1, sizeof *all);
    all->store = store;
    all->deadlines = deadlines;
    all->pending = pending;
    all->options = *options;
    map_init(&all->by_sha);
    map_init(&all->shares);
    return all;
}

void uploads_stop(struct uploads *all)
{
    all->stopping = true;
}

void uploads_free(struct uploads *all)
{
    for (struct upload_writing *w = all->writings, *next = NULL; w != NULL; w = next) {
        next = w->next;
        give_up(w);
        leave(w);
    }
    while (all->oldest != NULL) {
        struct upload *u = all->oldest;
        unlink_upload(all, u);
        shares_free(all, u);
        (void)map_remove(&all->by_sha, str_of(u->sha256));
        free(u);
    }
    deadline_clear(all->deadlines, &all->expire);
    map_done(&all->by_sha);
    map_done(&all->shares);
    free(all);
}
