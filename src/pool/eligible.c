/*
 * Which backends can run what; see the header. A backend whose classes were never read counts as
 * able, and so does everything that is not surely refused: a wrong "no" is worse than a refusal by
 * the backend, which is remembered and tried elsewhere. A submission is refused only on the word of
 * backends that are up and were asked just now: who is down may come back with other classes.
 */
#include "eligible.h"

#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/core/batch.h"
#include "comfypool/render/graph_problems.h"
#include "attempt.h"
#include "backends.h"
#include "batches.h"
#include "inputs.h"
#include "job_texts.h"
#include "jobs.h"
#include "refusals.h"
#include "rules.h"
#include "state.h"
#include "unlisted.h"

enum {
    IDLE_NEEDS = 256, /* remembered though no job has them */
    READ_PATIENCE_MS = 5000,
    IDLE_PATIENCE_MS = 10000, /* until it has no prompt of ours, where several run at a time */
    LATE_MS = 3000,           /* no longer than this a submission waits for answers */
    JUST_NOW_MS = LATE_MS + 2000,
};

/* ---- needs --------------------------------------------------------------------------------------
 */

void eligible_init(struct pool *p)
{
    catalog_pool_init(&p->eligibility.classes);
    map_init(&p->eligibility.needs);
    p->eligibility.generation = 1;
}

static void idle_remove(struct eligibility *e, struct need *n)
{
    *(n->newer == NULL ? &e->idle_newest : &n->newer->older) = n->older;
    *(n->older == NULL ? &e->idle_oldest : &n->older->newer) = n->newer;
    n->newer = n->older = NULL;
    e->idle_len--;
}

static void need_free(struct eligibility *e, struct need *n)
{
    (void)map_remove(&e->needs, str_of(n->key));
    workflow_free(n->w);
    free(n->wanted);
    free(n->verdicts);
    free(n->key);
    free(n);
}

