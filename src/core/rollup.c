/* Measurements and roll-ups; see the header. Both are stored on disk: a change of either needs a
   new version number here and must read the old one. */
#include "comfypool/core/rollup.h"

#include <math.h>

#include "comfypool/base/pack.h"

/* Measurements of version 1 have no client. */
enum { MEASUREMENT_VERSION = 2, ROLLUP_VERSION = 1 };
enum { COLD = 1, EXECUTED = 2 };

/* ---- measurements ---------------------------------------------------------------------------- */

void measurement_write(const struct measurement *m, struct buf *out)
{
    pack_uint(out, MEASUREMENT_VERSION);
    pack_uint(out, (uint64_t)m->at.us);
    pack_uint(out, m->state);
    pack_uint(out, (m->cold ? COLD : 0u) | (m->executed ? EXECUTED : 0u));
    pack_uint(out, (uint64_t)(m->execution_us + 1)); /* 0: none */
    pack_uint(out, m->nodes);
    pack_uint(out, m->nodes_cached);
    pack_text(out, m->workflow_hash);
    pack_text(out, m->cost_key);
    pack_text(out, m->backend);
    pack_text(out, m->client);
    pack_uint(out, m->runs_len);
    for (size_t i = 0; i < m->runs_len; i++) {
        pack_text(out, m->runs[i].node_id);
        pack_text(out, m->runs[i].class_type);
        pack_uint(out, m->runs[i].status);
        pack_uint(out, (uint64_t)m->runs[i].us);
    }
}

/* Decoded head of a measurement. */
struct head {
    struct measurement m;
    uint64_t runs;
};

static bool read_head(struct str *from, struct head *ret)
{
    uint64_t version = 0;
    uint64_t at = 0;
    uint64_t state = 0;
    uint64_t flags = 0;
    uint64_t execution = 0;
    struct measurement *m = &ret->m;
    const bool good =
        unpack_uint(from, &version) && version >= 1 && version <= MEASUREMENT_VERSION &&
        unpack_uint(from, &at) && unpack_uint(from, &state) && state < JOB_STATE_COUNT &&
        unpack_uint(from, &flags) && unpack_uint(from, &execution) &&
        unpack_uint(from, &m->nodes) && unpack_uint(from, &m->nodes_cached) &&
        unpack_text(from, &m->workflow_hash) && unpack_text(from, &m->cost_key) &&
        unpack_text(from, &m->backend) && (version < 2 || unpack_text(from, &m->client)) &&
        unpack_uint(from, &ret->runs);
    m->at.us = (int64_t)at;
    m->state = (enum job_state)state;
    m->cold = (flags & COLD) != 0;
    m->executed = (flags & EXECUTED) != 0;
    m->execution_us = (int64_t)execution - 1;
    return good;
}

struct observing {
    observation_fn each;
    void *ctx;
    const struct measurement *m;
    struct buf key;
};

static void tell(struct observing *s, enum group_by group, struct str key,
                 const struct observation *what)
{
    struct observation o = *what;
    o.group = group;
    o.key = key;
    o.cold = s->m->cold;
    o.client = s->m->client;
    s->each(s->ctx, s->m->at, &o);
}

/* "first/second". */
static struct str joined(struct observing *s, struct str first, struct str second)
{
    buf_clear(&s->key);
    buf_add_str(&s->key, first);
    buf_add_char(&s->key, '/');
    buf_add_str(&s->key, second);
    return buf_str(&s->key);
}

static void observe_job(struct observing *s)
{
    const struct measurement *m = s->m;
    const bool completed = m->state == JOB_COMPLETED;
    struct observation o = {
        .status = m->state == JOB_FAILED ? RUN_FAILED : RUN_EXECUTED,
        .has_value = completed && m->execution_us >= 0,
        .us = (double)m->execution_us,
        .hits = completed ? m->nodes_cached : 0,
        .lookups = completed ? m->nodes : 0,
    };
    tell(s, GROUP_WORKFLOW, m->workflow_hash, &o);
    if (m->backend.n > 0) {
        tell(s, GROUP_BACKEND, m->backend, &o);
        o.has_value = o.has_value && m->executed;
        tell(s, GROUP_RUN, joined(s, m->cost_key, m->backend), &o);
    }
}

static void observe_run(struct observing *s, const struct node_run *run)
{
    const bool failed = run->status == RUN_FAILED;
    const struct observation o = {
        .label = run->class_type,
        .status = run->status,
        .has_value = run->status == RUN_EXECUTED,
        .us = (double)run->us,
        .hits = run->status == RUN_CACHED ? 1 : 0,
        .lookups = failed ? 0 : 1,
    };
    tell(s, GROUP_NODE, joined(s, s->m->workflow_hash, run->node_id), &o);
    if (run->class_type.n > 0) {
        tell(s, GROUP_CLASS, run->class_type, &o);
    }
}

