/*
 * A profile without its bulk: what events carry. The text is copied piece by piece, so that nothing
 * but the progress events changes.
 */
#include "comfypool/base/json_read.h"
#include "comfypool/render/render.h"

/* With the comma before it: a node has an id first. In a string each quote has a backslash before
   it, so that these bytes are a member wherever they are. */
static const struct str member = STR_INIT(",\"progressEvents\":");

static const char *find_member(struct str s)
{
    return s.n == 0 ? NULL : memmem(s.p, s.n, member.p, member.n);
}

void render_profile_brief(struct str profile_json, struct buf *out)
{
    struct str rest = profile_json;
    for (const char *at = find_member(rest); at != NULL; at = find_member(rest)) {
        buf_add(out, rest.p, (size_t)(at - rest.p));
        const char *value = at + member.n;
        struct js_reader r;
        js_read_lenient(&r, (struct str){value, (size_t)(rest.p + rest.n - value)}, JS_MAX_DEPTH);
        const struct str skipped = js_skip(&r);
        const char *end = skipped.n > 0 ? skipped.p + skipped.n : value;
        rest = (struct str){end, (size_t)(rest.p + rest.n - end)};
    }
    buf_add_str(out, rest);
}
