/*
 * GET /profiles/summary: waiting measurements are folded, then the roll-ups of the requested time
 * are merged, off the loop. A store that is not writable answers with what it has.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/base/json_write.h"
#include "comfypool/core/rollup_age.h"
#include "comfypool/pool/walls.h"
#include "comfypool/store/rollups.h"
#include "comfypool/store/store.h"

#include "args.h"
#include "bodies.h"
#include "inner.h"
#include "params.h"

/* Limit of the time for folding. */
enum { FOLD_PATIENCE_MS = 500 };

struct summing {
    struct api *api;
    struct http_ref request;
    enum group_by group;
    struct wall_us since;
    char workflow_hash[DIGEST_HEX_SIZE];
    char *client; /* NULL: all */
    unsigned limit;
    bool asked;  /* the store was asked for the sums */
    bool folded; /* no more callbacks of folds */
    bool answered;
    struct deadline patience;
};

/* Frees s once both its fold and its read are done. */
static void let_go(struct summing *s)
{
    if (s->folded && s->answered) {
        deadline_clear(&s->api->deadlines, &s->patience);
        free(s->client);
        free(s);
    }
}

/* ---- the answer ------------------------------------------------------------------------------ */

static double total_of(const struct summary_row *row)
{
    return row->data.mean * (double)row->data.count;
}

/* Orders groups by total time, largest first. */
static int by_total(const void *x, const void *y)
{
    const struct summary_row *a = x;
    const struct summary_row *b = y;
    const double ta = total_of(a);
    const double tb = total_of(b);
    return ta != tb ? (ta < tb) - (ta > tb) : strcmp(a->key, b->key);
}

static void member_us(struct js_out *o, const char *name, bool known, double us)
{
    js_key(o, name);
    if (known) {
        js_ms(o, (int64_t)(us + 0.5));
    } else {
        js_null(o);
    }
}

/* Renders a part of a group; its median is clamped to the group's range. */
static void render_part(struct js_out *o, const char *name, const struct sketch *s,
                        const struct rollup *r)
{
    const double p50 = sketch_quantile(s, 0.5);
    js_key(o, name);
    js_open(o, '{');
    js_member_int(o, "count", (int64_t)s->count);
    member_us(o, "p50", s->count > 0, fmax(r->min, fmin(p50, r->max)));
    js_close(o, '}');
}

static void render_group(struct js_out *o, const struct summary_row *row)
{
    static const struct {
        const char *name;
        double q;
    } quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}};
    const struct rollup *r = &row->data;
    const bool any = r->count > 0;
    js_open(o, '{');
    js_member_string(o, "key", row->key);
    js_member_int(o, "count", (int64_t)r->count);
    member_us(o, "total", true, total_of(row));
    member_us(o, "mean", any, r->mean);
    member_us(o, "stddev", any, rollup_stddev(r));
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++) {
        member_us(o, quantiles[i].name, any, any ? rollup_quantile(r, quantiles[i].q) : 0);
    }
    member_us(o, "min", any, r->min);
    member_us(o, "max", any, r->max);
    js_key(o, "cacheHitRate");
    if (r->lookups > 0) {
        js_real(o, (double)r->hits / (double)r->lookups);
    } else {
        js_null(o);
    }
    js_member_int(o, "failures", (int64_t)r->failures);
    render_part(o, "cold", &r->cold, r);
    render_part(o, "warm", &r->warm, r);
    js_close(o, '}');
}

static void render_groups(const struct summing *s, struct summary_row *rows, size_t n,
                          struct buf *out)
{
    qsort(rows, n, sizeof *rows, by_total);
    struct js_out o = js_out_to(out);
    js_open(&o, '{');
    js_key(&o, "groups");
    js_open(&o, '[');
    for (size_t i = 0; i < n && i < s->limit; i++) {
        render_group(&o, &rows[i]);
    }
    js_close(&o, ']');
    js_key(&o, "relativeError");
    js_real(&o, SKETCH_ERROR);
    js_member_ms(&o, "since", s->since.us);
    js_close(&o, '}');
}

static void summed(void *ctx, enum err e, const struct summary_row *rows, size_t n)
{
    struct summing *s = ctx;
    struct api *a = s->api;
    if (a->http != NULL && e != ERR_NONE) {
        api_refuse(a, s->request, e);
    } else if (a->http != NULL) {
        struct http_answer answer = http_answer_new(200);
        struct summary_row *sorted = mem_alloc((n + 1) * sizeof *sorted); /* borrows */
        for (size_t i = 0; i < n; i++) {
            sorted[i] = rows[i];
        }
        render_groups(s, sorted, n, &answer.body);
        free(sorted);
        http_answer(a->http, s->request, &answer);
    }
    s->answered = true;
    let_go(s);
}

/* ---- the request ----------------------------------------------------------------------------- */

static void sum_up(struct summing *s)
{
    if (!s->asked) {
        s->asked = true;
        store_summarize(s->api->store, s->group, s->since, s->workflow_hash, s->client, summed, s);
    }
}

static void patience_is_over(void *ctx)
{
    sum_up(ctx);
}

static void folded(void *ctx, bool more)
{
    struct summing *s = ctx;
    if (more && !s->asked && s->api->http != NULL) {
        store_fold(s->api->store, folded, s);
        return;
    }
    s->folded = true;
    deadline_clear(&s->api->deadlines, &s->patience);
    if (s->api->http == NULL && !s->asked) { /* the daemon stops: no answer */
        s->answered = true;
    } else {
        sum_up(s);
    }
    let_go(s);
}

static void summarize(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    struct summing *s = mem_zero(1, sizeof *s);
    s->api = a;
    s->request = x;
    s->group = args_of(rq)->group_by;
    s->since = rollup_since(args_of(rq)->since, time_wall());
    s->limit = args_of(rq)->limit;
    s->client = mem_strdup(api_wall(a, rq));
    memcpy(s->workflow_hash, args_of(rq)->workflow_hash, sizeof s->workflow_hash);
    if (!store_is_writable(a->store)) {
        s->folded = true;
        sum_up(s);
        return;
    }
    deadline_set(&a->deadlines, &s->patience, mono_add(time_mono(), dur_ms(FOLD_PATIENCE_MS)),
                 patience_is_over, s);
    store_fold(a->store, folded, s);
}

static const struct http_route routes[] = {
    {"GET", "/profiles/summary", ROLE_READ, .serve = summarize,
     .params = PARAMS(&param_limit, &param_since, &param_hash, &param_group_by)},
};
const struct http_table api_summaries = API_TABLE(routes);
