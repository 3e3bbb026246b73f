/*
 * The files among a job's outputs: every object with a "filename" in a node's ui output, in a list
 * of any name (images, gifs, audio...), and every string that names a file of a known kind
 * (Preview3D gives {"result": ["3d/mesh.glb", null]}). n counts them in order of Job.outputs,
 * within a node objects and texts first. Several names of one file are one output.
 */
#include "comfypool/render/render.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/base/json_read.h"
#include "comfypool/base/json_write.h"
#include "comfypool/base/map.h"

#include "output_names.h"

enum {
    /* Limit of nesting in the search for file names. */
    MAX_DEPTH = 6,
};

struct reading {
    struct js_reader r;
    struct render_output *list;
    size_t len;
    size_t cap;
    bool full; /* limit reached: the rest is not read */
    struct buf scratch;
    /* Of the current node: */
    const char *node_id;
    struct map by_name; /* files: struct same_name, by filename */
    char **strings;     /* strings that name files */
    size_t strings_len;
};

/* A file of the node, and the previous one of the same name. */
struct same_name {
    struct same_name *before;
    size_t at;
};

static char *copy_text(struct reading *in, struct js_token t)
{
    buf_clear(&in->scratch);
    return t.kind == JS_STRING ? mem_copy(js_text(t, &in->scratch)) : NULL;
}

static void free_output(struct render_output *o)
{
    free(o->node_id);
    free(o->filename);
    free(o->subfolder);
    free(o->type);
    free(o->text);
    free(o->sha256);
}

static void add(struct reading *in, struct render_output *take)
{
    if (in->len == RENDER_OUTPUTS_MOST) {
        in->full = true;
        free_output(take);
        return;
    }
    if (in->len == in->cap) {
        in->cap = in->cap == 0 ? 4 : 2 * in->cap;
        in->list = mem_grow(in->list, in->cap * sizeof *in->list);
    }
    in->list[in->len++] = *take;
}

/* ---- a node's files -------------------------------------------------------------------------- */

/* True if the node has the file already. Checks only a few of the same name: a node with thousands
   of one name in as many folders is listed in full. */
static bool has_file(const struct reading *in, const struct render_output *o)
{
    enum { LOOKED_AT = 16 };
    const struct same_name *s = map_get(&in->by_name, str_of(o->filename));
    for (size_t i = 0; s != NULL && i < LOOKED_AT; i++, s = s->before) {
        const struct render_output *other = &in->list[s->at];
        if (strcmp(o->type, other->type) == 0 &&
            output_folders_match(o->subfolder, other->subfolder)) {
            return true;
        }
    }
    return false;
}

/* Adds a file. filename, subfolder, type and sha256 are taken; all but the first may be NULL. */
static void add_file(struct reading *in, char *filename, char *subfolder, char *type, char *sha256)
{
    struct render_output o = {.filename = filename, .sha256 = sha256, .kept = "no", .size = -1};
    o.subfolder = subfolder == NULL ? mem_strdup("") : subfolder;
    o.type = type;
    output_place(&o.filename, &o.subfolder, &o.type);
    o.type = o.type == NULL ? mem_strdup("output") : o.type;
    if (has_file(in, &o)) {
        free_output(&o);
        return;
    }
    o.node_id = mem_strdup(in->node_id);
    add(in, &o);
    if (in->full) {
        return;
    }
    struct same_name *s = mem_alloc(sizeof *s);
    s->at = in->len - 1;
    s->before = map_put(&in->by_name, str_of(o.filename), s);
}

static void add_text(struct reading *in, char *take_text)
{
    struct render_output o = {
        .node_id = mem_strdup(in->node_id),
        .filename = mem_strdup("text.txt"),
        .subfolder = mem_strdup(""),
        .type = mem_strdup("output"),
        .text = take_text,
        .kept = "yes", /* part of the job */
        .size = (int64_t)strlen(take_text),
    };
    add(in, &o);
}

/* Takes a string. A text is an output of its own; a list of texts is called "text". Files named by
   strings come after those of objects, which have more about the same files. */
static void take_string(struct reading *in, char *s, bool of_text)
{
    if (output_is_named(s, of_text) && in->strings_len == RENDER_OUTPUTS_MOST) {
        in->full = true;
    } else if (output_is_named(s, of_text)) {
        if ((in->strings_len & (in->strings_len - 1)) == 0) { /* a power of two: full */
            in->strings = mem_grow(in->strings, (2 * in->strings_len + 1) * sizeof *in->strings);
        }
        in->strings[in->strings_len++] = mem_strdup(s);
    }
    if (of_text) {
        add_text(in, s);
    } else {
        free(s);
    }
}

static void add_strings(struct reading *in)
{
    for (size_t i = 0; i < in->strings_len; i++) {
        add_file(in, in->strings[i], NULL, NULL, NULL);
    }
    free(in->strings);
    in->strings = NULL;
    in->strings_len = 0;
}

static bool is_one_letter(struct str s)
{
    return s.n > 0 && str_clip(s, s.n).n == s.n && str_clip(s, s.n - 1).n == 0;
}

/*
 * Joins a list of at least two one-letter strings: a string that a server has split, as it joins
 * its nodes' results item by item. Owner: the caller; NULL: no such list. The reader is behind the
 * bracket, and then behind the list if it was one.
 */
