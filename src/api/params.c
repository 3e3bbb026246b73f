/* Readers of parameters of queries and paths. Pure. */
#include "params.h"

#include <stdlib.h>
#include <string.h>

#include "comfypool/base/text.h"
#include "comfypool/base/time_text.h"
#include "comfypool/core/event.h"
#include "comfypool/core/job.h"
#include "comfypool/core/webhook.h"

#include "args.h"

enum { MIN_LIMIT = 1, MAX_LIMIT = 1000, DEFAULT_LIMIT = 50, MAX_RUNS = 100, DEFAULT_RUNS = 20 };

void api_args_init(void *args)
{
    struct api_args *g = args;
    g->limit = DEFAULT_LIMIT;
    g->runs = DEFAULT_RUNS;
    g->state_mask = (1u << JOB_STATE_COUNT) - 1;
    g->event_types = EVENTS_ALL;
    g->delivery_states = (1u << DELIVERY_STATE_COUNT) - 1;
    g->until.us = INT64_MAX;
}

void api_args_done(void *args)
{
    struct api_args *g = args;
    submission_done(&g->submission);
    backend_change_done(&g->backend_change);
}

/* ---- queries --------------------------------------------------------------------------------- */

static bool read_limit(struct str value, void *args)
{
    struct api_args *g = args;
    int64_t n = 0;
    if (!str_to_int64(value, &n) || n < MIN_LIMIT || n > MAX_LIMIT) {
        return false;
    }
    g->limit = (unsigned)n;
    return true;
}

static bool read_cursor(struct str value, void *args)
{
    struct api_args *g = args;
    int64_t n = 0;
    if (!str_to_int64(value, &n) || n < 1) {
        return false;
    }
    g->cursor = n;
    return true;
}

static bool read_state(struct str value, void *args)
{
    struct api_args *g = args;
    struct str name;
    unsigned mask = 0;
    while (text_cut(&value, ',', &name)) {
        const enum job_state state = job_state_from_name(name);
        if (state == JOB_STATE_COUNT) {
            return false;
        }
        mask |= 1u << state;
    }
    g->state_mask = mask;
    return mask != 0;
}

static bool read_types(struct str value, void *args)
{
    struct api_args *g = args;
    struct str name;
    g->event_types = 0;
    while (text_cut(&value, ',', &name)) {
        const enum event_type t = event_from_name(name);
        if (t == EVENT_TYPE_COUNT) {
            return false;
        }
        g->event_types |= 1u << t;
    }
    g->names_previews = (g->event_types >> EVENT_PREVIEW & 1u) != 0;
    return g->event_types != 0;
}

static bool read_since(struct str value, void *args)
{
    struct api_args *g = args;
    return time_read(value, &g->since);
}

static bool read_until(struct str value, void *args)
{
    struct api_args *g = args;
    return time_read(value, &g->until);
}

static bool read_hash(struct str value, void *args)
{
    struct api_args *g = args;
    if (value.n != DIGEST_HEX_SIZE - 1 || !text_is_hex(value)) {
        return false;
    }
    memcpy(g->workflow_hash, value.p, value.n);
    return true;
}

static bool read_backend(struct str value, void *args)
{
    struct api_args *g = args;
    if (!text_is_name(value)) {
        return false;
    }
    memcpy(g->backend, value.p, value.n);
    g->backend[value.n] = '\0';
    return true;
}

static bool read_job(struct str value, char ret[UUID_SIZE])
{
    if (!uuid_is_canonical(value)) {
        return false;
    }
    memcpy(ret, value.p, UUID_TEXT);
    return true;
}

static bool read_base(struct str value, void *args)
{
    struct api_args *g = args;
    return str_is(value, "baseline") || read_job(value, g->base);
}

static bool read_target(struct str value, void *args)
{
    struct api_args *g = args;
    return read_job(value, g->target);
}

static bool read_runs(struct str value, void *args)
{
    struct api_args *g = args;
    int64_t n = 0;
    if (!str_to_int64(value, &n) || n < 1 || n > MAX_RUNS) {
        return false;
    }
    g->runs = (unsigned)n;
    return true;
}

static bool read_group(struct str value, void *args)
{
    struct api_args *g = args;
    g->group_by = group_from_name(value);
    return g->group_by < GROUP_COUNT;
}

static bool read_delivery_state(struct str value, void *args)
{
    struct api_args *g = args;
    struct str name;
    g->delivery_states = 0;
    while (text_cut(&value, ',', &name)) {
        const enum delivery_state state = delivery_state_from_name(name);
        if (state == DELIVERY_STATE_COUNT) {
            return false;
        }
        g->delivery_states |= 1u << state;
    }
    return g->delivery_states != 0;
}

