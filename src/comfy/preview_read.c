/*
 * Binary messages of a server (big endian): u32 1, u32 format, image; or, as our feature flags ask,
 * u32 4, u32 length, JSON {node_id, prompt_id, image_type...}, image. Other types (3 is text) are
 * ignored. Source: tests/traces/v0.3.64/04-progress-previews.jsonl.
 */
#include "preview_read.h"

#include <stdint.h>

#include "comfypool/base/json_read.h"

enum { TYPE_IMAGE = 1, TYPE_IMAGE_WITH_METADATA = 4, FORMAT_OF_PNG = 2, HEAD = 8 };

static uint32_t u32_at(struct str s, size_t at)
{
    const unsigned char *p = (const unsigned char *)s.p + at;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static struct str text_of(struct js_token t, struct buf *scratch)
{
    return t.kind == JS_STRING   ? js_text(t, scratch)
           : t.kind == JS_NUMBER ? t.text
                                 : (struct str){NULL, 0};
}

/* Returns the type if clients may see it, else `otherwise`. Static. */
static const char *known_type(struct js_token t, const char *otherwise)
{
    static const char *const types[] = {"image/png", "image/jpeg", "image/webp", "image/gif"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (js_is(t, types[i])) {
            return types[i];
        }
    }
    return otherwise;
}

static bool read_metadata(struct str json, struct frame_preview *ret, struct buf *scratch)
{
    struct js_reader r;
    /* Room for all strings: none moves another. */
    (void)buf_reserve(scratch, json.n * 6);
    js_read_lenient(&r, json, JS_MAX_DEPTH);
    if (js_next(&r).kind != JS_OBJECT) {
        return false;
    }
    struct js_token key = js_next(&r);
    for (; key.kind == JS_KEY; key = js_next(&r)) {
        const struct js_token v = js_next(&r);
        if (js_is(key, "prompt_id")) {
            ret->prompt_id = text_of(v, scratch);
        } else if (js_is(key, "node_id")) {
            ret->node_id = text_of(v, scratch);
        } else if (js_is(key, "image_type")) {
            ret->media_type = known_type(v, ret->media_type);
        }
        if (js_rest(&r, v).n == 0) {
            return false;
        }
    }
    return key.kind == JS_OBJECT_END;
}

bool preview_read(struct str message, struct frame_preview *ret, struct buf *scratch)
{
    *ret = (struct frame_preview){.media_type = "image/jpeg"};
    if (message.n <= HEAD) {
        return false;
    }
    const uint32_t type = u32_at(message, 0);
    const uint32_t second = u32_at(message, 4);
    if (type == TYPE_IMAGE) {
        ret->media_type = second == FORMAT_OF_PNG ? "image/png" : ret->media_type;
        ret->image = (struct str){message.p + HEAD, message.n - HEAD};
        return true;
    }
    if (type != TYPE_IMAGE_WITH_METADATA || second >= message.n - HEAD) {
        return false;
    }
    ret->image = (struct str){message.p + HEAD + second, message.n - HEAD - second};
    return read_metadata((struct str){message.p + HEAD, second}, ret, scratch);
}
