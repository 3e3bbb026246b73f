/*
 * GET /profiles/compare: the profile of a job against that of another, or against the baseline.
 * Runs of a baseline are searched in wider and wider circles until there are enough; the comparison
 * is rendered on the thread that reads them, since it may take a second.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/pool/jobs.h"
#include "comfypool/pool/walls.h"
#include "comfypool/render/render.h"
#include "comfypool/store/finds.h"
#include "comfypool/store/profiles.h"

#include "args.h"
#include "bodies.h"
#include "inner.h"
#include "params.h"

enum { ENOUGH_RUNS = 3 };

/* Search circles for the runs of a baseline; the first with enough runs wins. */
static const struct circle {
    const char *name;
    bool whole_key; /* else only the structure's part of the key */
    bool same_backend;
} circles[] = {
    {"costKeyAndBackend", true, true},
    {"costKey", true, false},
    {"workflowHash", false, false},
};
enum { CIRCLES = sizeof circles / sizeof *circles };

struct comparing {
    struct api *api;
    struct http_ref request;
    enum format format;
    struct {
        int64_t seq;
        char workflow_hash[DIGEST_HEX_SIZE];
        char cost_key[WORKFLOW_KEY_SIZE];
        char *backend; /* or NULL */
    } target;
    struct buf target_json;
    char base[UUID_SIZE]; /* "": the baseline */
    char *wall;           /* of the caller, see walls.h; limits the runs */
    unsigned runs;        /* limit for a baseline */
    size_t circle;
    size_t found;     /* runs in the previous circle */
    const char *name; /* name of the narrowest circle with that many */
    bool made;
    struct buf out;
};

static void let_go(struct comparing *c)
{
    free(c->target.backend);
    buf_done(&c->target_json);
    buf_done(&c->out);
    free(c->wall);
    free(c);
}

/* ---- the compared jobs ----------------------------------------------------------------------- */

static void refuse(struct api *a, struct http_ref x, const char *which, enum err e)
{
    static const struct {
        enum err code;
        const char *why;
    } reasons[] = {
        {ERR_JOB_NOT_FOUND, "no job has this id; it may have been deleted, or be too old"},
        {ERR_JOB_NOT_FINISHED, "this job has not ended yet; GET /jobs/<id>?wait=60 waits for it"},
        {ERR_PROFILING_DISABLED, "this job has no profile; submit with \"profile\": true"},
        {ERR_PROFILE_NOT_FOUND, "no other run of its workflow was completed and profiled, in which "
                                "anything was executed"},
    };
    char detail[160] = "";
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (reasons[i].code == e) {
            (void)snprintf(detail, sizeof detail, "%s: %s", which, reasons[i].why);
        }
    }
    if (e == ERR_JOB_NOT_FINISHED) {
        http_problem_retry(a->http, x, e, detail, 1);
    } else if (detail[0] != '\0') {
        http_problem(a->http, x, e, detail, NULL);
    } else {
        api_refuse(a, x, e);
    }
}

/* Checks memory for a job that must have ended; ERR_NONE: look in the store. */
static enum err look_in_memory(const struct comparing *c, const char *id)
{
    struct job_view v;
    if (!pool_view_job(c->api->pool, id, &v)) {
        return ERR_NONE;
    }
    return !wall_lets(c->wall, v.record.client) ? ERR_JOB_NOT_FOUND
           : v.record.profiled                  ? ERR_JOB_NOT_FINISHED
                                                : ERR_PROFILING_DISABLED;
}

static enum err judge_found(const struct comparing *c, const struct store_found *f)
{
    if (f->error != ERR_NONE) {
        return f->error;
    }
    return wall_lets(c->wall, f->job->client) ? f->profile_error : ERR_JOB_NOT_FOUND;
}

/* Finds a job and its profile. Takes c. */
static void find(struct comparing *c, const char *which, const char *id, store_found_fn found)
{
    struct store_wish wish = {.wants = STORE_WANT_PROFILE};
    const enum err e = look_in_memory(c, id);
    if (e != ERR_NONE) {
        refuse(c->api, c->request, which, e);
        let_go(c);
        return;
    }
    (void)snprintf(wish.id, sizeof wish.id, "%.36s", id);
    store_find_job(c->api->store, &wish, NULL, found, c);
}

/* True if the found job can be compared; else refuses it, and frees c. */
static bool goes_on(struct comparing *c, const char *which, const struct store_found *f)
{
    const enum err e = judge_found(c, f);
    if (c->api->http != NULL && e != ERR_NONE) {
        refuse(c->api, c->request, which, e);
    }
    if (c->api->http == NULL || e != ERR_NONE) {
        let_go(c);
        return false;
    }
    return true;
}

/* ---- the answer ------------------------------------------------------------------------------ */

static void make(struct comparing *c, const struct str *bases, size_t len, const char *baseline)
{
    const struct render_comparison r = {
        .bases = bases,
        .bases_len = len,
        .target = buf_str(&c->target_json),
        .baseline = baseline,
    };
    c->made = render_comparison(c->format, &r, &c->out);
}

