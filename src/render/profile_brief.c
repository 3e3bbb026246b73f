/*
 * A profile without its bulk: what events carry. The text is copied piece by piece, so that nothing
 * but the progress events changes.
 */
#include "comfypool/base/json_read.h"
#include "comfypool/render/render.h"

/* Where a member that is left out begins and ends: with the comma before it. */
struct cut {
    const char *from;
    const char *to;
};

/* The next "progressEvents" of a node behind the reader; its name is never a node's value: strings
   are no keys. False: there is none. */
static bool next_cut(struct js_reader *r, struct cut *ret)
{
    for (;;) {
        const struct js_token t = js_next(r);
        if (t.kind == JS_END || t.kind == JS_ERROR) {
            return false;
        }
        if (t.kind == JS_KEY && js_is(t, "progressEvents")) {
            ret->from = t.text.p - 1;
            const struct str value = js_skip(r);
            ret->to = value.p + value.n;
            return value.n > 0;
        }
    }
}

void render_profile_brief(struct str profile_json, struct buf *out)
{
    struct js_reader r;
    struct cut cut;
    const char *at = profile_json.p;
    js_read_lenient(&r, profile_json, JS_MAX_DEPTH);
    while (next_cut(&r, &cut)) {
        /* A node has an id before it: there is a comma. */
        const char *comma = cut.from;
        while (comma > at && *comma != ',') {
            comma--;
        }
        buf_add(out, at, (size_t)(comma - at));
        at = cut.to;
    }
    buf_add(out, at, (size_t)(profile_json.p + profile_json.n - at));
}
