/*
 * The files among a job's outputs: every object with a "filename" in a list of a node's ui output,
 * whatever the list is called (images, gifs, audio...). n counts them in order of Job.outputs.
 */
#include "comfypool/render/render.h"

#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/base/json_write.h"

struct reading {
    struct json_reader r;
    struct render_output *list;
    size_t len;
    struct buf scratch;
};

static char *copy_text(struct reading *in, struct json_token t)
{
    buf_clear(&in->scratch);
    return t.kind == JSON_STRING ? mem_copy(json_text(t, &in->scratch)) : NULL;
}

/* One element whose brace was read: a file when it has a filename. */
static bool read_file(struct reading *in, const char *node_id)
{
    struct render_output o = {0};
    struct json_token key = json_next(&in->r);
    for (; key.kind == JSON_KEY; key = json_next(&in->r)) {
        const struct json_token v = json_next(&in->r);
        char **to = json_is(key, "filename")    ? &o.filename
                    : json_is(key, "subfolder") ? &o.subfolder
                    : json_is(key, "type")      ? &o.type
                                                : NULL;
        if (to != NULL && *to == NULL) {
            *to = copy_text(in, v);
        }
        if (json_rest(&in->r, v).n == 0) {
            break;
        }
    }
    if (o.filename == NULL) {
        free(o.subfolder);
        free(o.type);
        return key.kind == JSON_OBJECT_END;
    }
    o.node_id = mem_strdup(node_id);
    o.subfolder = o.subfolder == NULL ? mem_strdup("") : o.subfolder;
    o.type = o.type == NULL ? mem_strdup("output") : o.type;
    in->list = mem_grow(in->list, (in->len + 1) * sizeof *in->list);
    in->list[in->len++] = o;
    return key.kind == JSON_OBJECT_END;
}

/* A node's ui output whose brace was read: {"images": [{...}], ...}. */
static bool read_node(struct reading *in, const char *node_id)
{
    struct json_token key = json_next(&in->r);
    for (; key.kind == JSON_KEY; key = json_next(&in->r)) {
        const struct json_token v = json_next(&in->r);
        if (v.kind != JSON_ARRAY) {
            if (json_rest(&in->r, v).n == 0) {
                return false;
            }
            continue;
        }
        for (struct json_token e = json_next(&in->r); e.kind != JSON_ARRAY_END;
             e = json_next(&in->r)) {
            if (e.kind == JSON_OBJECT ? !read_file(in, node_id) : json_rest(&in->r, e).n == 0) {
                return false;
            }
        }
    }
    return key.kind == JSON_OBJECT_END;
}

struct render_output *render_outputs_read(struct str outputs_json, size_t *ret_len)
{
    struct reading in = {0};
    buf_init(&in.scratch, BUF_NO_LIMIT);
    json_read_lenient(&in.r, outputs_json, JSON_MAX_DEPTH);
    if (json_next(&in.r).kind == JSON_OBJECT) {
        for (struct json_token key = json_next(&in.r); key.kind == JSON_KEY;
             key = json_next(&in.r)) {
            buf_clear(&in.scratch);
            AUTO_FREE char *node_id = mem_copy(json_text(key, &in.scratch));
            const struct json_token v = json_next(&in.r);
            if (v.kind == JSON_OBJECT ? !read_node(&in, node_id) : json_rest(&in.r, v).n == 0) {
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

static void render_kind(struct json_out *o, const char *filename)
{
    const char *kind = "file";
    const char *media_type = "application/octet-stream";
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (str_ends_with(str_of(filename), str_of(kinds[i].ending))) {
            kind = kinds[i].kind;
            media_type = kinds[i].media_type;
        }
    }
    json_member_string(o, "kind", kind);
    json_member_string(o, "mediaType", media_type);
}

void render_outputs_json(const char *job_id, const struct render_output *list, size_t len,
                         struct buf *out)
{
    struct json_out o = json_out_to(out);
    json_open(&o, '{');
    json_key(&o, "outputs");
    json_open(&o, '[');
    for (size_t i = 0; i < len; i++) {
        char url[96];
        (void)snprintf(url, sizeof url, "/jobs/%s/outputs/%zu", job_id, i);
        json_open(&o, '{');
        json_member_int(&o, "n", (int64_t)i);
        json_member_string(&o, "nodeId", list[i].node_id);
        json_member_string(&o, "name", list[i].filename);
        json_member_string(&o, "subfolder", list[i].subfolder);
        json_member_string(&o, "type", list[i].type);
        render_kind(&o, list[i].filename);
        json_member_string(&o, "url", url);
        json_close(&o, '}');
    }
    json_close(&o, ']');
    json_close(&o, '}');
}
