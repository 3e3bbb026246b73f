/*
 * Copies of outputs; see the header. A file is durable before the row that names it; a row that
 * says "pending" is durable with the job's end. At the start, files that no row names are removed.
 */
#include "comfypool/files/output_copies.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "comfypool/base/json_read.h"
#include "comfypool/base/json_write.h"
#include "comfypool/base/log.h"
#include "comfypool/base/map.h"
#include "comfypool/base/names.h"
#include "comfypool/files/output_fetch.h"
#include "comfypool/loop/deadlines.h"
#include "comfypool/store/finds.h"
#include "comfypool/store/outputs.h"

#include "server.h"

enum {
    EXPIRE_EVERY_MS = 60000,
    TRIES = 6,          /* per file, of a backend that is up */
    PAUSE_MS = 1000,    /* after the first failure; doubled each time */
    LEAVE_A_TURN = 200, /* files of forgotten jobs, removed per turn of the loop */
};

/* symbol, name in GET /jobs/{id}/outputs and in the row */
#define COPY_STATE_TABLE(X)                                                                        \
    X(COPY_NONE, "no")                                                                             \
    X(COPY_PENDING, "pending")                                                                     \
    X(COPY_KEPT, "yes")                                                                            \
    X(COPY_FAILED, "failed")

enum copy_state {
#define X(symbol, name) symbol,
    COPY_STATE_TABLE(X)
#undef X
        COPY_STATE_COUNT
};

static const char *const state_names[] = {
#define X(symbol, name) name,
    COPY_STATE_TABLE(X)
#undef X
};

struct copies {
    struct store *store;
    struct deadlines *deadlines;
    struct file_servers *servers;
    struct stamps *stamps;
    struct copies_options options;
    bool stopping;
    struct map by_sha; /* struct content */
    struct map jobs;   /* struct kept_job, by job id */
    struct kept_job *oldest, *newest;
    struct kept_job *leaving; /* forgotten jobs; their files are removed some per turn */
    struct deadline leave;
    uint64_t bytes;
    size_t pending; /* jobs with files still to be fetched */
    struct deadline expire;
    struct deleted { /* check whether retention deleted the oldest, too */
        struct store_read read;
        char id[UUID_SIZE]; /* of the job being checked */
        bool again;         /* more jobs were deleted since */
    } deleted;
};

/* A file, shared by all jobs that have it. */
struct content {
    char sha256[DIGEST_HEX_SIZE];
    uint64_t size;
    unsigned refs;
};

struct copy {
    enum copy_state state;
    struct content *content; /* of COPY_KEPT */
};

struct kept_job {
    struct copies *all;
    int64_t seq;
    char id[UUID_SIZE];
    struct wall_us ended_at;
    struct copy *copies; /* by n */
    size_t len;
    struct kept_job *older, *newer;
    struct file_server *server; /* has it in its list; NULL: nothing to fetch */
    struct kept_job *before, *behind;
    unsigned tries;                /* failed ones, of the next file */
    size_t next;                   /* index; no earlier file is pending */
    size_t unwritten;              /* files done since its row was written */
    struct render_output *outputs; /* while they are fetched; NULL: not read yet */
    size_t outputs_len;
    struct buf stamps; /* of the outputs, once known */
};

/* Limit of a job's row writes while files are fetched, as each names all files. Files fetched since
   the last one are fetched again after a crash. */
enum { ROWS_A_JOB = 32 };

/* ---- contents -------------------------------------------------------------------------------- */

static struct content *content_use(struct copies *all, const char *sha256, uint64_t size)
{
    struct content *c = map_get(&all->by_sha, str_of(sha256));
    if (c == NULL) {
        c = mem_zero(1, sizeof *c);
        memcpy(c->sha256, sha256, sizeof c->sha256);
        c->size = size;
        all->bytes += size;
        (void)map_put(&all->by_sha, str_of(c->sha256), c);
    }
    c->refs++;
    return c;
}

