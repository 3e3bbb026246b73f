/* The affinity rules of the configuration: which workflows go to which backends. */
#include "rules.h"

#include "comfypool/base/json_read.h"

#include "state.h"

/* True if metadata has the member of "KEY=VALUE": a text, or a number or word as written. */
static bool metadata_is(const char *metadata, struct str want)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    const char *equals = memchr(want.p, '=', want.n);
    if (metadata == NULL || equals == NULL) {
        return false;
    }
    const struct str key = {want.p, (size_t)(equals - want.p)};
    const struct str value = {equals + 1, want.n - key.n - 1};
    struct js_reader r;
    js_read_strict(&r, str_of(metadata), JS_MAX_DEPTH);
    (void)js_next(&r);
    for (struct js_token t = js_next(&r); t.kind == JS_KEY; t = js_next(&r)) {
        buf_clear(&scratch);
        const bool here = str_eq(js_text(t, &scratch), key);
        const struct js_token v = js_next(&r);
        const struct str text = js_rest(&r, v);
        if (here) {
            buf_clear(&scratch);
            return str_eq(v.kind == JS_STRING ? js_text(v, &scratch) : text, value);
        }
    }
    return false;
}

static bool applies(const struct pool_rule *r, const char *hash, const char *metadata,
                    const struct job_options *spec)
{
    if (r->workflow_hash != NULL) {
        return strcmp(r->workflow_hash, hash) == 0;
    }
    if (r->metadata != NULL) {
        return metadata_is(metadata, str_of(r->metadata));
    }
    return r->label != NULL && spec != NULL && names_have(&spec->where.labels, r->label);
}

static bool names(const struct pool_rule *r, const char *backend)
{
    for (size_t i = 0; i < r->backends_len; i++) {
        if (strcmp(r->backends[i], backend) == 0) {
            return true;
        }
    }
    return false;
}

bool rules_allow(const struct pool *p, const char *hash, const char *metadata,
                 const struct job_options *spec, const char *backend)
{
    for (size_t i = 0; i < p->options.rules_len; i++) {
        const struct pool_rule *r = &p->options.rules[i];
        if (r->hard && !names(r, backend) && applies(r, hash, metadata, spec)) {
            return false;
        }
    }
    return true;
}

bool rules_prefer(const struct pool *p, const char *hash, const char *metadata,
                  const struct job_options *spec, const char *backend)
{
    for (size_t i = 0; i < p->options.rules_len; i++) {
        const struct pool_rule *r = &p->options.rules[i];
        if (!r->hard && names(r, backend) && applies(r, hash, metadata, spec)) {
            return true;
        }
    }
    return false;
}
