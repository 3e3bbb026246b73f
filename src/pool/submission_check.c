/*
 * Checks whether any backend can run a submission, or a job of a batch; see the header. Backends
 * that only lack classes or values are asked once more. A submission is refused only on the word of
 * backends that are up and were asked just now: one that is down may come back with other classes.
 */
#include "submission_check.h"

#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/list.h"
#include "comfypool/comfy/backend.h"
#include "comfypool/files/uploads.h"
#include "comfypool/pool/intake.h"
#include "comfypool/render/graph_problems.h"

#include "backends.h"
#include "eligible.h"
#include "jobs.h"
#include "knowledge.h"
#include "state.h"

enum {
    LATE_MS = 3000, /* longest wait of a submission for answers */
    JUST_NOW_MS = LATE_MS + 2000,
};

/* Questions for one submission; lives until all are answered. */
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
    struct comfy_ask *ask; /* NULL: answered */
};

static void recheck_free(struct recheck *r)
{
    struct pool *p = r->pool;
    p->eligibility.rechecks_len--;
    list_remove(r, next, link);
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
        knowledge_has_changed(b);
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

/* A submission, or a job of a batch, being checked. */
struct look {
    struct pool *p;
    struct wish_traits traits;
    struct wish *wishes;
    size_t len;
};

static struct str submission_text(void *ctx, struct buf *room)
{
    (void)room;
    const struct submission *s = ctx;
    return (struct str){s->workflow, s->workflow_len};
}

/* Returns the size of a submission's largest file, in bytes. */
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
                       .len = wish_count(&s->spec)};
    l->wishes = mem_zero(l->len, sizeof *l->wishes);
    for (size_t i = 0; i < l->len; i++) {
        struct job_variant *v = s->spec.variants_len > 0 ? &s->spec.variants[i] : NULL;
        struct wish *w = &l->wishes[i];
        w->hash = v != NULL ? v->hash : s->hash;
        w->where = v != NULL ? &v->where : &s->spec.where;
        w->need = v != NULL ? need_join(&p->eligibility.needs, v->hash, wish_outputs(&s->spec),
                                        wish_variant_text, v)
                            : need_join(&p->eligibility.needs, s->hash, wish_outputs(&s->spec),
                                        submission_text, s);
    }
}

/* Borrows job->wishes. */
static struct look look_at_job(struct job *j)
{
    job_make_wishes(j);
    return (struct look){.p = j->pool,
                         .traits = job_traits(j),
                         .wishes = j->able.wishes,
                         .len = wish_count(j->spec)};
}

static void look_end(struct look *l)
{
    for (size_t i = 0; i < l->len; i++) {
        need_release(&l->p->eligibility.needs, l->wishes[i].need);
    }
    free(l->wishes);
}

/* True if names, labels and rules allow the backend, whatever it has. */
static bool is_meant(const struct look *l, size_t i, const struct backend *b)
{
    const struct wish *w = &l->wishes[i];
    struct wish bare = *w;
    bare.need = NULL;
    struct wish_traits traits = l->traits;
    traits.largest = b->conn.up ? traits.largest : 0; /* it tells its upload limit again, too */
    return wish_is_able(l->p, &bare, &traits, b) &&
           (l->traits.spec == NULL ||
            job_where_allows(&l->traits.spec->where, b->name, &b->terms.label_names));
}

/* True if its "no" counts: it is up and told what it has on this connection, lately enough. */
static bool has_word(const struct backend *b, struct mono_us since)
{
    return b->conn.up && b->knows.known &&
           !mono_before(b->knows.told, mono_max(b->conn.up_since, since));
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

/* Returns the chance on a backend. since: older answers are no reason to say no. */
static enum chance chance_on(const struct look *l, const struct backend *b, struct mono_us since)
{
    bool meant = false;
    for (size_t i = 0; i < l->len; i++) {
        if (is_meant(l, i, b)) {
            meant = true;
            if (b->conn.up && wish_is_met(l->wishes[i].need, &l->traits, b)) {
                return CHANCE_YES;
            }
        }
    }
    return meant && !has_word(b, since) ? CHANCE_MAYBE : CHANCE_NO;
}

/* True if names, labels and rules allow some backend. */
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

/* True without backends, unless the job names some: then it waits. */
static bool may_wait_for_any(const struct look *l)
{
    const struct job_options *s = l->traits.spec;
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

/* Returns the time since which a backend must have answered to count as refusing. */
static struct mono_us just_now(void)
{
    return mono_add(time_mono(), dur_ms(-JUST_NOW_MS));
}

/* Asks backends that only lack classes or values. True: the ticket is woken when they have
   answered. */
static bool ask_again(const struct look *l, uint64_t ticket)
{
    enum { AT_ONCE = 32 };
    struct pool *p = l->p;
    if (p->eligibility.rechecks_len == AT_ONCE) {
        return false; /* bounds the cost of many invalid submissions */
    }
    p->eligibility.rechecks_len++;
    struct recheck *r = mem_zero(1, sizeof *r);
    r->pool = p;
    r->ticket = ticket;
    list_push(&p->eligibility.rechecks, r, next, link);
    for (size_t i = 0; i < p->backends_len; i++) {
        struct backend *b = p->backends[i];
        struct asking a = {r, b, 0};
        for (size_t k = 0; k < l->len && b->conn.up && b->knows.known; k++) {
            if (is_meant(l, k, b)) {
                const struct need_catalog has = knowledge_of(b);
                need_find_lacks(l->wishes[k].need, &has, ask_lack, &a);
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

/* Appends names in "only" that no backend has: "there is no backend nope; there are a, b". True:
   there are no others, so nothing more to say. */
static bool say_unknown(const struct look *l, struct buf *detail)
{
    const struct job_where *w = l->wishes[0].where;
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
            wish_why_not(l->p, &l->wishes[0], &l->traits, b, &detail);
        }
    }
    (void)refusal_point(ret, ERR_WORKFLOW_NOT_SUPPORTED, buf_text(&detail), pointer);
}

/* Writes the problems found by a backend's catalog; null if its classes are not known. */
static void add_problems(const struct backend *b, const struct submission *s,
                         const struct workflow *w, const bool *wanted, struct js_out *o)
{
    const struct need_catalog has = knowledge_of(b);
    const struct render_graph g = {s, w, wanted, has.catalog, has.forgives, has.ctx};
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
    /* Not the need's workflow, which may be of another text with the same hash. */
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
            wish_list_missing(l->p, &l->wishes[0], &l->traits, b, &o);
        }
        js_close(&o, ']');
        add_problems(b, s, w, l->wishes[0].need->wanted, &o);
        js_close(&o, '}');
    }
    js_close(&o, ']');
    js_close(&o, '}');
    workflow_free(w);
}

/* True unless a server says that the class is no output node. */
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
    const struct names *n = wish_outputs(l->traits.spec);
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
    /* The jobs of a batch are checked later. */
    const bool sure =
        in->is_batch ? any_meant(&l) || may_wait_for_any(&l) : best_chance(&l, ever) == CHANCE_YES;
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

void submission_checks_done(struct pool *p)
{
    for (struct recheck *r = p->eligibility.rechecks, *next = NULL; r != NULL; r = next) {
        next = r->next;
        recheck_free(r);
    }
}
