/*
 * Which backends can run a workflow; see the header. A backend whose classes were never read counts
 * as able, and so does one that would not surely refuse: a wrong "no" is worse than a refusal by
 * the backend, which is remembered and tried elsewhere.
 */
#include "eligible.h"

#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/core/batch.h"

#include "attempt.h"
#include "backends.h"
#include "batches.h"
#include "job_texts.h"
#include "jobs.h"
#include "knowledge.h"
#include "refusals.h"
#include "rules.h"
#include "state.h"

/* True if the backend's catalog meets the need, or does not count for this job. */
bool wish_is_met(struct need *n, const struct wish_traits *t, const struct backend *b)
{
    const struct need_catalog has = knowledge_of(b);
    return !b->knows.known || (t->spec != NULL && t->spec->skip_eligibility) ||
           need_is_met(n, &has);
}

/* ---- wishes ---------------------------------------------------------------------------------- */

static bool takes_files(const struct backend *b, const struct wish_traits *t)
{
    return b->knows.upload_most == 0 || t->largest <= b->knows.upload_most;
}

bool wish_is_able(struct pool *p, const struct wish *w, const struct wish_traits *t,
                  const struct backend *b)
{
    return !b->terms.removing && takes_files(b, t) &&
           (w->where == NULL || job_where_allows(w->where, b->name, &b->terms.label_names)) &&
           rules_allow(p, w->hash, t->metadata, t->spec, b->name) &&
           (w->need == NULL || wish_is_met(w->need, t, b));
}

size_t wish_count(const struct job_options *s)
{
    return s == NULL || s->variants_len == 0 ? 1 : s->variants_len;
}

const struct names *wish_outputs(const struct job_options *s)
{
    return s == NULL ? NULL : &s->include_outputs;
}

/* Texts read at a time for jobs whose needs are not known. */
enum { TEXTS_COMING_MOST = 16 };

/* Appends, while a batch is being made, the part of the job's workflow that classes and models
   depend on. False: no such job. */
static bool skeleton_of(const struct job *j, struct buf *out)
{
    const struct buf *skeleton = j->batch == NULL ? NULL : j->batch->skeleton;
    if (skeleton != NULL) {
        override_apply(buf_str(skeleton), str_of(j->r.overrides), out);
    }
    return skeleton != NULL;
}

/* A need_text_fn of a job. n == 0: the texts are not in memory; they are being read, unless too
   many are. Dispatch reads them before the job goes anywhere. */
static struct str job_text(void *ctx, struct buf *room)
{
    struct job *j = ctx;
    if (j->texts.workflow == NULL && skeleton_of(j, room)) {
        return buf_str(room);
    }
    const bool is_none =
        j->texts.workflow == NULL && j->batch == NULL && j->pool->texts.coming >= TEXTS_COMING_MOST;
    return !is_none && job_want_texts(j) == TEXTS_HERE
               ? (struct str){j->texts.workflow, j->texts.workflow_len}
               : (struct str){NULL, 0};
}

void eligible_texts_came(struct job *j)
{
    job_make_wishes(j);
    j->able.generation = 0; /* it was judged without its needs */
}

/* A need_text_fn of a variant. */
struct str wish_variant_text(void *ctx, struct buf *room)
{
    (void)room;
    const struct job_variant *v = ctx;
    return (struct str){v->workflow, v->workflow_len};
}

void job_make_wishes(struct job *j)
{
    struct pool *p = j->pool;
    const size_t n = wish_count(j->spec);
    if (j->able.wishes == NULL) {
        j->able.wishes = mem_zero(n, sizeof *j->able.wishes);
    }
    for (size_t i = 0; i < n; i++) {
        struct wish *w = &j->able.wishes[i];
        const bool several = job_has_variants(j);
        struct job_variant *v = several ? &j->spec->variants[i] : NULL;
        w->hash = several ? v->hash : j->r.workflow_hash;
        w->where = several ? &v->where : j->spec == NULL ? NULL : &j->spec->where;
        if (w->need == NULL) {
            w->need = several ? need_join(&p->eligibility.needs, v->hash, wish_outputs(j->spec),
                                          wish_variant_text, v)
                              : need_join(&p->eligibility.needs, w->hash, wish_outputs(j->spec),
                                          job_text, j);
        }
    }
}

