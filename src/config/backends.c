/*
 * Backends of every source: their defaults, "name=URL" of flags and variables, names derived from
 * URLs, and duplicates.
 */
#include <stdlib.h>
#include <string.h>

#include "comfypool/base/map.h"
#include "comfypool/base/text.h"
#include "comfypool/comfy/backend.h"

#include "inner.h"

struct config_backend *config_backend_add(struct config *c)
{
    c->backends = mem_grow(c->backends, (c->backends_len + 1) * sizeof *c->backends);
    struct config_backend *b = &c->backends[c->backends_len++];
    *b = (struct config_backend){0};
    config_members_reset(CONFIG_ITEM, b);
    return b;
}

void config_backends_clear(struct config *c)
{
    for (unsigned i = 0; i < c->backends_len; i++) {
        config_members_clear(CONFIG_ITEM, &c->backends[i]);
        config_headers_free(c->backends[i].headers);
        free(c->backends[i].where);
    }
    free(c->backends);
    c->backends = NULL;
    c->backends_len = 0;
}

/* ---- texts of flags and variables ------------------------------------------------------------ */

/* Returns the URL without credentials, and a name derived from it. Owner of both: the caller. */
static void clean(const char *url, char **ret_url, char **ret_name)
{
    AUTO_BUF struct buf text;
    AUTO_BUF struct buf name;
    buf_init(&text, BUF_NO_LIMIT);
    buf_init(&name, BUF_NO_LIMIT);
    comfy_url_clean(url, &text, &name);
    *ret_url = mem_copy(buf_str(&text));
    *ret_name = mem_copy(buf_str(&name));
}

char *config_backend_derive_name(const char *url)
{
    AUTO_FREE char *text = NULL;
    char *name = NULL;
    clean(url, &text, &name);
    return name;
}

/* Splits name=URL if a = precedes any colon and slash of a URL. */
static void split_spec(struct str spec, struct str *ret_name, struct str *ret_url)
{
    const char *equals = spec.n == 0 ? NULL : memchr(spec.p, '=', spec.n);
    const char *scheme = memmem(spec.p, spec.n, "://", 3);
    *ret_name = (struct str){NULL, 0};
    *ret_url = spec;
    if (equals != NULL && (scheme == NULL || equals < scheme)) {
        const size_t n = (size_t)(equals - spec.p);
        *ret_name = text_trim((struct str){spec.p, n});
        *ret_url = text_trim((struct str){equals + 1, spec.n - n - 1});
    }
}

static bool add_backend(struct config *c, struct str spec, const char *where, struct buf *errors)
{
    char why[CONFIG_WHY_SIZE];
    struct str name;
    struct str url;
    split_spec(spec, &name, &url);
    if (name.p != NULL && !config_check_name(name, why)) {
        buf_printf(errors, "%s: the name of a backend %s\n", where, why);
        return false;
    }
    if (!config_check_url(url, why)) {
        return config_complain(errors, where, why);
    }
    struct config_backend *b = config_backend_add(c);
    b->url = mem_copy(url);
    b->where = mem_strdup(where);
    b->name = name.p == NULL ? config_backend_derive_name(b->url) : mem_copy(name);
    return true;
}

static void begin_backends(struct config *c, enum config_source from)
{
    if (c->backends_from < from) {
        config_backends_clear(c);
        c->backends_from = from;
    }
}

bool config_add_backend(struct config *c, const char *spec, struct buf *errors)
{
    begin_backends(c, CONFIG_FLAG);
    return add_backend(c, text_trim(str_of(spec)), "--backend", errors);
}

bool config_backends_add_text(struct config *c, const char *text, const char *where,
                              struct buf *errors)
{
    bool good = true;
    struct str rest = str_of(text);
    struct str one;
    begin_backends(c, CONFIG_ENVIRONMENT);
    while (config_next_entry(&rest, &one)) {
        good = add_backend(c, one, where, errors) && good;
    }
    return good;
}

/* ---- doubles --------------------------------------------------------------------------------- */

struct known {
    struct map names;
    struct map urls; /* without credentials */
};

/* False after an error when b duplicates an earlier one; else notes it. */
static bool is_new(struct known *known, const struct config_backend *b, const char *url,
                   struct buf *errors)
{
    const struct config_backend *same = map_get(&known->names, str_of(b->name));
    const struct config_backend *twin = map_get(&known->urls, str_of(url));
    if (same != NULL) {
        buf_printf(errors, "%s: the backend name \"%s\" is taken (%s); give each its own\n",
                   b->where, b->name, same->where);
        return false;
    }
    if (twin != NULL) {
        buf_printf(errors, "%s: the same server as backend \"%s\" (%s)\n", b->where, twin->name,
                   twin->where);
        return false;
    }
    (void)map_put(&known->names, str_of(b->name), (void *)(uintptr_t)b);
    (void)map_put(&known->urls, str_of(url), (void *)(uintptr_t)b);
    return true;
}

/* Finds duplicates. Cost: O(backends) expected. */
bool config_backends_check(const struct config_backend *b, size_t len, struct buf *errors)
{
    bool good = true;
    struct known known;
    map_init(&known.names);
    map_init(&known.urls);
    char **urls = mem_zero(len + 1, sizeof *urls); /* the map's keys */
    for (size_t i = 0; i < len; i++) {
        if (b[i].url != NULL) {
            AUTO_FREE char *name = NULL;
            clean(b[i].url, &urls[i], &name);
            good = is_new(&known, &b[i], urls[i], errors) && good;
        }
    }
    map_done(&known.names);
    map_done(&known.urls);
    for (size_t i = 0; i < len; i++) {
        free(urls[i]);
    }
    free(urls);
    return good;
}
