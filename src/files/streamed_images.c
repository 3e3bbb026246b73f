/* Streamed images; see the header. */
#include "comfypool/files/streamed_images.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/json_write.h"
#include "comfypool/files/output_copies.h"
#include "comfypool/render/render.h"
#include "comfypool/store/blobs.h"

enum {
    MAX_UNWRITTEN = 256 << 20,        /* bytes of a set not on disk yet */
    MAX_IMAGES = RENDER_OUTPUTS_MOST, /* of a set */
    SLICE = 1 << 20,                  /* bytes per step */
    AT_A_TIME = 8,                    /* open files of all sets */
};

struct streamed_image {
    struct streamed *set; /* while being written */
    char *node_id;
    const char *media_type;
    size_t at;        /* index in the set */
    struct buf image; /* while being written */
    size_t taken;     /* bytes of it given to the writer */
    size_t size;
    struct blob_writer *writer;
    struct content *content; /* NULL: not written yet, or failed */
    bool waits;              /* for its turn, in this list: */
    struct streamed_image *before, *behind;
};

/* ---- writing --------------------------------------------------------------------------------- */

static void begin_writes(struct streamed_writes *w);

static void written(void *ctx, enum err e, const char *why, const char *sha256, uint64_t size)
{
    struct streamed_image *i = ctx;
    struct streamed *s = i->set;
    struct streamed_writes *w = s->all;
    i->writer = NULL;
    i->set = NULL;
    buf_done(&i->image);
    s->pending--;
    s->unwritten -= i->size;
    w->open--;
    if (e == ERR_NONE) {
        i->content = copies_hold(w->copies, sha256, size);
        (void)map_put(&s->by_hash, str_of(copies_hash(i->content)), i);
    }
    s->written(s->ctx, i->node_id, e == ERR_NONE ? NULL : why);
    begin_writes(w);
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

static void begin_writes(struct streamed_writes *w)
{
    while (w->open < AT_A_TIME && w->first != NULL) {
        struct streamed_image *i = w->first;
        unlink_waiting(w, i);
        w->open++;
        i->writer = blob_begin(copies_blobs(w->copies), &ops, i);
        write_on(i);
    }
}

static void wait_for_turn(struct streamed_writes *w, struct streamed_image *i)
{
    i->waits = true;
    i->before = w->last;
    *(w->last == NULL ? &w->first : &w->last->behind) = i;
    w->last = i;
    begin_writes(w);
}

static bool has_room(const struct streamed *s, size_t n)
{
    return copies_blobs(s->all->copies) != NULL && s->len < MAX_IMAGES &&
           s->bytes + n <= copies_most(s->all->copies) && s->unwritten + n <= MAX_UNWRITTEN;
}

bool streamed_add(struct streamed *s, struct str node_id, const char *media_type, struct str image)
{
    if (!has_room(s, image.n)) {
        return false;
    }
    struct streamed_image *i = mem_zero(1, sizeof *i);
    i->set = s;
    i->node_id = mem_copy(node_id);
    i->media_type = media_type;
    i->size = image.n;
    if ((s->len & (s->len - 1)) == 0) { /* a power of two: full */
        s->list = mem_grow(s->list, (2 * s->len + 1) * sizeof(struct streamed_image *));
    }
    i->at = s->len;
    s->list[s->len++] = i;
    s->bytes += i->size;
    s->unwritten += i->size;
    s->pending++;
    buf_init(&i->image, BUF_NO_LIMIT);
    buf_add_str(&i->image, image);
    wait_for_turn(s->all, i);
    return true;
}

/* ---- what they are
 * --------------------------------------------------------------------------------- */

static const char *ending_of(const char *media_type)
{
    const char *slash = strchr(media_type, '/');
    return strcmp(media_type, "image/jpeg") == 0 ? "jpg" : slash + 1;
}

/* Appends a file name: "57:3" -> "57_3_00001.png". */
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

/* Sorts by node, then order of arrival. */
static int by_node(const void *a, const void *b)
{
    const struct streamed_image *const *x = a;
    const struct streamed_image *const *y = b;
    const int order = strcmp((*x)->node_id, (*y)->node_id);
    return order != 0 ? order : (*x)->at < (*y)->at ? -1 : 1;
}

void streamed_lists(struct streamed *s,
                    void (*each)(void *ctx, struct str node_id, struct str list), void *ctx)
{
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
        each(ctx, str_of(s->list[i]->node_id), buf_str(&b));
    }
}

bool streamed_has(const void *streamed, const char *sha256)
{
    const struct streamed *s = streamed;
    return map_get(&s->by_hash, str_of(sha256)) != NULL;
}

/* ---- life ------------------------------------------------------------------------------------ */

void streamed_init(struct streamed *s, struct streamed_writes *all, streamed_fn written_fn,
                   void *ctx)
{
    *s = (struct streamed){.all = all, .written = written_fn, .ctx = ctx};
    map_init(&s->by_hash);
}

void streamed_move(struct streamed *to, struct streamed *from)
{
    *to = *from;
    streamed_init(from, to->all, from->written, from->ctx);
}

void streamed_done(struct streamed *s)
{
    for (size_t k = 0; k < s->len; k++) {
        struct streamed_image *i = s->list[k];
        if (i->waits) {
            unlink_waiting(s->all, i);
        }
        if (i->writer != NULL) {
            blob_abort(i->writer);
            s->all->open--;
        }
        buf_done(&i->image);
        if (i->content != NULL) {
            copies_release(s->all->copies, i->content);
        }
        free(i->node_id);
        free(i);
    }
    free(s->list);
    map_done(&s->by_hash);
    if (s->len > 0 && !s->all->stopping) {
        begin_writes(s->all); /* freed places go to others */
    }
    streamed_init(s, s->all, s->written, s->ctx);
}