struct wish_traits job_traits(const struct job *j)
{
    return (struct wish_traits){j->r.metadata, j->spec, j->files.largest};
}

static bool is_able_job(struct job *j, size_t variant, const struct backend *b)
{
    const struct wish_traits t = job_traits(j);
    const bool several = job_has_variants(j);
    return wish_is_able(j->pool, &j->able.wishes[variant], &t, b) &&
           (!several || job_where_allows(&j->spec->where, b->name, &b->terms.label_names));
}

/* True if the backend refused that variant since the job was submitted. */
static bool was_refused(const struct job *j, size_t variant, const struct backend *b)
{
    const struct str hash = str_of(j->spec->variants[variant].hash);
    return refusal_of(j, hash, b, time_mono(), NULL) == REFUSAL_HERE;
}

int eligible_variant(struct job *j, const struct backend *b)
{
    if (j->able.wishes == NULL || j->able.wishes[0].need == NULL) {
        job_make_wishes(j);
    }
    const size_t n = wish_count(j->spec);
    int refused = -1;
    for (size_t i = 0; i < n; i++) {
        if (!is_able_job(j, i, b)) {
            continue;
        }
        if (!job_has_variants(j) || !was_refused(j, i, b)) {
            return (int)i;
        }
        refused = refused < 0 ? (int)i : refused;
    }
    return refused;
}

bool eligible_is_restricted(struct job *j)
{
    struct pool *p = j->pool;
    if (j->able.generation != p->eligibility.generation) {
        j->able.generation = p->eligibility.generation;
        j->able.restricted = job_has_variants(j);
        for (size_t i = 0; i < p->backends_len && !j->able.restricted; i++) {
            j->able.restricted =
                eligible_variant(j, p->backends[i]) < 0 || eligible_is_preferred(j, p->backends[i]);
        }
    }
    return j->able.restricted;
}

struct need *eligible_need(struct job *j, size_t variant)
{
    if (j->able.wishes == NULL || j->able.wishes[variant].need == NULL) {
        job_make_wishes(j);
    }
    return j->able.wishes[variant].need;
}

struct need *eligible_need_of_attempt(const struct attempt *a)
{
    struct job *j = a->job;
    return eligible_need(j, job_has_variants(j) ? j->route.variant : 0);
}

void eligible_leave(struct job *j)
{
    const size_t n = j->able.wishes == NULL ? 0 : wish_count(j->spec);
    for (size_t i = 0; i < n; i++) {
        if (j->able.wishes[i].need != NULL) {
            need_release(&j->pool->eligibility.needs, j->able.wishes[i].need);
        }
    }
    free(j->able.wishes);
    j->able.wishes = NULL;
}

bool eligible_is_preferred(const struct job *j, const struct backend *b)
{
    return (j->spec != NULL && names_have(&j->spec->where.prefer, b->name)) ||
           rules_prefer(j->pool, j->r.workflow_hash, j->r.metadata, j->spec, b->name);
}

/* ---- telling --------------------------------------------------------------------------------- */

/* Lists each missing thing once, however many nodes lack it. */
struct listing {
    struct js_out *o;
    struct map told; /* text -> a copy of it */
};

static void listing_done(struct listing *l)
{
    size_t at = 0;
    for (void *copy = map_next(&l->told, &at); copy != NULL; copy = map_next(&l->told, &at)) {
        free(copy);
    }
    map_done(&l->told);
}