bool measurement_observe(struct str bytes, observation_fn each, void *ctx)
{
    struct head head = {.runs = 0};
    if (!read_head(&bytes, &head)) {
        return false;
    }
    struct observing s = {.each = each, .ctx = ctx, .m = &head.m};
    buf_init(&s.key, BUF_NO_LIMIT);
    observe_job(&s);
    bool good = true;
    for (uint64_t i = 0; i < head.runs && good; i++) {
        struct node_run run = {.us = 0};
        uint64_t status = 0;
        uint64_t us = 0;
        good = unpack_text(&bytes, &run.node_id) && unpack_text(&bytes, &run.class_type) &&
               unpack_uint(&bytes, &status) && status <= RUN_FAILED && unpack_uint(&bytes, &us) &&
               us <= INT64_MAX;
        if (good) {
            run.status = (enum run_status)status;
            run.us = (int64_t)us;
            observe_run(&s, &run);
        }
    }
    buf_done(&s.key);
    return good;
}

/* ---- roll-ups -------------------------------------------------------------------------------- */

void rollup_done(struct rollup *r)
{
    sketch_done(&r->cold);
    sketch_done(&r->warm);
    *r = (struct rollup){.count = 0};
}

void rollup_add(struct rollup *r, const struct observation *o)
{
    r->hits += o->hits;
    r->lookups += o->lookups;
    r->failures += o->status == RUN_FAILED ? 1 : 0;
    if (!o->has_value) {
        return;
    }
    r->min = r->count == 0 || o->us < r->min ? o->us : r->min;
    r->max = r->count == 0 || o->us > r->max ? o->us : r->max;
    r->count++;
    const double distance = o->us - r->mean;
    r->mean += distance / (double)r->count;
    r->m2 += distance * (o->us - r->mean);
    sketch_add(o->cold ? &r->cold : &r->warm, o->us);
}

void rollup_merge(struct rollup *r, const struct rollup *from)
{
    r->hits += from->hits;
    r->lookups += from->lookups;
    r->failures += from->failures;
    if (from->count == 0) {
        return;
    }
    r->min = r->count == 0 || from->min < r->min ? from->min : r->min;
    r->max = r->count == 0 || from->max > r->max ? from->max : r->max;
    /* Merges variances: Chan, Golub, LeVeque 1979. */
    const double a = (double)r->count;
    const double b = (double)from->count;
    const double distance = from->mean - r->mean;
    r->mean += distance * b / (a + b);
    r->m2 += from->m2 + distance * distance * a * b / (a + b);
    r->count += from->count;
    sketch_merge(&r->cold, &from->cold);
    sketch_merge(&r->warm, &from->warm);
}

double rollup_stddev(const struct rollup *r)
{
    return r->count < 2 ? 0 : sqrt(r->m2 / (double)(r->count - 1));
}

double rollup_quantile(const struct rollup *r, double q)
{
    struct sketch both = {.buckets = NULL};
    sketch_merge(&both, &r->cold);
    sketch_merge(&both, &r->warm);
    const double value = sketch_quantile(&both, q);
    sketch_done(&both);
    /* The middle of a bucket may lie outside the range. */
    return value < r->min ? r->min : value > r->max ? r->max : value;
}

void rollup_write(const struct rollup *r, struct buf *out)
{
    pack_uint(out, ROLLUP_VERSION);
    pack_uint(out, r->count);
    pack_double(out, r->mean);
    pack_double(out, r->m2);
    pack_double(out, r->min);
    pack_double(out, r->max);
    pack_uint(out, r->hits);
    pack_uint(out, r->lookups);
    pack_uint(out, r->failures);
    sketch_write(&r->cold, out);
    sketch_write(&r->warm, out);
}

bool rollup_read(struct rollup *r, struct str bytes)
{
    uint64_t version = 0;
    return unpack_uint(&bytes, &version) && version == ROLLUP_VERSION &&
           unpack_uint(&bytes, &r->count) && unpack_double(&bytes, &r->mean) &&
           unpack_double(&bytes, &r->m2) && unpack_double(&bytes, &r->min) &&
           unpack_double(&bytes, &r->max) && unpack_uint(&bytes, &r->hits) &&
           unpack_uint(&bytes, &r->lookups) && unpack_uint(&bytes, &r->failures) &&
           sketch_read(&r->cold, &bytes) && sketch_read(&r->warm, &bytes) && bytes.n == 0;
}
