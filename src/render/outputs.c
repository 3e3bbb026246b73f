/*
 * The files among a job's outputs: every object with a "filename" in a list of a node's ui output,
 * whatever the list is called (images, gifs, audio...). n counts them in order of Job.outputs.
 */
#include "comfypool/render/render.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "comfypool/base/json_read.h"
#include "comfypool/base/json_write.h"

struct reading {
    struct js_reader r;
    struct render_output *list;
    size_t len;
    size_t cap;
    struct buf scratch;
};

static char *copy_text(struct reading *in, struct js_token t)
{
    buf_clear(&in->scratch);
    return t.kind == JS_STRING ? mem_copy(js_text(t, &in->scratch)) : NULL;
}

static void add_file(struct reading *in, const struct render_output *take)
{
    if (in->len == in->cap) {
        in->cap = in->cap == 0 ? 4 : 2 * in->cap;
        in->list = mem_grow(in->list, in->cap * sizeof *in->list);
    }
    in->list[in->len++] = *take;
}

/* One element whose brace was read: a file when it has a filename. */
static bool read_file(struct reading *in, const char *node_id)
{
    struct render_output o = {.kept = "no", .size = -1};
    struct js_token key = js_next(&in->r);
    for (; key.kind == JS_KEY; key = js_next(&in->r)) {
        const struct js_token v = js_next(&in->r);
        char **to = js_is(key, "filename")    ? &o.filename
                    : js_is(key, "subfolder") ? &o.subfolder
                    : js_is(key, "type")      ? &o.type
                                              : NULL;
        if (to != NULL && *to == NULL) {
            *to = copy_text(in, v);
        }
        if (js_rest(&in->r, v).n == 0) {
            break;
        }
    }
    if (o.filename == NULL) {
        free(o.subfolder);
        free(o.type);
        return key.kind == JS_OBJECT_END;
    }
    o.node_id = mem_strdup(node_id);
    o.subfolder = o.subfolder == NULL ? mem_strdup("") : o.subfolder;
    o.type = o.type == NULL ? mem_strdup("output") : o.type;
    add_file(in, &o);
    return key.kind == JS_OBJECT_END;
}

/* A text is an output of its own; a list of texts is called "text". */
static void add_text(struct reading *in, const char *node_id, struct js_token t)
{
    struct render_output o = {
        .node_id = mem_strdup(node_id),
        .filename = mem_strdup("text.txt"),
        .subfolder = mem_strdup(""),
        .type = mem_strdup("output"),
        .text = copy_text(in, t),
        .kept = "yes", /* it is a part of the job */
    };
    o.size = (int64_t)strlen(o.text);
    add_file(in, &o);
}

/* A node's ui output whose brace was read: {"images": [{...}], ...}. */
static bool read_node(struct reading *in, const char *node_id)
{
    struct js_token key = js_next(&in->r);
    for (; key.kind == JS_KEY; key = js_next(&in->r)) {
        const struct js_token v = js_next(&in->r);
        if (v.kind != JS_ARRAY) {
            if (js_rest(&in->r, v).n == 0) {
                return false;
            }
            continue;
        }
        for (struct js_token e = js_next(&in->r); e.kind != JS_ARRAY_END; e = js_next(&in->r)) {
            if (e.kind == JS_STRING && js_is(key, "text")) {
                add_text(in, node_id, e);
            } else if (e.kind == JS_OBJECT ? !read_file(in, node_id) : js_rest(&in->r, e).n == 0) {
                return false;
            }
        }
    }
    return key.kind == JS_OBJECT_END;
}

struct render_output *render_outputs_read(struct str outputs_json, size_t *ret_len)
{
    struct reading in = {0};
    buf_init(&in.scratch, BUF_NO_LIMIT);
    js_read_lenient(&in.r, outputs_json, JS_MAX_DEPTH);
    if (js_next(&in.r).kind == JS_OBJECT) {
        for (struct js_token key = js_next(&in.r); key.kind == JS_KEY; key = js_next(&in.r)) {
            buf_clear(&in.scratch);
            AUTO_FREE char *node_id = mem_copy(js_text(key, &in.scratch));
            const struct js_token v = js_next(&in.r);
            if (v.kind == JS_OBJECT ? !read_node(&in, node_id) : js_rest(&in.r, v).n == 0) {
                break;
            }
        }
    }
    buf_done(&in.scratch);
    *ret_len = in.len;
    return in.list;
}