static bool read_flag(struct str value, bool *ret)
{
    *ret = str_is(value, "1");
    return *ret || str_is(value, "0");
}

static bool read_traceback(struct str value, void *args)
{
    struct api_args *g = args;
    return read_flag(value, &g->traceback);
}

static bool read_live(struct str value, void *args)
{
    struct api_args *g = args;
    return read_flag(value, &g->live);
}

static bool read_dry_run(struct str value, void *args)
{
    struct api_args *g = args;
    return read_flag(value, &g->dry_run);
}

static bool read_batch(struct str value, void *args)
{
    struct api_args *g = args;
    if (!uuid_is_canonical(value)) {
        return false;
    }
    memcpy(g->batch, value.p, UUID_TEXT);
    return true;
}

static bool read_previews(struct str value, void *args)
{
    struct api_args *g = args;
    return read_flag(value, &g->previews);
}

const struct http_param param_limit = {"limit", read_limit, "a whole number from 1 to 1000", false};
const struct http_param param_cursor = {"cursor", read_cursor, "a nextCursor of this list", false};
const struct http_param param_state = {
    "state", read_state, "queued, running, completed, failed or cancelled, separated by commas",
    false};
const struct http_param param_traceback = {"traceback", read_traceback, "0 or 1", false};
const struct http_param param_live = {"live", read_live, "0 or 1", false};
const struct http_param param_types = {
    "types", read_types, "names of events such as job:completed, separated by commas", false};
const struct http_param param_previews = {"previews", read_previews, "0 or 1", false};
const struct http_param param_since = {"since", read_since, TIME_SHAPE, false};
const struct http_param param_until = {"until", read_until, TIME_SHAPE, false};
const struct http_param param_hash = {"workflowHash", read_hash,
                                      "64 lowercase hex digits, as in a Job", false};
const struct http_param param_backend = {"backend", read_backend, "the name of a backend", false};
const struct http_param param_base = {"base", read_base, "a job's id, or baseline", true};
const struct http_param param_target = {"target", read_target, "a job's id", true};
const struct http_param param_runs = {"n", read_runs, "a whole number from 1 to 100", false};
const struct http_param param_group_by = {"groupBy", read_group,
                                          "classType, node, workflow or backend", false};
const struct http_param param_delivery_state = {
    "state", read_delivery_state, "pending, failing, dead or forbidden, separated by commas",
    false};
const struct http_param param_dry_run = {"dryRun", read_dry_run, "0 or 1", false};
const struct http_param param_batch = {"batch", read_batch, "the id of a batch", false};

/* ---- paths ----------------------------------------------------------------------------------- */

static bool read_id(struct str value, void *args)
{
    struct api_args *g = args;
    return read_job(value, g->job_id);
}

static bool read_delivery(struct str value, void *args)
{
    struct api_args *g = args;
    return read_job(value, g->delivery);
}

static bool read_sha256(struct str value, void *args)
{
    struct api_args *g = args;
    if (value.n != DIGEST_HEX_SIZE - 1 || !text_is_hex(value)) {
        return false;
    }
    memcpy(g->sha256, value.p, value.n);
    return true;
}

static bool read_number(struct str value, int64_t least, struct api_args *g)
{
    int64_t n = -1;
    if (value.n > 9 || !str_to_int64(value, &n) || n < least) {
        return false;
    }
    g->number = (unsigned)n;
    return true;
}

static bool read_output(struct str value, void *args)
{
    return read_number(value, 0, args);
}

static bool read_attempt(struct str value, void *args)
{
    return read_number(value, 1, args);
}

const struct http_segment api_segments[] = {
    {"/jobs/{id}", read_id, ERR_JOB_NOT_FOUND, "a job's id is a lowercase UUID", false},
    {"/batches/{id}", read_id, ERR_BATCH_NOT_FOUND, "a batch's id is a lowercase UUID", false},
    {"/uploads/{sha256}", read_sha256, ERR_UPLOAD_NOT_FOUND,
     "an upload is named by its SHA-256: 64 lowercase hex digits", false},
    /* A backend's name may be its URL: people write it as GET /backends gives it. */
    {"/backends/{name}", read_backend, ERR_BACKEND_NOT_FOUND, "see GET /backends for their names",
     true},
    {"/jobs/{id}/outputs/{n}", read_output, ERR_OUTPUT_NOT_FOUND, "outputs are numbered from 0",
     false},
    {"/jobs/{id}/attempts/{n}", read_attempt, ERR_ATTEMPT_NOT_FOUND, "attempts are numbered from 1",
     false},
    {"/webhooks/deliveries/{delivery}", read_delivery, ERR_DELIVERY_NOT_FOUND,
     "see GET /webhooks/deliveries for their ids", false},
};
const size_t api_segments_len = sizeof api_segments / sizeof *api_segments;
