/* Images that only pass by; see the header. */
#include "streamed.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/json_write.h"
#include "comfypool/base/log.h"
#include "attempt.h"
#include "comfypool/files/output_copies.h"
#include "state.h"
#include "backends.h"
#include "jobs.h"

enum {
    MAX_UNWRITTEN = 256 << 20,        /* bytes of an attempt that the disk has not taken yet */
    MAX_IMAGES = RENDER_OUTPUTS_MOST, /* of an attempt */
    SLICE = 1 << 20,                  /* what is hashed in one go */
    AT_A_TIME = 8,                    /* files that are open; of the whole pool */
};

struct streamed_image {
    struct attempt *attempt; /* while it is written */
    char *node_id;
    const char *media_type;
    size_t at;        /* its place among those of the attempt */
    struct buf image; /* while it is written */
    size_t taken;     /* of it, by the writer */
    size_t size;
    struct blob_writer *writer;
    struct content *content; /* NULL: not written yet, or it could not be */
    bool waits;              /* for its turn to be written, in this list: */
    struct streamed_image *before, *behind;
};

/* ---- which ----------------------------------------------------------------------------------- */

static const char own_class[] = "SaveImageWebsocket"; /* ComfyUI's */

static bool is_stream_class(const struct pool *p, struct str class_type)
{
    if (str_is(class_type, own_class)) {
        return true;
    }
    size_t i = 0;
    while (i < p->options.stream_classes_len && !str_is(class_type, p->options.stream_classes[i])) {
        i++;
    }
    return i < p->options.stream_classes_len;
}

/* The node that sent it: as it says itself, else the one that runs. */
static struct str node_of(const struct attempt *a, const struct frame_preview *f)
{
    return f->node_id.p != NULL ? f->node_id : str_of(a->progress.node_id);
}