void render_outputs_free(struct render_output *o, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        free(o[i].node_id);
        free(o[i].filename);
        free(o[i].subfolder);
        free(o[i].type);
        free(o[i].text);
    }
    free(o);
}

static const struct {
    const char *ending;
    const char *kind;
    const char *media_type;
} kinds[] = {
    {".png", "image", "image/png"},        {".jpg", "image", "image/jpeg"},
    {".jpeg", "image", "image/jpeg"},      {".webp", "image", "image/webp"},
    {".gif", "image", "image/gif"},        {".mp4", "video", "video/mp4"},
    {".webm", "video", "video/webm"},      {".mov", "video", "video/quicktime"},
    {".wav", "audio", "audio/wav"},        {".mp3", "audio", "audio/mpeg"},
    {".flac", "audio", "audio/flac"},      {".ogg", "audio", "audio/ogg"},
    {".opus", "audio", "audio/opus"},      {".txt", "text", "text/plain"},
    {".json", "text", "application/json"},
};

static bool has_ending(const char *name, const char *ending)
{
    const size_t n = strlen(name);
    const size_t len = strlen(ending);
    return n >= len && strcasecmp(name + n - len, ending) == 0;
}

const char *render_output_media_type(const char *filename)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (has_ending(filename, kinds[i].ending)) {
            return kinds[i].media_type;
        }
    }
    return NULL;
}

static void render_kind(struct js_out *o, const char *filename)
{
    const char *kind = "file";
    const char *media_type = render_output_media_type(filename);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        kind = has_ending(filename, kinds[i].ending) ? kinds[i].kind : kind;
    }
    js_member_string(o, "kind", kind);
    js_member_string(o, "mediaType", media_type == NULL ? "application/octet-stream" : media_type);
}

static void render_file_members(struct js_out *o, const struct render_output *f)
{
    js_member_string(o, "name", f->filename);
    js_member_string(o, "subfolder", f->subfolder);
    js_member_string(o, "type", f->type);
    render_kind(o, f->filename);
}

void render_output_files(struct str ui_json, struct js_out *o)
{
    struct reading in = {0};
    buf_init(&in.scratch, BUF_NO_LIMIT);
    js_read_lenient(&in.r, ui_json, JS_MAX_DEPTH);
    if (js_next(&in.r).kind == JS_OBJECT) {
        (void)read_node(&in, "");
    }
    buf_done(&in.scratch);
    js_key(o, "files");
    js_open(o, '[');
    for (size_t i = 0; i < in.len; i++) {
        if (in.list[i].text == NULL) {
            js_open(o, '{');
            render_file_members(o, &in.list[i]);
            js_close(o, '}');
        }
    }
    js_close(o, ']');
    render_outputs_free(in.list, in.len);
}

void render_outputs_json(const char *job_id, const struct render_output *list, size_t len,
                         struct buf *out)
{
    struct js_out o = js_out_to(out);
    js_open(&o, '{');
    js_key(&o, "outputs");
    js_open(&o, '[');
    for (size_t i = 0; i < len; i++) {
        char url[96];
        (void)snprintf(url, sizeof url, "/jobs/%s/outputs/%zu", job_id, i);
        js_open(&o, '{');
        js_member_int(&o, "n", (int64_t)i);
        js_member_string(&o, "nodeId", list[i].node_id);
        render_file_members(&o, &list[i]);
        if (list[i].size >= 0) {
            js_member_int(&o, "size", list[i].size);
        }
        js_member_string(&o, "kept", list[i].kept);
        js_member_string(&o, "url", url);
        js_close(&o, '}');
    }
    js_close(&o, ']');
    js_close(&o, '}');
}