/* Sends the answer; takes c. */
static void answer(struct comparing *c)
{
    struct api *a = c->api;
    if (c->made) {
        struct http_answer answer = http_answer_new(200);
        answer.content_type = format_media_type(c->format);
        answer.etag = true;
        buf_done(&answer.body);
        answer.body = c->out;
        buf_init(&c->out, BUF_NO_LIMIT);
        http_answer(a->http, c->request, &answer);
    } else {
        refuse(a, c->request, "base", ERR_PROFILE_NOT_FOUND);
    }
    let_go(c);
}

/* ---- against another job --------------------------------------------------------------------- */

static void base_found(void *ctx, const struct store_found *f)
{
    struct comparing *c = ctx;
    if (goes_on(c, "base", f)) {
        const struct str text = f->profile;
        make(c, &text, 1, NULL);
        answer(c);
    }
}

/* ---- against the baseline -------------------------------------------------------------------- */

static void seek(struct comparing *c);

/* False if the server's clock was set during the run: no measure for others. */
static bool is_measure(struct str json)
{
    static const struct str changed = STR_INIT("\"reason\":\"clock_changed\"");
    return memmem(json.p, json.n, changed.p, changed.n) == NULL;
}

/* Renders the comparison if a circle's runs are enough, or any in the last circle. Runs on a thread
   of the store. */
static void look(void *ctx, const struct profile_row *rows, size_t rows_len)
{
    struct comparing *c = ctx;
    AUTO_FREE struct str *bases = mem_alloc((rows_len + 1) * sizeof *bases);
    size_t n = 0;
    for (size_t i = 0; i < rows_len; i++) {
        bases[n] = rows[i].json;
        n += is_measure(rows[i].json) ? 1 : 0;
    }
    const bool enough = n >= (c->runs < ENOUGH_RUNS ? c->runs : ENOUGH_RUNS);
    c->name = n > c->found ? circles[c->circle].name : c->name;
    c->found = n;
    if (n == 0 || (!enough && c->circle + 1 < CIRCLES)) {
        return;
    }
    make(c, bases, n, c->name);
}

static void looked(void *ctx, enum err e, const struct profile_row *rows, size_t n, bool more,
                   struct profile_place last)
{
    struct comparing *c = ctx;
    (void)rows;
    (void)n;
    (void)more;
    (void)last;
    if (c->api->http == NULL) {
        let_go(c);
    } else if (e != ERR_NONE) {
        api_refuse(c->api, c->request, e);
        let_go(c);
    } else if (!c->made && ++c->circle < CIRCLES) {
        seek(c);
    } else {
        answer(c);
    }
}

static void seek(struct comparing *c)
{
    const struct circle *circle = &circles[c->circle];
    char key[WORKFLOW_KEY_SIZE];
    if (circle->whole_key) {
        memcpy(key, c->target.cost_key, sizeof key);
    } else {
        (void)snprintf(key, sizeof key, "%.*s", WORKFLOW_KEY_PREFIX, c->target.workflow_hash);
    }
    const char *backend = c->target.backend == NULL ? "" : c->target.backend;
    const struct baseline_query q = {
        .cost_key = key,
        .backend = circle->same_backend ? backend : "",
        .except_seq = c->target.seq,
        .limit = c->runs,
        .client = c->wall,
    };
    store_list_baseline(c->api->store, &q, look, looked, c);
}

static void target_found(void *ctx, const struct store_found *f)
{
    struct comparing *c = ctx;
    if (!goes_on(c, "target", f)) {
        return;
    }
    memcpy(c->target.cost_key, f->job->cost_key, sizeof c->target.cost_key);
    memcpy(c->target.workflow_hash, f->job->workflow_hash, sizeof c->target.workflow_hash);
    c->target.backend = mem_strdup(f->job->backend);
    c->target.seq = f->job->seq;
    buf_add_str(&c->target_json, f->profile);
    if (c->base[0] != '\0') {
        find(c, "base", c->base, base_found);
        return;
    }
    /* A job of an older store has no cost key; its structure is still known. */
    c->circle = c->target.cost_key[0] == '\0' ? CIRCLES - 1 : c->target.backend == NULL ? 1 : 0;
    seek(c);
}

static void compare(void *ctx, struct http_request *rq, struct http_ref x)
{
    struct api *a = ctx;
    struct comparing *c = mem_zero(1, sizeof *c);
    *c =
        (struct comparing){.api = a, .request = x, .format = rq->format, .runs = args_of(rq)->runs};
    c->wall = mem_strdup(api_wall(a, rq));
    (void)snprintf(c->base, sizeof c->base, "%s", args_of(rq)->base);
    buf_init(&c->target_json, BUF_NO_LIMIT);
    buf_init(&c->out, BUF_NO_LIMIT);
    find(c, "target", args_of(rq)->target, target_found);
}

static const struct http_route routes[] = {
    {"GET", "/profiles/compare", ROLE_READ, .serve = compare,
     .params = PARAMS(&http_param_format, &param_base, &param_target, &param_runs),
     .formats = 1u << FORMAT_JSON | 1u << FORMAT_TEXT},
};
const struct http_table api_comparisons = API_TABLE(routes);