bool streamed_is_output(const struct attempt *a, const struct frame_preview *f)
{
    const struct str id = node_of(a, f);
    const struct workflow_node *node = id.n == 0 ? NULL : workflow_find(a->workflow, id);
    return node != NULL && is_stream_class(a->backend->pool, node->class_type);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void begin_writes(struct pool *p);

static void written(void *ctx, enum err e, const char *why, const char *sha256, uint64_t size)
{
    struct streamed_image *i = ctx;
    struct attempt *a = i->attempt;
    struct pool *p = a->backend->pool;
    i->writer = NULL;
    i->attempt = NULL;
    buf_done(&i->image);
    a->streamed.pending--;
    a->streamed.unwritten -= i->size;
    p->streamed_writes.open--;
    if (e == ERR_NONE) {
        i->content = copies_hold(p->copies, sha256, size);
        (void)map_put(&a->streamed.by_hash, str_of(copies_hash(i->content)), i);
    } else {
        (void)attempt_leaves_out(a);
        LOG(LOG_ERROR, "an image that came over the WebSocket could not be kept",
            LOG_S("job", a->job->r.id), LOG_S("node", i->node_id), LOG_S("why", why));
    }
    if (attempt_is_over(&a->state) && a->streamed.pending == 0) {
        p->ops->wrote_images(a);
    }
    begin_writes(p);
}

static void write_on(void *ctx)
{
    struct streamed_image *i = ctx;
    bool more = true;
    while (more && i->taken < i->size) {
        const size_t left = i->size - i->taken;
        const size_t n = left < SLICE ? left : SLICE;
        more = blob_write(i->writer, i->image.data + i->taken, n);
        i->taken += n;
    }
    if (more) {
        blob_finish(i->writer);
    }
}

static const struct blob_writer_ops ops = {write_on, written};

static void unlink_waiting(struct streamed_writes *w, struct streamed_image *i)
{
    *(i->before == NULL ? &w->first : &i->before->behind) = i->behind;
    *(i->behind == NULL ? &w->last : &i->behind->before) = i->before;
    i->before = i->behind = NULL;
    i->waits = false;
}

static void begin_writes(struct pool *p)
{
    struct streamed_writes *w = &p->streamed_writes;
    while (w->open < AT_A_TIME && w->first != NULL) {
        struct streamed_image *i = w->first;
        unlink_waiting(w, i);
        w->open++;
        i->writer = blob_begin(copies_blobs(p->copies), &ops, i);
        write_on(i);
    }
}

static void wait_for_turn(struct pool *p, struct streamed_image *i)
{
    struct streamed_writes *w = &p->streamed_writes;
    i->waits = true;
    i->before = w->last;
    *(w->last == NULL ? &w->first : &w->last->behind) = i;
    w->last = i;
    begin_writes(p);
}

static bool has_room(const struct attempt *a, size_t n)
{
    const struct streamed *s = &a->streamed;
    return s->len < MAX_IMAGES && s->bytes + n <= copies_most(a->backend->pool->copies) &&
           s->unwritten + n <= MAX_UNWRITTEN;
}

void streamed_add(struct attempt *a, const struct frame_preview *f)
{
    struct streamed *s = &a->streamed;
    struct pool *p = a->backend->pool;
    if (copies_blobs(p->copies) == NULL || !has_room(a, f->image.n)) {
        if (attempt_leaves_out(a)) {
            LOG(LOG_WARN, "images that came over the WebSocket are left out: there is no room",
                LOG_S("job", a->job->r.id));
        }
        return;
    }
    struct streamed_image *i = mem_zero(1, sizeof *i);
    i->attempt = a;
    i->node_id = mem_copy(node_of(a, f));
    i->media_type = f->media_type;
    i->size = f->image.n;
    if ((s->len & (s->len - 1)) == 0) { /* a power of two: full */
        s->list = mem_grow(s->list, (2 * s->len + 1) * sizeof(struct streamed_image *));
    }
    i->at = s->len;
    s->list[s->len++] = i;
    s->bytes += i->size;
    s->unwritten += i->size;
    s->pending++;
    buf_init(&i->image, BUF_NO_LIMIT);
    buf_add_str(&i->image, f->image);
    wait_for_turn(p, i);
}

/* ---- the end --------------------------------------------------------------------------------- */

static const char *ending_of(const char *media_type)
{
    const char *slash = strchr(media_type, '/');
    return strcmp(media_type, "image/jpeg") == 0 ? "jpg" : slash + 1;
}

/* "57:3" -> "57_3_00001.png". */
static void add_name(const struct streamed_image *i, size_t n, struct js_out *o)
{
    AUTO_BUF struct buf name;
    buf_init(&name, BUF_NO_LIMIT);
    for (const char *p = i->node_id; *p != '\0' && name.len < 100; p++) {
        buf_add_char(&name, isalnum((unsigned char)*p) || *p == '-' ? *p : '_');
    }
    buf_printf(&name, "_%05zu.%s", n, ending_of(i->media_type));
    js_member_str(o, "filename", buf_str(&name));
}

static void render_image(const struct streamed_image *i, size_t n, struct js_out *o)
{
    js_open(o, '{');
    add_name(i, n, o);
    js_member_string(o, "subfolder", "");
    js_member_string(o, "type", "streamed");
    if (i->content != NULL) {
        js_member_string(o, "sha256", copies_hash(i->content));
    }
    js_member_int(o, "size", (int64_t)i->size);
    js_close(o, '}');
}

/* Those of a node together, in the order in which they came. */
static int by_node(const void *a, const void *b)
{
    const struct streamed_image *const *x = a;
    const struct streamed_image *const *y = b;
    const int order = strcmp((*x)->node_id, (*y)->node_id);
    return order != 0 ? order : (*x)->at < (*y)->at ? -1 : 1;
}

static bool has_run(const struct attempt *a, size_t node)
{
    const enum profile_status status = progress_status(&a->progress, node);
    const struct workflow_node *n = &a->workflow->nodes[node];
    return status == PROFILE_COMPLETED ||
           (status != PROFILE_CACHED && str_is(n->class_type, own_class) &&
            attempt_includes(a, n->id)); /* an output always runs, seen or not */
}

/* Nobody listened for a while: a node that ran and of which nothing is here sent it then. */
static void say_what_was_missed(struct attempt *a)
{
    struct map have;
    map_init(&have);
    for (size_t i = 0; i < a->streamed.len; i++) {
        (void)map_put(&have, str_of(a->streamed.list[i]->node_id), a->streamed.list[i]);
    }
    for (size_t i = 0; i < a->workflow->len; i++) {
        const struct workflow_node *n = &a->workflow->nodes[i];
        if (is_stream_class(a->backend->pool, n->class_type) && has_run(a, i) &&
            map_get(&have, n->id) == NULL) {
            (void)attempt_leaves_out(a);
            LOG(LOG_WARN, "images that passed by over the WebSocket were missed: nobody listened",
                LOG_S("job", a->job->r.id));
            break;
        }
    }
    map_done(&have);
}

void streamed_end(struct attempt *a)
{
    const struct streamed *s = &a->streamed;
    if (s->len > 0) {
        qsort(s->list, s->len, sizeof(struct streamed_image *), by_node);
    }
    for (size_t i = 0, end = 0; i < s->len; i = end) {
        AUTO_BUF struct buf b;
        buf_init(&b, BUF_NO_LIMIT);
        struct js_out o = js_out_to(&b);
        js_open(&o, '[');
        for (end = i; end < s->len && strcmp(s->list[end]->node_id, s->list[i]->node_id) == 0;
             end++) {
            render_image(s->list[end], end - i + 1, &o);
        }
        js_close(&o, ']');
        attempt_add_streamed(a, str_of(s->list[i]->node_id), buf_str(&b));
    }
    if (a->watch.missed && a->end.outcome == ATTEMPT_COMPLETED && a->post.node_errors == NULL) {
        say_what_was_missed(a);
    }
}

void streamed_init(struct streamed *s, struct pool *p)
{
    *s = (struct streamed){.pool = p};
    map_init(&s->by_hash);
}

void streamed_move(struct pool *p, struct streamed *to, struct streamed *from)
{
    *to = *from;
    streamed_init(from, p);
}

void streamed_done(struct streamed *s)
{
    for (size_t k = 0; k < s->len; k++) {
        struct streamed_image *i = s->list[k];
        if (i->waits) {
            unlink_waiting(&s->pool->streamed_writes, i);
        }
        if (i->writer != NULL) {
            blob_abort(i->writer);
            s->pool->streamed_writes.open--;
        }
        buf_done(&i->image);
        if (i->content != NULL) {
            copies_release(s->pool->copies, i->content);
        }
        free(i->node_id);
        free(i);
    }
    free(s->list);
    map_done(&s->by_hash);
    if (s->len > 0 && !s->pool->stopping) {
        begin_writes(s->pool); /* the turns that it had are others' now */
    }
    streamed_init(s, s->pool);
}