static void list_lack(void *ctx, const struct workflow_node *node, const struct workflow_value *m)
{
    struct listing *l = ctx;
    AUTO_BUF struct buf text;
    buf_init(&text, BUF_NO_LIMIT);
    if (m == NULL) {
        buf_add_text(&text, "class ");
        buf_add_str(&text, node->class_type);
    } else {
        buf_add_str(&text, m->value);
        buf_add_text(&text, " (");
        buf_add_str(&text, node->class_type);
        buf_add_char(&text, '.');
        buf_add_str(&text, m->input);
        buf_add_char(&text, ')');
    }
    const size_t n = text.len;
    if (map_get(&l->told, buf_str(&text)) == NULL) {
        char *copy = buf_take(&text);
        (void)map_put(&l->told, (struct str){copy, n}, copy);
        js_str(l->o, (struct str){copy, n});
    }
}

/* Writes elements of "missing" for the job's own conditions. */
static void list_where(struct js_out *o, const struct job_where *w, const struct backend *b)
{
    if (w == NULL) {
        return;
    }
    if ((w->has_only && !names_have(&w->only, b->name)) || names_have(&w->exclude, b->name)) {
        js_string(o, "the job's backends leave it out");
    }
    for (size_t i = 0; i < w->labels.len; i++) {
        if (!label_is_met(str_of(w->labels.list[i]), &b->terms.label_names)) {
            AUTO_BUF struct buf text;
            buf_init(&text, BUF_NO_LIMIT);
            buf_printf(&text, "label %s", w->labels.list[i]);
            js_str(o, buf_str(&text));
        }
    }
}

void wish_list_missing(struct pool *p, const struct wish *w, const struct wish_traits *t,
                       const struct backend *b, struct js_out *o)
{
    if (b->terms.removing) {
        js_string(o, "it is being removed");
    }
    if (!takes_files(b, t)) {
        js_string(o, "an attachment is larger than it takes");
    }
    list_where(o, w->where, b);
    if (!rules_allow(p, w->hash, t->metadata, t->spec, b->name)) {
        js_string(o, "a hard rule of the configuration leaves it out");
    }
    if (w->need != NULL && b->knows.known && !(t->spec != NULL && t->spec->skip_eligibility)) {
        struct listing l = {.o = o};
        map_init(&l.told);
        const struct need_catalog has = knowledge_of(b);
        need_find_lacks(w->need, &has, list_lack, &l);
        listing_done(&l);
    }
}

/* Joins a JSON list of texts as "a; b". */
static void join_list(struct str list, struct buf *out)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    struct js_reader r;
    js_read_strict(&r, list, JS_MAX_DEPTH);
    (void)js_next(&r);
    bool first = true;
    for (struct js_token t = js_next(&r); t.kind == JS_STRING; t = js_next(&r)) {
        buf_clear(&scratch);
        buf_add_text(out, first ? "" : ", ");
        buf_add_str(out, js_text(t, &scratch));
        first = false;
    }
}

void wish_why_not(struct pool *p, const struct wish *w, const struct wish_traits *t,
                  const struct backend *b, struct buf *out)
{
    AUTO_BUF struct buf list;
    buf_init(&list, 1 << 16);
    struct js_out o = js_out_to(&list);
    js_open(&o, '[');
    wish_list_missing(p, w, t, b, &o);
    js_close(&o, ']');
    if (!list.overflow) {
        join_list(buf_str(&list), out);
    }
}

void eligible_why(struct job *j, const struct backend *b, struct buf *out)
{
    const struct wish_traits t = job_traits(j);
    if (j->able.wishes == NULL) {
        job_make_wishes(j);
    }
    wish_why_not(j->pool, &j->able.wishes[0], &t, b, out);
}

/* ---- life ------------------------------------------------------------------------------------ */

void eligible_init(struct pool *p)
{
    catalog_pool_init(&p->eligibility.classes);
    needs_init(&p->eligibility.needs);
    p->eligibility.generation = 1;
}

void eligible_done(struct pool *p)
{
    needs_done(&p->eligibility.needs);
    catalog_pool_done(&p->eligibility.classes);
}