/* Drops a reference; the last one removes the file, unless stays: the daemon stops. */
static void content_leave(struct copies *all, struct content *c, bool stays)
{
    if (--c->refs > 0) {
        return;
    }
    if (!stays) {
        blob_remove(all->options.blobs, c->sha256);
    }
    all->bytes -= c->size;
    (void)map_remove(&all->by_sha, str_of(c->sha256));
    free(c);
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* Writes, by n: [{"state": "yes", "sha256": ..., "size": ...}, {"state": "pending"}, ...]. */
static void write_files(const struct copy *copies, size_t len, struct buf *out)
{
    struct js_out o = js_out_to(out);
    js_open(&o, '[');
    for (size_t i = 0; i < len; i++) {
        js_open(&o, '{');
        js_member_string(&o, "state", state_names[copies[i].state]);
        if (copies[i].content != NULL) {
            js_member_string(&o, "sha256", copies[i].content->sha256);
            js_member_int(&o, "size", (int64_t)copies[i].content->size);
        }
        js_close(&o, '}');
    }
    js_close(&o, ']');
}

static void write_row(const struct kept_job *k)
{
    AUTO_BUF struct buf files;
    buf_init(&files, BUF_NO_LIMIT);
    write_files(k->copies, k->len, &files);
    struct kept_record r = {.seq = k->seq, .ended_at = k->ended_at};
    memcpy(r.job_id, k->id, sizeof r.job_id);
    r.files = buf_take(&files);
    store_put_kept(k->all->store, &r);
    kept_record_done(&r);
}

static enum copy_state state_of(struct str name)
{
    const size_t s = names_index(state_names, name);
    return s == COPY_STATE_COUNT ? COPY_FAILED : (enum copy_state)s;
}

static struct copy read_file(struct copies *all, struct js_reader *r)
{
    struct copy c = {.state = COPY_NONE};
    char sha256[DIGEST_HEX_SIZE] = "";
    int64_t size = -1;
    for (struct js_token key = js_next(r); key.kind == JS_KEY; key = js_next(r)) {
        const struct js_token v = js_next(r);
        if (js_is(key, "state")) {
            c.state = state_of(v.text);
        } else if (js_is(key, "sha256")) {
            (void)snprintf(sha256, sizeof sha256, "%.*s", (int)v.text.n, v.text.p);
        } else if (js_is(key, "size")) {
            (void)js_int(v, &size);
        }
    }
    const struct content *known = map_get(&all->by_sha, str_of(sha256));
    if (c.state == COPY_KEPT && known != NULL && (int64_t)known->size == size) {
        c.content = content_use(all, sha256, known->size);
    } else if (c.state == COPY_KEPT) {
        uint64_t there = 0;
        const int fd = blob_open(all->options.blobs, sha256, &there);
        if (fd < 0 || (int64_t)there != size) { /* the directory was changed by others */
            c.state = COPY_FAILED;
        } else {
            c.content = content_use(all, sha256, there);
        }
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    return c;
}

static void read_files(struct kept_job *k, struct str files)
{
    struct js_reader r;
    js_read_strict(&r, files, JS_MAX_DEPTH);
    (void)js_next(&r);
    while (js_next(&r).kind == JS_OBJECT) {
        if ((k->len & (k->len - 1)) == 0) {
            const size_t cap = k->len == 0 ? 1 : k->len * 2;
            k->copies = mem_grow(k->copies, cap * sizeof *k->copies);
        }
        k->copies[k->len++] = read_file(k->all, &r);
    }
}

struct content *copies_hold(struct copies *all, const char *sha256, uint64_t size)
{
    return content_use(all, sha256, size);
}

void copies_release(struct copies *all, struct content *c)
{
    content_leave(all, c, all->stopping);
}

const char *copies_hash(const struct content *c)
{
    return c->sha256;
}

/* Returns the first state of an output's copy when its job ends. A server may write anything into
   its ui output: only files that were streamed to us count as streamed. */
static struct copy first_state(const struct job_record *ended, const struct render_output *o,
                               struct copies *all, copies_have_fn have, const void *ctx)
{
    const bool ours = o->sha256 != NULL && strcmp(o->type, "streamed") == 0 && have(ctx, o->sha256);
    if (ours) {
        return (struct copy){COPY_KEPT, map_get(&all->by_sha, str_of(o->sha256))};
    }
    const bool wanted =
        ended->keep && ended->state == JOB_COMPLETED && render_output_is_at_server(o);
    return (struct copy){wanted ? COPY_PENDING : COPY_NONE, NULL};
}

struct kept_record copies_row(struct copies *all, const struct job_record *ended, bool have_any,
                              copies_have_fn have, const void *ctx)
{
    struct kept_record row = {.seq = ended->seq, .ended_at = ended->completed_at};
    const bool wanted = ended->keep && ended->state == JOB_COMPLETED;
    if (!job_state_is_terminal(ended->state) || (!wanted && !have_any)) {
        return row;
    }
    AUTO_BUF struct buf files;
    buf_init(&files, BUF_NO_LIMIT);
    size_t len = 0;
    bool any = false;
    struct render_output *list = render_outputs_read(str_of(ended->outputs), &len);
    struct copy *copies = mem_zero(len + 1, sizeof *copies);
    for (size_t i = 0; i < len; i++) {
        copies[i] = first_state(ended, &list[i], all, have, ctx);
        any = any || copies[i].state != COPY_NONE;
    }
    write_files(copies, len, &files);
    free(copies);
    render_outputs_free(list, len);
    memcpy(row.job_id, ended->id, sizeof row.job_id);
    row.files = any ? buf_take(&files) : NULL;
    return row;
}

/* ---- the lists of backends ------------------------------------------------------------------- */

static void queue_last(struct kept_job *k, struct file_server *s)
{
    struct copying *w = &s->copying;
    k->server = s;
    k->behind = NULL;
    k->before = w->last;
    *(w->last == NULL ? &w->first : &w->last->behind) = k;
    w->last = k;
    w->copies = k->all;
    w->copies->pending++;
}

static void unqueue(struct kept_job *k)
{
    if (k->server == NULL) {
        return;
    }
    struct copying *w = &k->server->copying;
    if (w->first == k) {
        store_read_forget(&w->read);
    }
    if (w->first == k && w->fetch != NULL) {
        fetch_cancel(w->fetch);
        w->fetch = NULL;
    }
    render_outputs_free(k->outputs, k->outputs_len);
    k->outputs = NULL;
    k->outputs_len = 0;
    buf_done(&k->stamps);
    *(k->before == NULL ? &w->first : &k->before->behind) = k->behind;
    *(k->behind == NULL ? &w->last : &k->behind->before) = k->before;
    k->before = k->behind = NULL;
    k->server = NULL;
    k->all->pending--;
}

static size_t next_pending(struct kept_job *k)
{
    while (k->next < k->len && k->copies[k->next].state != COPY_PENDING) {
        k->next++;
    }
    return k->next;
}

static void fail_rest(struct kept_job *k, const char *why)
{
    for (size_t i = 0; i < k->len; i++) {
        if (k->copies[i].state == COPY_PENDING) {
            k->copies[i].state = COPY_FAILED;
        }
    }
    LOG(LOG_WARN, "outputs cannot be copied", LOG_S("job", k->id), LOG_S("why", why));
    write_row(k);
    unqueue(k);
}

/* ---- jobs with copies ------------------------------------------------------------------------ */

static struct kept_job *add_job(struct copies *all, int64_t seq, const char *id,
                                struct wall_us ended_at, struct str files)
{
    struct kept_job *k = mem_zero(1, sizeof *k);
    k->all = all;
    k->seq = seq;
    memcpy(k->id, id, sizeof k->id);
    k->ended_at = ended_at;
    buf_init(&k->stamps, BUF_NO_LIMIT);
    read_files(k, files);
    struct kept_job *older = all->newest; /* nearly always the right place */
    while (older != NULL && older->ended_at.us > ended_at.us) {
        older = older->older;
    }
    k->older = older;
    k->newer = older == NULL ? all->oldest : older->newer;
    *(k->older == NULL ? &all->oldest : &k->older->newer) = k;
    *(k->newer == NULL ? &all->newest : &k->newer->older) = k;
    (void)map_put(&all->jobs, (struct str){k->id, UUID_TEXT}, k);
    return k;
}

static void make_room(struct copies *all);

/* Removes up to `most` files of forgotten jobs. stays: see content_leave. */
static void leave_some(struct copies *all, size_t most, bool stays)
{
    while (all->leaving != NULL && most > 0) {
        struct kept_job *k = all->leaving;
        for (; k->len > 0 && most > 0; most--) {
            struct content *c = k->copies[--k->len].content;
            if (c != NULL) {
                content_leave(all, c, stays);
            }
        }
        if (k->len == 0) {
            all->leaving = k->older;
            free(k->copies);
            free(k);
        }
    }
}

static void leave_on(void *ctx)
{
    struct copies *all = ctx;
    leave_some(all, LEAVE_A_TURN, false);
    if (all->leaving != NULL) {
        deadline_set(all->deadlines, &all->leave, time_mono(), leave_on, all);
    } else {
        make_room(all);
    }
}

static void forget_job(struct kept_job *k)
{
    struct copies *all = k->all;
    unqueue(k);
    *(k->older == NULL ? &all->oldest : &k->older->newer) = k->newer;
    *(k->newer == NULL ? &all->newest : &k->newer->older) = k->older;
    (void)map_remove(&all->jobs, (struct str){k->id, UUID_TEXT});
    k->older = all->leaving;
    all->leaving = k;
}

/* Deletes a job's row, then its files: a file without a row is removed at the next start. */
static void drop_job(struct kept_job *k)
{
    struct file_server *s = k->server;
    struct copies *all = k->all;
    store_delete_kept(all->store, k->seq);
    forget_job(k);
    if (!heap_holds(&all->leave.node)) {
        leave_some(all, LEAVE_A_TURN, false);
    }
    if (all->leaving != NULL) {
        deadline_set(all->deadlines, &all->leave, time_mono(), leave_on, all);
    }
    if (s != NULL) {
        copies_up(s);
    }
}

static struct kept_job *find(struct copies *all, const char *job_id)
{
    return map_get(&all->jobs, (struct str){job_id, UUID_TEXT});
}

static void make_room(struct copies *all)
{
    while (all->bytes > all->options.bytes && all->oldest != NULL && all->leaving == NULL) {
        LOG(LOG_INFO, "copies of a job's outputs make room for newer ones",
            LOG_S("job", all->oldest->id));
        drop_job(all->oldest);
    }
}

static void expire(void *ctx)
{
    struct copies *all = ctx;
    const int64_t before = time_wall().us - all->options.age.us;
    while (all->oldest != NULL && all->oldest->ended_at.us <= before) {
        drop_job(all->oldest);
    }
    if (!all->stopping) {
        deadline_set(all->deadlines, &all->expire, mono_add(time_mono(), dur_ms(EXPIRE_EVERY_MS)),
                     expire, all);
    }
}

/* ---- fetching -------------------------------------------------------------------------------- */

static void again(void *ctx)
{
    copies_up(ctx);
}

static void wait_after(struct file_server *s, unsigned tries)
{
    deadline_set(s->copying.copies->deadlines, &s->copying.again,
                 mono_add(time_mono(), dur_ms((int64_t)PAUSE_MS << tries)), again, s);
}

/* Handles the end of a fetch for the first job: fetched, unavailable, or to be retried. */
static void fetched(void *ctx, enum fetch_end end, const char *why, const char *sha256,
                    uint64_t size)
{
    struct file_server *s = ctx;
    struct kept_job *k = s->copying.first;
    struct copies *all = s->copying.copies;
    s->copying.fetch = NULL;
    struct copy *c = &k->copies[next_pending(k)];
    if (end == FETCH_TROUBLE && ++k->tries < TRIES) {
        const unsigned tries = k->tries;
        unqueue(k); /* others first */
        queue_last(k, s);
        wait_after(s, tries - 1);
        return;
    }
    k->tries = 0;
    if (end == FETCH_DONE) {
        c->state = COPY_KEPT;
        c->content = content_use(all, sha256, size);
    } else {
        c->state = COPY_FAILED;
        LOG(LOG_WARN, "an output cannot be copied", LOG_S("job", k->id), LOG_S("backend", s->name),
            LOG_S("why", why));
    }
    const bool is_last = next_pending(k) == k->len;
    if (++k->unwritten > k->len / ROWS_A_JOB || is_last) {
        k->unwritten = 0;
        write_row(k);
    }
    if (is_last) {
        unqueue(k);
    }
    make_room(all);
    copies_up(s);
}

/* Fetches the next pending file; false: no such output. */
static bool start_fetch(struct file_server *s, struct kept_job *k)
{
    struct copies *all = s->copying.copies;
    const size_t n = next_pending(k);
    const bool good = n < k->outputs_len && k->outputs_len == k->len;
    if (good) {
        const struct output_stamp stamp = stamps_find(all->stamps, buf_str(&k->stamps), n);
        s->copying.fetch = fetch_begin(s, &stamp, &k->outputs[n], all->options.blobs,
                                       all->options.bytes, fetched, s);
    }
    return good;
}

/* Continues the first job, as found in the store. */
static void job_found(void *ctx, const struct store_found *f)
{
    struct file_server *s = ctx;
    struct kept_job *k = s->copying.first;
    if (s->copying.copies->stopping) {
        return;
    }
    if (f->error == ERR_STORE_UNAVAILABLE) {
        wait_after(s, 0);
        return;
    }
    if (f->error == ERR_NONE && k->outputs == NULL) {
        k->outputs = render_outputs_read(str_of(f->job->outputs), &k->outputs_len);
    }
    buf_add_str(&k->stamps, f->stamps);
    if (f->error == ERR_NONE && !s->up) {
        return;
    }
    if (f->error != ERR_NONE || !start_fetch(s, k)) {
        fail_rest(k, "its job, or the output, is gone");
        copies_up(s);
    }
}

static void read_job(struct file_server *s, const struct kept_job *k)
{
    struct store_wish wish = {.wants = STORE_WANT_STAMPS};
    memcpy(wish.id, k->id, sizeof wish.id);
    store_find_job(k->all->store, &wish, &s->copying.read, job_found, s);
}

void copies_up(struct file_server *s)
{
    struct copying *w = &s->copying;
    struct kept_job *k = w->first;
    if (!s->up || k == NULL || w->copies->stopping || w->fetch != NULL || w->read.find != NULL ||
        heap_holds(&w->again.node)) {
        return;
    }
    if (k->outputs == NULL || k->stamps.len == 0) { /* stamps may arrive during the copying */
        read_job(s, k);
    } else if (!start_fetch(s, k)) {
        fail_rest(k, "its job, or the output, is gone");
        copies_up(s);
    }
}

void copies_leave(struct file_server *s)
{
    struct copying *w = &s->copying;
    if (w->copies == NULL) {
        return; /* nothing was ever fetched there */
    }
    deadline_clear(w->copies->deadlines, &w->again);
    while (w->first != NULL) {
        if (w->copies->stopping) {
            unqueue(w->first);
        } else {
            fail_rest(w->first, "its backend was removed");
        }
    }
}

/* Queues a job to be fetched from its backend, as soon as that is up. */
static void queue_at(struct kept_job *k, const char *backend)
{
    struct file_server *s = file_server_find(k->all->servers, backend);
    if (s == NULL) {
        fail_rest(k, "its backend is not configured any more");
        return;
    }
    queue_last(k, s);
    copies_up(s);
}

void copies_begin(struct copies *all, const struct job_record *ended, const char *files)
{
    if (files == NULL || all->options.blobs == NULL) {
        return;
    }
    struct kept_job *k = add_job(all, ended->seq, ended->id, ended->completed_at, str_of(files));
    if (next_pending(k) < k->len) {
        queue_at(k, ended->backend);
    }
    make_room(all);
}

void copies_forget(struct copies *all, const char *job_id)
{
    struct kept_job *k = find(all, job_id);
    if (k != NULL) {
        drop_job(k);
    }
}

static void ask_for_oldest(struct copies *all);

/* Drops the oldest job if deleted, then checks the next. Retention takes the oldest first: if it
   left this one, it left all others. */
static void oldest_found(void *ctx, const struct store_found *f)
{
    struct copies *all = ctx;
    struct kept_job *k = find(all, all->deleted.id);
    const bool is_gone = f->error == ERR_JOB_NOT_FOUND;
    if (is_gone && k != NULL) {
        drop_job(k);
    }
    if (is_gone || all->deleted.again) {
        ask_for_oldest(all);
    }
}

static void ask_for_oldest(struct copies *all)
{
    struct deleted *d = &all->deleted;
    d->again = false;
    if (all->oldest != NULL && !all->stopping) {
        struct store_wish wish = {.wants = 0};
        memcpy(d->id, all->oldest->id, sizeof d->id);
        memcpy(wish.id, d->id, sizeof wish.id);
        store_find_job(all->store, &wish, &d->read, oldest_found, all);
    }
}

void copies_of_deleted(struct copies *all)
{
    if (all->deleted.read.find == NULL) {
        ask_for_oldest(all);
    } else {
        all->deleted.again = true;
    }
}

/* ---- the start and the end ------------------------------------------------------------------- */

static void found_row(void *ctx, const struct kept_record *row, const char *backend)
{
    struct copies *all = ctx;
    struct kept_job *k = add_job(all, row->seq, row->job_id, row->ended_at, str_of(row->files));
    if (next_pending(k) < k->len && backend != NULL) {
        queue_at(k, backend);
    }
}

static void found_file(void *ctx, const char *sha256, uint64_t size)
{
    struct copies *all = ctx;
    (void)size;
    if (map_get(&all->by_sha, str_of(sha256)) == NULL) {
        blob_remove(all->options.blobs, sha256);
    }
}

bool copies_start(struct copies *all)
{
    if (all->options.blobs == NULL) {
        return true;
    }
    if (store_load_kept(all->store, found_row, all) != ERR_NONE) {
        return false;
    }
    blobs_each(all->options.blobs, found_file, all);
    make_room(all);
    expire(all);
    return true;
}

struct copies *copies_new(struct store *store, struct deadlines *deadlines,
                          struct file_servers *servers, struct stamps *stamps,
                          const struct copies_options *options)
{
    struct copies *all = mem_zero(1, sizeof *all);
    all->store = store;
    all->deadlines = deadlines;
    all->servers = servers;
    all->stamps = stamps;
    all->options = *options;
    map_init(&all->by_sha);
    map_init(&all->jobs);
    return all;
}

void copies_stop(struct copies *all)
{
    all->stopping = true;
    store_read_forget(&all->deleted.read);
}

void copies_free(struct copies *all)
{
    while (all->oldest != NULL) {
        forget_job(all->oldest);
    }
    deadline_clear(all->deadlines, &all->leave);
    deadline_clear(all->deadlines, &all->expire);
    leave_some(all, SIZE_MAX, true);
    map_done(&all->by_sha);
    map_done(&all->jobs);
    free(all);
}

/* ---- queries --------------------------------------------------------------------------------- */

/* Finds a job; NULL also if its row numbers other outputs: an older daemon saw fewer in the same
   JSON. */
static const struct kept_job *find_numbered(struct copies *all, const char *job_id, size_t len)
{
    const struct kept_job *k = find(all, job_id);
    return k == NULL || k->len != len ? NULL : k;
}

void copies_mark(struct copies *all, const char *job_id, struct render_output *list, size_t len)
{
    const struct kept_job *k = find_numbered(all, job_id, len);
    for (size_t i = 0; i < len; i++) {
        const struct copy *c = k == NULL ? NULL : &k->copies[i];
        if (c != NULL && list[i].text == NULL) {
            list[i].kept = state_names[c->state];
            list[i].size = c->content == NULL ? -1 : (int64_t)c->content->size;
        }
    }
}

const char *copies_find(struct copies *all, const char *job_id, size_t n, size_t len)
{
    const struct kept_job *k = find_numbered(all, job_id, len);
    return k == NULL || n >= k->len || k->copies[n].content == NULL ? NULL
                                                                    : k->copies[n].content->sha256;
}

int copies_open(const struct copies *all, const char *sha256, uint64_t *ret_size)
{
    return blob_open(all->options.blobs, sha256, ret_size);
}

struct blobs *copies_blobs(const struct copies *all)
{
    return all->options.blobs;
}

uint64_t copies_most(const struct copies *all)
{
    return all->options.bytes;
}

bool copies_wait_for(const struct file_server *s)
{
    return s->copying.first != NULL;
}

void copies_count(const struct copies *all, struct copies_stats *ret)
{
    *ret = (struct copies_stats){
        .files = all->by_sha.len,
        .bytes = all->bytes,
        .jobs = all->jobs.len,
        .pending = all->pending,
    };
}