static char *join_letters(struct reading *in)
{
    const struct js_reader mark = in->r;
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    size_t n = 0;
    struct js_token t = js_next(&in->r);
    for (; t.kind == JS_STRING; t = js_next(&in->r), n++) {
        buf_clear(&in->scratch);
        const struct str letter = js_text(t, &in->scratch);
        if (!is_one_letter(letter)) {
            break;
        }
        buf_add_str(&b, letter);
    }
    if (t.kind == JS_ARRAY_END && n > 1) {
        return buf_take(&b);
    }
    in->r = mark;
    return NULL;
}

static bool read_value(struct reading *in, struct js_token v, bool of_text, unsigned depth);

static bool read_list(struct reading *in, bool of_text, unsigned depth)
{
    char *joined = join_letters(in);
    if (joined != NULL) {
        take_string(in, joined, of_text);
        return true;
    }
    struct js_token e = js_next(&in->r);
    for (; e.kind != JS_ARRAY_END; e = js_next(&in->r)) {
        if (!read_value(in, e, of_text, depth)) {
            return false;
        }
    }
    return true;
}

/* Takes back what was found since: names in one object's own members. */
static void forget_since(struct reading *in, size_t len, size_t strings_len)
{
    while (in->len > len) {
        struct render_output *o = &in->list[--in->len];
        struct same_name *s = map_get(&in->by_name, str_of(o->filename));
        if (s != NULL && s->at == in->len) {
            (void)map_remove(&in->by_name, str_of(o->filename));
            if (s->before != NULL) {
                (void)map_put(&in->by_name, str_of(in->list[s->before->at].filename), s->before);
            }
            free(s);
        }
        free_output(o);
    }
    while (in->strings_len > strings_len) {
        free(in->strings[--in->strings_len]);
    }
}

/* Reads an object whose brace was read: a file if it has a filename; its other members are searched
   until that appears, and then dropped. */
static bool read_object(struct reading *in, unsigned depth)
{
    static const char *const known[] = {"filename", "subfolder", "type", "sha256"};
    enum { KNOWN = sizeof known / sizeof *known };
    const size_t len = in->len;
    const size_t strings_len = in->strings_len;
    char *names[KNOWN] = {NULL};
    bool good = true;
    struct js_token key = js_next(&in->r);
    for (; key.kind == JS_KEY && good; key = good ? js_next(&in->r) : key) {
        const struct js_token v = js_next(&in->r);
        size_t i = 0;
        while (i < KNOWN && !js_is(key, known[i])) {
            i++;
        }
        if (i < KNOWN && names[i] == NULL) {
            names[i] = copy_text(in, v);
        }
        good = names[0] != NULL ? js_rest(&in->r, v).n > 0 : read_value(in, v, false, depth);
    }
    if (names[0] != NULL) {
        forget_since(in, len, strings_len);
        add_file(in, names[0], names[1], names[2], names[3]);
    } else {
        for (size_t i = 1; i < KNOWN; i++) {
            free(names[i]);
        }
    }
    return good && key.kind == JS_OBJECT_END;
}

/* Reads a value. False: unreadable, or limit reached. */
static bool read_value(struct reading *in, struct js_token v, bool of_text, unsigned depth)
{
    if (in->full) {
        return false;
    }
    if (v.kind == JS_STRING) {
        take_string(in, copy_text(in, v), of_text);
        return true;
    }
    if (depth < MAX_DEPTH && v.kind == JS_OBJECT) {
        return read_object(in, depth + 1);
    }
    if (depth < MAX_DEPTH && v.kind == JS_ARRAY) {
        return read_list(in, of_text, depth + 1);
    }
    return js_rest(&in->r, v).n > 0;
}

/* Reads a node's ui output whose brace was read: {"images": [{...}], "text": [...], ...}. */
static bool read_node(struct reading *in, const char *node_id)
{
    in->node_id = node_id;
    map_init(&in->by_name);
    struct js_token key = js_next(&in->r);
    for (; key.kind == JS_KEY; key = js_next(&in->r)) {
        const struct js_token v = js_next(&in->r);
        const bool of_text = (v.kind == JS_ARRAY || v.kind == JS_STRING) && js_is(key, "text");
        if (!read_value(in, v, of_text, 0)) {
            break;
        }
    }
    add_strings(in);
    size_t at = 0;
    for (struct same_name *s = map_next(&in->by_name, &at); s != NULL;
         s = map_next(&in->by_name, &at)) {
        for (struct same_name *before = NULL; s != NULL; s = before) {
            before = s->before;
            free(s);
        }
    }
    map_done(&in->by_name);
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

bool render_output_is_at_server(const struct render_output *o)
{
    return o->text == NULL && strcmp(o->type, "streamed") != 0;
}

void render_outputs_free(struct render_output *o, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        free_output(&o[i]);
    }
    free(o);
}

static void render_file_members(struct js_out *o, const struct render_output *f)
{
    js_member_string(o, "name", f->filename);
    js_member_string(o, "subfolder", f->subfolder);
    js_member_string(o, "type", f->type);
    const char *media_type = render_output_media_type(f->filename);
    js_member_string(o, "kind", output_kind(f->filename));
    js_member_string(o, "mediaType", media_type == NULL ? "application/octet-stream" : media_type);
}

size_t render_output_files(struct str ui_json, struct js_out *o)
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
    return in.full ? RENDER_OUTPUTS_MOST + 1 : in.len;
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
