/* The formats of a profile, and their writers. */
#include "formats.h"

#include "comfypool/render/render.h"

static void (*const makers[FORMAT_COUNT])(const struct stored_profile *, struct buf *) = {
    [FORMAT_TEXT] = profile_text,     [FORMAT_CSV] = profile_csv,
    [FORMAT_CHROME] = profile_chrome, [FORMAT_SPEEDSCOPE] = profile_speedscope,
    [FORMAT_FOLDED] = profile_folded,
};

bool render_has(enum format f)
{
    return f == FORMAT_JSON || makers[f] != NULL;
}

bool render_profile(enum format f, struct str profile_json, struct buf *out)
{
    if (f == FORMAT_JSON) {
        buf_add_str(out, profile_json);
        return profile_json.n > 0;
    }
    if (!render_has(f)) {
        return false;
    }
    AUTO_PROFILE struct stored_profile p;
    const bool good = profile_read(profile_json, &p);
    if (good) {
        makers[f](&p, out);
    }
    return good;
}
