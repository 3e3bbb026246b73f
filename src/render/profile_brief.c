/*
 * A profile without its bulk, for events. The text is copied piece by piece, so that nothing but
 * the progress events changes.
 */
#include "comfypool/base/json_read.h"
#include "comfypool/render/render.h"

/* With its leading comma: a node has an id first. Quotes in strings are escaped, so these bytes are
   always a member. */
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