static void need_release(struct pool *p, struct need *n)
{
    struct eligibility *e = &p->eligibility;
    n->refs--;
    if (n->refs > 0) {
        return;
    }
    n->older = e->idle_newest;
    *(e->idle_newest == NULL ? &e->idle_oldest : &e->idle_newest->newer) = n;
    e->idle_newest = n;
    e->idle_len++;
    if (e->idle_len > IDLE_NEEDS) {
        n = e->idle_oldest;
        idle_remove(e, n);
        need_free(e, n);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The set of models, whatever loads them. */
static void hash_models(struct need *n)
{
    const struct workflow *w = n->w;
    if (w->models_len == 0) {
        return;
    }
    char **values = mem_alloc(w->models_len * sizeof(char *));
    for (size_t i = 0; i < w->models_len; i++) {
        values[i] = mem_copy(w->models[i].value);
        for (char *p = values[i]; *p != '\0'; p++) { /* a Windows server's are the same files */
            *p = (char)(*p == '\\' ? '/' : *p);
        }
    }
    qsort(values, w->models_len, sizeof(char *), by_text);
    AUTO_BUF struct buf text;
    buf_init(&text, BUF_NO_LIMIT);
    for (size_t i = 0; i < w->models_len; i++) {
        if (i == 0 || strcmp(values[i], values[i - 1]) != 0) {
            buf_add(&text, values[i], strlen(values[i]) + 1);
        }
    }
    digest_sha256_hex(buf_str(&text), n->models);
    for (size_t i = 0; i < w->models_len; i++) {
        free(values[i]);
    }
    free(values);
}

static void mark_wanted(struct need *n, const struct names *outputs)
{
    if (outputs == NULL || outputs->len == 0) {
        return;
    }
    n->wanted = mem_zero(n->w->len, sizeof *n->wanted);
    for (size_t i = 0; i < outputs->len; i++) {
        const struct workflow_node *node = workflow_find(n->w, str_of(outputs->list[i]));
        if (node != NULL) {
            n->wanted[node - n->w->nodes] = true;
        }
    }
}

static void need_key(const char *hash, const struct names *outputs, struct buf *key)
{
    buf_add_text(key, hash);
    for (size_t i = 0; outputs != NULL && i < outputs->len; i++) {
        buf_printf(key, "/%zu:", strlen(outputs->list[i]));
        buf_add_text(key, outputs->list[i]);
    }
}

/* Text for a need, borrowed, or put in `room`; n == 0: it cannot be had. */
typedef struct str (*text_fn)(void *ctx, struct buf *room);

/* The need of this hash, of which one more has it now; text is asked for when it is not known. */
static struct need *need_join(struct pool *p, const char *hash, const struct names *outputs,
                              text_fn text_of, void *ctx)
{
    struct eligibility *e = &p->eligibility;
    AUTO_BUF struct buf key;
    buf_init(&key, BUF_NO_LIMIT);
    need_key(hash, outputs, &key);
    struct need *n = map_get(&e->needs, buf_str(&key));
    if (n == NULL) {
        AUTO_BUF struct buf room;
        buf_init(&room, BUF_NO_LIMIT);
        const struct str text = text_of(ctx, &room);
        struct workflow *w = text.n == 0 ? NULL : workflow_reparse(text);
        if (w == NULL) {
            return NULL;
        }
        n = mem_zero(1, sizeof *n);
        n->w = w;
        n->key = buf_take(&key);
        hash_models(n);
        mark_wanted(n, outputs);
        (void)map_put(&e->needs, str_of(n->key), n);
    } else if (n->refs == 0) {
        idle_remove(e, n);
    }
    n->refs++;
    return n;
}

/* ---- what a backend lacks -----------------------------------------------------------------------
 */

/* Marks what outputs hang on: only that is validated by a server. */
static void mark_needed(const struct need *n, const struct catalog *c, bool *needed)
{
    const struct workflow *w = n->w;
    for (size_t i = 0; i < w->len; i++) {
        const struct catalog_class *class = catalog_find(c, w->nodes[i].class_type);
        const bool out = class != NULL && class->is_output;
        needed[i] = out && (n->wanted == NULL || n->wanted[i]);
    }
    workflow_mark_needed(w, needed);
}

void eligible_find_lacks(const struct need *n, const struct backend *b, lack_fn each, void *ctx)
{
    const struct workflow *w = n->w;
    const struct catalog *c = &b->knows.catalog;
    for (size_t i = 0; i < w->len; i++) {
        const struct str class_type = w->nodes[i].class_type;
        if (class_type.p != NULL && !catalog_knows(c, class_type)) {
            each(ctx, &w->nodes[i], NULL);
        }
    }
    if (w->models_len == 0) {
        return;
    }
    bool *needed = mem_zero(w->len, sizeof *needed);
    mark_needed(n, c, needed);
    for (size_t i = 0; i < w->models_len; i++) {
        const struct workflow_value *m = &w->models[i];
        const struct catalog_class *class = catalog_find(c, w->nodes[m->node].class_type);
        if (needed[m->node] && class != NULL && !catalog_allows(class, m->input, m->value) &&
            !unlisted_may_be_good(b, w->nodes[m->node].class_type, m->input)) {
            each(ctx, &w->nodes[m->node], m);
        }
    }
    free(needed);
}

static void count_lack(void *ctx, const struct workflow_node *node, const struct workflow_value *m)
{
    (void)node;
    (void)m;
    (*(size_t *)ctx)++;
}

/* What rules are about, of a job or of a submission. */
struct traits {
    const char *metadata; /* JSON, or NULL */
    const struct spec *spec;
    uint64_t largest; /* of its files, in bytes */
};

static bool need_is_met(struct need *n, const struct traits *t, const struct backend *b)
{
    if (!b->knows.known || (t->spec != NULL && t->spec->skip_eligibility)) {
        return true;
    }
    struct verdict_of *v = NULL;
    for (size_t i = 0; i < n->verdicts_len && v == NULL; i++) {
        n->verdicts_at = n->verdicts_at + 1 < n->verdicts_len ? n->verdicts_at + 1 : 0;
        v = n->verdicts[n->verdicts_at].backend == b->id ? &n->verdicts[n->verdicts_at] : NULL;
    }
    if (v == NULL) {
        n->verdicts = mem_grow(n->verdicts, (n->verdicts_len + 1) * sizeof *n->verdicts);
        v = &n->verdicts[n->verdicts_len++];
        *v = (struct verdict_of){.backend = b->id};
    }
    if (v->generation != b->knows.generation) {
        size_t lacks = 0;
        eligible_find_lacks(n, b, count_lack, &lacks);
        v->generation = b->knows.generation;
        v->able = lacks == 0;
    }
    return v->able;
}

/* ---- wishes -------------------------------------------------------------------------------------
 */

static bool takes_files(const struct backend *b, const struct traits *t)
{
    return b->sent.most == 0 || t->largest <= b->sent.most;
}

static bool is_able(struct pool *p, const struct wish *w, const struct traits *t,
                    const struct backend *b)
{
    return !b->removing && takes_files(b, t) &&
           (w->where == NULL || spec_where_allows(w->where, b->name, &b->label_names)) &&
           rules_allow(p, w->hash, t->metadata, t->spec, b->name) &&
           (w->need == NULL || need_is_met(w->need, t, b));
}

static size_t variants_of(const struct spec *s)
{
    return s == NULL || s->variants_len == 0 ? 1 : s->variants_len;
}

static const struct names *outputs_of(const struct spec *s)
{
    return s == NULL ? NULL : &s->include_outputs;
}

/* While the jobs of its batch are made: what its classes and models depend on, in place of its
   workflow. Appends; false: it is no such job. */
static bool skeleton_of(const struct job *j, struct buf *out)
{
    const struct buf *skeleton = j->batch == NULL ? NULL : j->batch->skeleton;
    if (skeleton != NULL) {
        override_apply(buf_str(skeleton), str_of(j->r.overrides), out);
    }
    return skeleton != NULL;
}

/* The job's own place counts for each of its variants. */
static struct str job_text(void *ctx, struct buf *room)
{
    struct job *j = ctx;
    if (j->workflow == NULL && skeleton_of(j, room)) {
        return buf_str(room);
    }
    return job_need_texts(j) ? (struct str){j->workflow, j->workflow_len} : (struct str){NULL, 0};
}

static struct str variant_text(void *ctx, struct buf *room)
{
    (void)room;
    const struct spec_variant *v = ctx;
    return (struct str){v->workflow, v->workflow_len};
}

static void make_wishes(struct job *j)
{
    struct pool *p = j->pool;
    const size_t n = variants_of(j->spec);
    if (j->wishes == NULL) {
        j->wishes = mem_zero(n, sizeof *j->wishes);
    }
    for (size_t i = 0; i < n; i++) {
        struct wish *w = &j->wishes[i];
        const bool several = job_has_variants(j);
        struct spec_variant *v = several ? &j->spec->variants[i] : NULL;
        w->hash = several ? v->hash : j->r.workflow_hash;
        w->where = several ? &v->where : j->spec == NULL ? NULL : &j->spec->where;
        if (w->need == NULL) {
            w->need = several ? need_join(p, v->hash, outputs_of(j->spec), variant_text, v)
                              : need_join(p, w->hash, outputs_of(j->spec), job_text, j);
        }
    }
}

static struct traits traits_of(const struct job *j)
{
    return (struct traits){j->r.metadata, j->spec, j->largest_input};
}

static bool is_able_job(struct job *j, size_t variant, const struct backend *b)
{
    const struct traits t = traits_of(j);
    const bool several = job_has_variants(j);
    return is_able(j->pool, &j->wishes[variant], &t, b) &&
           (!several || spec_where_allows(&j->spec->where, b->name, &b->label_names));
}

/* It said no to that variant since the job was submitted. */
static bool was_refused(const struct job *j, size_t variant, const struct backend *b)
{
    const struct str hash = str_of(j->spec->variants[variant].hash);
    return refusal_of(j, hash, b, time_mono(), NULL) == REFUSAL_HERE;
}

int eligible_variant(struct job *j, const struct backend *b)
{
    if (j->wishes == NULL || j->wishes[0].need == NULL) {
        make_wishes(j);
    }
    const size_t n = variants_of(j->spec);
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
    if (j->able_generation != p->eligibility.generation) {
        j->able_generation = p->eligibility.generation;
        j->restricted = job_has_variants(j);
        for (size_t i = 0; i < p->backends_len && !j->restricted; i++) {
            j->restricted =
                eligible_variant(j, p->backends[i]) < 0 || eligible_is_preferred(j, p->backends[i]);
        }
    }
    return j->restricted;
}

struct need *eligible_need(struct job *j, size_t variant)
{
    if (j->wishes == NULL || j->wishes[variant].need == NULL) {
        make_wishes(j);
    }
    return j->wishes[variant].need;
}

struct need *eligible_need_of_attempt(const struct attempt *a)
{
    struct job *j = a->job;
    return eligible_need(j, job_has_variants(j) ? j->variant : 0);
}

void eligible_leave(struct job *j)
{
    const size_t n = j->wishes == NULL ? 0 : variants_of(j->spec);
    for (size_t i = 0; i < n; i++) {
        if (j->wishes[i].need != NULL) {
            need_release(j->pool, j->wishes[i].need);
        }
    }
    free(j->wishes);
    j->wishes = NULL;
}

bool eligible_is_preferred(const struct job *j, const struct backend *b)
{
    return (j->spec != NULL && names_have(&j->spec->where.prefer, b->name)) ||
           rules_prefer(j->pool, j->r.workflow_hash, j->r.metadata, j->spec, b->name);
}

/* ---- telling ------------------------------------------------------------------------------------
 */

/* Many nodes lack the same: it is said once. */
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

/* The elements of "missing". */
static void list_where(struct js_out *o, const struct spec_where *w, const struct backend *b)
{
    if (w == NULL) {
        return;
    }
    if ((w->has_only && !names_have(&w->only, b->name)) || names_have(&w->exclude, b->name)) {
        js_string(o, "the job's backends leave it out");
    }
    for (size_t i = 0; i < w->labels.len; i++) {
        if (!label_is_met(str_of(w->labels.list[i]), &b->label_names)) {
            AUTO_BUF struct buf text;
            buf_init(&text, BUF_NO_LIMIT);
            buf_printf(&text, "label %s", w->labels.list[i]);
            js_str(o, buf_str(&text));
        }
    }
}

static void list_missing(struct pool *p, const struct wish *w, const struct traits *t,
                         const struct backend *b, struct js_out *o)
{
    if (b->removing) {
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
        eligible_find_lacks(w->need, b, list_lack, &l);
        listing_done(&l);
    }
}

/* "a; b" of a JSON list of texts. */
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

static void why_not(struct pool *p, const struct wish *w, const struct traits *t,
                    const struct backend *b, struct buf *out)
{
    AUTO_BUF struct buf list;
    buf_init(&list, 1 << 16);
    struct js_out o = js_out_to(&list);
    js_open(&o, '[');
    list_missing(p, w, t, b, &o);
    js_close(&o, ']');
    if (!list.overflow) {
        join_list(buf_str(&list), out);
    }
}

void eligible_why(struct job *j, const struct backend *b, struct buf *out)
{
    const struct traits t = traits_of(j);
    if (j->wishes == NULL) {
        make_wishes(j);
    }
    why_not(j->pool, &j->wishes[0], &t, b, out);
}

/* ---- submissions --------------------------------------------------------------------------------
 */

/* Asks of one submission; lives until all of them were answered. */
struct recheck {
    struct pool *pool;
    struct recheck *next, **link;
    uint64_t ticket;
    unsigned pending;
    bool told;
    struct deadline late;
    struct recheck_one *ones;
};

struct recheck_one {
    struct recheck *all;
    struct recheck_one *next;
    uint32_t backend;
    char *class_type;
    struct comfy_ask *ask; /* NULL: it was answered */
};

static void recheck_free(struct recheck *r)
{
    struct pool *p = r->pool;
    p->eligibility.rechecks_len--;
    *r->link = r->next;
    if (r->next != NULL) {
        r->next->link = r->link;
    }
    deadline_clear(&p->deadlines, &r->late);
    while (r->ones != NULL) {
        struct recheck_one *one = r->ones;
        r->ones = one->next;
        if (one->ask != NULL) {
            comfy_ask_cancel(one->ask);
        }
        free(one->class_type);
        free(one);
    }
    free(r);
}

static void recheck_tell(void *ctx)
{
    struct recheck *r = ctx;
    if (!r->told) {
        r->told = true;
        pool_wake(r->pool, r->ticket);
    }
}

static struct backend *by_id(struct pool *p, uint32_t id)
{
    for (size_t i = 0; i < p->backends_len; i++) {
        if (p->backends[i]->id == id) {
            return p->backends[i];
        }
    }
    return NULL;
}

void eligible_learnt(struct backend *b)
{
    b->knows.generation = ++b->pool->eligibility.generation;
    eligible_changed(b->pool);
}

static void changed_there(struct backend *b)
{
    unlisted_review(b);
    ability_forget_refusals(&b->pool->ability, b->id);
    eligible_learnt(b);
}

static void class_came(void *ctx, bool found, struct catalog_draft *draft)
{
    struct recheck_one *one = ctx;
    struct recheck *r = one->all;
    struct backend *b = by_id(r->pool, one->backend);
    one->ask = NULL;
    if (found && b != NULL) {
        b->knows.told = time_mono();
    }
    if (found && b != NULL && b->knows.known &&
        catalog_update(&b->knows.catalog, &r->pool->eligibility.classes, str_of(one->class_type),
                       draft)) {
        changed_there(b);
    }
    if (--r->pending == 0) {
        recheck_tell(r);
        recheck_free(r);
    }
}

struct asking {
    struct recheck *r;
    struct backend *b;
    unsigned asked;
};

static bool is_asked(const struct asking *a, struct str class_type)
{
    for (const struct recheck_one *one = a->r->ones; one != NULL; one = one->next) {
        if (one->backend == a->b->id && str_is(class_type, one->class_type)) {
            return true;
        }
    }
    return false;
}

static void ask_lack(void *ctx, const struct workflow_node *node, const struct workflow_value *m)
{
    enum { MOST = 8 };
    struct asking *a = ctx;
    (void)m;
    if (a->asked == MOST || is_asked(a, node->class_type)) {
        return;
    }
    a->asked++;
    struct recheck_one *one = mem_zero(1, sizeof *one);
    one->all = a->r;
    one->next = a->r->ones;
    a->r->ones = one;
    one->backend = a->b->id;
    one->class_type = mem_copy(node->class_type);
    one->ask = comfy_ask_classes(a->b->comfy, node->class_type, class_came, one);
    a->r->pending++;
}

/* A submission, or a job of a batch, as it is looked at. */
struct look {
    struct pool *p;
    struct traits traits;
    struct wish *wishes;
    size_t len;
};

static struct str submission_text(void *ctx, struct buf *room)
{
    (void)room;
    const struct submission *s = ctx;
    return (struct str){s->workflow, s->workflow_len};
}

/* The largest file of a submission, in bytes. */
static uint64_t largest_input(struct pool *p, const struct submission *s)
{
    uint64_t most = 0;
    for (size_t i = 0; i < s->attachments_len; i++) {
        const struct upload *u = uploads_find(p->uploads, s->attachments[i].sha256);
        most = u != NULL && u->size > most ? u->size : most;
    }
    return most;
}

static void look_begin(struct look *l, struct pool *p, struct submission *s)
{
    *l = (struct look){.p = p,
                       .traits = {s->metadata, &s->spec, largest_input(p, s)},
                       .len = variants_of(&s->spec)};
    l->wishes = mem_zero(l->len, sizeof *l->wishes);
    for (size_t i = 0; i < l->len; i++) {
        struct spec_variant *v = s->spec.variants_len > 0 ? &s->spec.variants[i] : NULL;
        struct wish *w = &l->wishes[i];
        w->hash = v != NULL ? v->hash : s->hash;
        w->where = v != NULL ? &v->where : &s->spec.where;
        w->need = v != NULL ? need_join(p, v->hash, outputs_of(&s->spec), variant_text, v)
                            : need_join(p, s->hash, outputs_of(&s->spec), submission_text, s);
    }
}

/* Borrows job->wishes. */
static struct look look_at_job(struct job *j)
{
    make_wishes(j);
    return (struct look){
        .p = j->pool, .traits = traits_of(j), .wishes = j->wishes, .len = variants_of(j->spec)};
}

static void look_end(struct look *l)
{
    for (size_t i = 0; i < l->len; i++) {
        need_release(l->p, l->wishes[i].need);
    }
    free(l->wishes);
}

/* Named and labelled well: whatever it knows. */
static bool is_meant(const struct look *l, size_t i, const struct backend *b)
{
    const struct wish *w = &l->wishes[i];
    struct wish bare = *w;
    bare.need = NULL;
    struct traits traits = l->traits;
    traits.largest = b->up ? traits.largest : 0; /* how large a file it takes it says anew, too */
    return is_able(l->p, &bare, &traits, b) &&
           (l->traits.spec == NULL ||
            spec_where_allows(&l->traits.spec->where, b->name, &b->label_names));
}

/* Its "no" counts: it is up, and said on this connection what it has, and lately enough. */
static bool has_word(const struct backend *b, struct mono_us since)
{
    return b->up && b->knows.known && !mono_before(b->knows.told, mono_max(b->up_since, since));
}

bool eligible_may_be(struct job *j, const struct backend *b)
{
    if (has_word(b, (struct mono_us){0})) {
        return !eligible_is_restricted(j) || eligible_variant(j, b) >= 0;
    }
    const struct look l = look_at_job(j);
    bool meant = false;
    for (size_t i = 0; i < l.len && !meant; i++) {
        meant = is_meant(&l, i, b);
    }
    return meant;
}

/* since: what it said before is no reason to say no. */
static enum chance chance_on(const struct look *l, const struct backend *b, struct mono_us since)
{
    bool meant = false;
    for (size_t i = 0; i < l->len; i++) {
        if (is_meant(l, i, b)) {
            meant = true;
            if (b->up && need_is_met(l->wishes[i].need, &l->traits, b)) {
                return CHANCE_YES;
            }
        }
    }
    return meant && !has_word(b, since) ? CHANCE_MAYBE : CHANCE_NO;
}

/* Whatever backends know: some are meant. */
static bool any_meant(const struct look *l)
{
    bool any = false;
    for (size_t i = 0; i < l->p->backends_len && !any; i++) {
        for (size_t k = 0; k < l->len && !any; k++) {
            any = is_meant(l, k, l->p->backends[i]);
        }
    }
    return any;
}

/* No backends: it waits, unless the job names some. */
static bool may_wait_for_any(const struct look *l)
{
    const struct spec *s = l->traits.spec;
    bool particular = s != NULL && (s->where.has_only || s->where.labels.len > 0);
    for (size_t i = 0; s != NULL && i < s->variants_len && !particular; i++) {
        particular = s->variants[i].where.has_only || s->variants[i].where.labels.len > 0;
    }
    return l->p->backends_len == 0 && !particular;
}

static enum chance best_chance(const struct look *l, struct mono_us since)
{
    enum chance best = may_wait_for_any(l) ? CHANCE_YES : CHANCE_NO;
    for (size_t i = 0; i < l->p->backends_len && best != CHANCE_YES; i++) {
        const enum chance c = chance_on(l, l->p->backends[i], since);
        best = c > best ? c : best;
    }
    return best;
}

/* Who did not answer since then has refused nothing. */
static struct mono_us just_now(void)
{
    return mono_add(time_mono(), dur_ms(-JUST_NOW_MS));
}

/* Asks those that look able but for what they know. True: the ticket is woken when they have
   answered. */
static bool ask_again(const struct look *l, uint64_t ticket)
{
    enum { AT_ONCE = 32 };
    struct pool *p = l->p;
    if (p->eligibility.rechecks_len == AT_ONCE) {
        return false; /* somebody asks for nonsense, and often */
    }
    p->eligibility.rechecks_len++;
    struct recheck *r = mem_zero(1, sizeof *r);
    *r = (struct recheck){.pool = p,
                          .next = p->eligibility.rechecks,
                          .link = &p->eligibility.rechecks,
                          .ticket = ticket};
    if (r->next != NULL) {
        r->next->link = &r->next;
    }
    p->eligibility.rechecks = r;
    for (size_t i = 0; i < p->backends_len; i++) {
        struct backend *b = p->backends[i];
        struct asking a = {r, b, 0};
        for (size_t k = 0; k < l->len && b->up && b->knows.known; k++) {
            if (is_meant(l, k, b)) {
                eligible_find_lacks(l->wishes[k].need, b, ask_lack, &a);
            }
        }
    }
    if (r->pending == 0) {
        recheck_free(r);
        return false;
    }
    deadline_set(&p->deadlines, &r->late, mono_add(time_mono(), dur_ms(LATE_MS)), recheck_tell, r);
    return true;
}

/* Names in "only" that nobody has: "there is no backend nope; there are a, b". True: it has no
   others, there is nothing more to say. */
static bool say_unknown(const struct look *l, struct buf *detail)
{
    const struct spec_where *w = l->wishes[0].where;
    size_t unknown = 0;
    for (size_t i = 0; w != NULL && i < w->only.len; i++) {
        if (map_get(&l->p->backends_by_name, str_of(w->only.list[i])) == NULL) {
            buf_printf(detail, "%s%s", unknown == 0 ? "there is no backend " : ", ",
                       w->only.list[i]);
            unknown++;
        }
    }
    for (size_t i = 0; unknown > 0 && i < l->p->backends_len; i++) {
        buf_printf(detail, "%s%s", i == 0 ? "; there are " : ", ", l->p->backends[i]->name);
    }
    const bool only_these = unknown > 0 && unknown == w->only.len;
    buf_add_text(detail,
                 only_these && l->p->backends_len == 0 ? "; there are no backends yet" : "");
    return only_these;
}

static void say_why_not(const struct look *l, const char *pointer, struct refusal *ret)
{
    AUTO_BUF struct buf detail;
    buf_init(&detail, 1 << 16);
    if (!say_unknown(l, &detail)) {
        buf_add_text(&detail, detail.len > 0 ? ". " : "");
        buf_add_text(&detail, l->p->backends_len == 0 ? "there are no backends yet"
                                                      : "no backend can run it");
        for (size_t i = 0; i < l->p->backends_len; i++) {
            const struct backend *b = l->p->backends[i];
            buf_printf(&detail, "%s%s lacks: ", i == 0 ? ". " : "; ", b->name);
            why_not(l->p, &l->wishes[0], &l->traits, b, &detail);
        }
    }
    (void)refusal_point(ret, ERR_WORKFLOW_NOT_SUPPORTED, buf_text(&detail), pointer);
}

static bool may_be_good(const void *ctx, struct str class_type, struct str input)
{
    return unlisted_may_be_good(ctx, class_type, input);
}

/* null: its classes are not known. */
static void add_problems(const struct backend *b, const struct submission *s,
                         const struct workflow *w, const bool *wanted, struct js_out *o)
{
    const struct render_graph g = {s, w, wanted, &b->knows.catalog, may_be_good, b};
    js_key(o, "problems");
    if (b->knows.known) {
        render_graph_problems(&g, o);
    } else {
        js_null(o);
    }
}

static void try_dry(const struct look *l, const struct submission *s, struct mono_us since,
                    struct buf *out)
{
    /* Not its need's: that may be of another text with the same hash. */
    struct workflow *w = workflow_reparse((struct str){s->workflow, s->workflow_len});
    struct js_out o = js_out_to(out);
    js_open(&o, '{');
    js_key(&o, "backends");
    js_open(&o, '[');
    for (size_t i = 0; i < l->p->backends_len; i++) {
        const struct backend *b = l->p->backends[i];
        const enum chance c = chance_on(l, b, since);
        js_open(&o, '{');
        js_member_string(&o, "name", b->name);
        js_key(&o, "eligible");
        if (c == CHANCE_MAYBE) {
            js_null(&o);
        } else {
            js_bool(&o, c == CHANCE_YES);
        }
        js_key(&o, "missing");
        js_open(&o, '[');
        if (c == CHANCE_NO) {
            list_missing(l->p, &l->wishes[0], &l->traits, b, &o);
        }
        js_close(&o, ']');
        add_problems(b, s, w, l->wishes[0].need->wanted, &o);
        js_close(&o, '}');
    }
    js_close(&o, ']');
    js_close(&o, '}');
    workflow_free(w);
}

/* Whether servers say that this class gives outputs; true as long as none says no. */
static bool may_be_output(const struct pool *p, struct str class_type)
{
    bool denied = false;
    for (size_t i = 0; i < p->backends_len; i++) {
        const struct knowledge *k = &p->backends[i]->knows;
        const struct catalog_class *c = k->known ? catalog_find(&k->catalog, class_type) : NULL;
        if (c != NULL && c->is_output) {
            return true;
        }
        denied = denied || (c != NULL && has_word(p->backends[i], (struct mono_us){0}));
    }
    return !denied;
}

static bool check_outputs(const struct look *l, struct refusal *ret)
{
    const struct names *n = outputs_of(l->traits.spec);
    for (size_t i = 0; i < n->len; i++) {
        const struct workflow_node *node = workflow_find(l->wishes[0].need->w, str_of(n->list[i]));
        if (node != NULL && node->class_type.p != NULL && !may_be_output(l->p, node->class_type)) {
            char pointer[48];
            (void)snprintf(pointer, sizeof pointer, "/includeOutputs/%zu", i);
            return refusal_point(ret, ERR_MEMBER_INVALID, "this node gives no output", pointer);
        }
    }
    return true;
}

enum eligible_step eligible_check(struct pool *p, struct intake *in)
{
    struct look l;
    look_begin(&l, p, &in->submission);
    enum eligible_step step = check_outputs(&l, &in->refusal) ? ELIGIBLE_SURE : ELIGIBLE_REFUSED;
    const struct mono_us ever = {0};
    const bool sure = in->is_batch ? any_meant(&l) || may_wait_for_any(&l) /* its jobs come later */
                                   : best_chance(&l, ever) == CHANCE_YES;
    if (step == ELIGIBLE_SURE && !sure && in->rechecked == 0) {
        in->rechecked = 1;
        step = ask_again(&l, in->ticket) ? ELIGIBLE_ASKING : step;
    }
    if (step == ELIGIBLE_SURE && in->dry_run) {
        try_dry(&l, &in->submission, in->rechecked > 0 ? just_now() : ever, &in->dry);
        step = ELIGIBLE_TRIED;
    } else if (step == ELIGIBLE_SURE && !sure &&
               (in->is_batch || best_chance(&l, just_now()) == CHANCE_NO)) {
        say_why_not(&l, NULL, &in->refusal);
        step = ELIGIBLE_REFUSED;
    }
    look_end(&l);
    return step;
}

enum chance eligible_chance(struct job *j, bool asked)
{
    const struct look l = look_at_job(j);
    return best_chance(&l, asked ? just_now() : (struct mono_us){0});
}

bool eligible_ask_again(struct job *j, uint64_t ticket)
{
    const struct look l = look_at_job(j);
    return ask_again(&l, ticket);
}

void eligible_refuse(struct job *j, const char *pointer, struct refusal *ret)
{
    const struct look l = look_at_job(j);
    say_why_not(&l, pointer, ret);
}

uint64_t eligible_input_max(const struct backend *b, struct str class_type, const char *input)
{
    const struct catalog_class *c =
        b->knows.known ? catalog_find(&b->knows.catalog, class_type) : NULL;
    const struct catalog_input *in = c == NULL ? NULL : catalog_input(c, str_of(input));
    if (in == NULL || !in->has_max || in->max >= 18446744073709549568.0) {
        return UINT64_MAX;
    }
    return in->max < 0 ? 0 : (uint64_t)in->max;
}

/* ---- reading what a backend knows --------------------------------------------------------------
 */

void eligible_changed(struct pool *p)
{
    p->eligibility.generation++;
    p->ops->review_jobs(p);
}

bool eligible_is_reading(const struct backend *b)
{
    return heap_holds(&b->knows.patience.node);
}

static void read_is_over(struct backend *b)
{
    struct knowledge *k = &b->knows;
    if (k->classes == NULL && k->replacements == NULL && k->features == NULL) {
        deadline_clear(&b->pool->deadlines, &k->patience);
        b->pool->ops->settle_backend(b);
        if (b->pool->ability.by_hash.len > 0) { /* it may have been the last hope of some */
            b->pool->ops->review_jobs(b->pool);
        }
    }
}

static void classes_came(void *ctx, bool found, struct catalog_draft *draft)
{
    struct backend *b = ctx;
    struct knowledge *k = &b->knows;
    k->classes = NULL;
    const bool was_known = k->known;
    k->known = found && draft->len > 0;
    k->told = found ? time_mono() : k->told;
    const bool changed =
        k->known && catalog_replace(&k->catalog, &b->pool->eligibility.classes, draft);
    if (changed || was_known != k->known) {
        changed_there(b);
    }
    read_is_over(b);
}

static void replacements_came(void *ctx, struct str body)
{
    struct backend *b = ctx;
    b->knows.replacements = NULL;
    if (catalog_read_replacements(&b->knows.catalog, body)) {
        changed_there(b);
    }
    read_is_over(b);
}

/* "max_upload_size", in bytes. */
static void features_came(void *ctx, struct str body)
{
    struct backend *b = ctx;
    int64_t most = 0;
    b->knows.features = NULL;
    struct js_reader r;
    js_read_lenient(&r, body, JS_MAX_DEPTH);
    (void)js_next(&r);
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        const struct js_token v = js_next(&r);
        if (!js_is(key, "max_upload_size") || !js_int(v, &most)) {
            (void)js_rest(&r, v);
        }
    }
    const uint64_t size = most > 0 ? (uint64_t)most : 0;
    if (size != b->sent.most) {
        b->sent.most = size;
        eligible_changed(b->pool);
    }
    read_is_over(b);
}

static void patience_is_over(void *ctx)
{
    struct backend *b = ctx;
    b->pool->ops->settle_backend(
        b); /* it gets jobs while it is still being read, or before it is */
}

static void be_patient(struct backend *b, int64_t ms)
{
    deadline_set(&b->pool->deadlines, &b->knows.patience, mono_add(time_mono(), dur_ms(ms)),
                 patience_is_over, b);
}

void eligible_settle(struct backend *b)
{
    struct knowledge *k = &b->knows;
    if (!k->due || !b->up || b->attempts != NULL || k->classes != NULL || k->replacements != NULL) {
        return;
    }
    k->due = false;
    k->classes = comfy_ask_classes(b->comfy, STR(""), classes_came, b);
    k->replacements = comfy_ask_text(b->comfy, "/node_replacements", replacements_came, b);
    k->features = comfy_ask_text(b->comfy, "/features", features_came, b);
    be_patient(b, READ_PATIENCE_MS);
}

void eligible_read(struct backend *b)
{
    b->knows.due = true;
    eligible_settle(b);
    /* While a prompt runs nothing is read. Where several run at a time there is always one, unless
       no other begins for a while. */
    if (b->knows.due && b->up && b->slot.max_in_flight > 1) {
        be_patient(b, IDLE_PATIENCE_MS);
    }
}

static void stop_reading(struct backend *b)
{
    struct knowledge *k = &b->knows;
    if (k->classes != NULL) {
        comfy_ask_cancel(k->classes);
    }
    if (k->replacements != NULL) {
        comfy_ask_cancel(k->replacements);
    }
    if (k->features != NULL) {
        comfy_ask_cancel(k->features);
    }
    k->classes = k->replacements = k->features = NULL;
    k->due = false;
    deadline_clear(&b->pool->deadlines, &k->patience);
}

void eligible_down(struct backend *b)
{
    stop_reading(b);
}

void knowledge_done(struct backend *b)
{
    stop_reading(b);
    catalog_done(&b->knows.catalog, &b->pool->eligibility.classes);
}

void eligible_done(struct pool *p)
{
    struct eligibility *e = &p->eligibility;
    for (struct recheck *r = e->rechecks, *next = NULL; r != NULL; r = next) {
        next = r->next;
        recheck_free(r);
    }
    while (e->idle_oldest != NULL) {
        struct need *n = e->idle_oldest;
        idle_remove(e, n);
        need_free(e, n);
    }
    map_done(&e->needs);
    catalog_pool_done(&e->classes);
}
