/*
 * Which job goes to which backend next. The waiting jobs are played through in their order, each on
 * the backend that would finish it first: by how long such runs took there lately, warm or cold,
 * behind what runs there and what was played before. The first one whose best backend is free gets
 * it. So a slow backend is used when the queue is long, and left alone when waiting is better; and
 * jobs whose models are loaded somewhere go there.
 *
 * A wait for a better backend is worth what it gains: longer than that no job is held while another
 * backend that could run it idles, whatever the estimates say.
 *
 * A few jobs of each lane are looked at (QUEUE_LOOK), and of all lanes LOOK_IN_ALL beside the first
 * ones: O(1) in the length of the queue.
 */
#include "routing.h"

#include <stdlib.h>

#include "comfypool/core/measures.h"

#include "attempt.h"
#include "backends.h"
#include "dispatch.h"
#include "eligible.h"
#include "jobs.h"
#include "shun.h"
#include "state.h"
#include "strays.h"

enum {
    KINDS_MOST = 64,
    LOOK_IN_ALL = 4 * QUEUE_LOOK,
    /* Backends that would finish within this percentage of each other are equals. */
    EQUAL_PERCENT = 5,
    /* What is assumed to be left of a run that takes longer than expected: this share of it. */
    OVERRUN_SHARE = 8,
    HELD_LEAST_MS = 1,
};

/* A backend in the simulation. */
struct seat {
    struct backend *b;
    bool free;          /* has a free slot */
    struct mono_us at;  /* when it will have finished its work */
    const char *models; /* models loaded then; NULL: unknown */
    const char *hash;
};

/* How long a workflow takes on each backend. */
struct kind {
    const char *cost_key;
    const char *models;
    const char *hash;
    bool any; /* some time is known */
    struct kind_time {
        bool known;
        int64_t warm, cold;
    } * times; /* one per seat */
};

/* An entry simulated on a backend that is busy, or worth waiting for. */
struct played {
    struct job *job;
    size_t lane;
    const struct kind *kind;
};

struct play {
    struct pool *p;
    struct mono_us now;
    struct seat *seats;
    size_t len;
    size_t free; /* free seats */
    struct kind kinds[KINDS_MOST];
    size_t kinds_len;
    struct kind others; /* all other workflows: times unknown */
    struct played played[LOOK_IN_ALL];
    size_t played_len;
    struct route reserve;   /* a job for which models would be loaded; job NULL: none */
    struct mono_us look_at; /* when a held job is looked at again; 0: none held */
};

/* ---- seats ----------------------------------------------------------------------------------- */

static int64_t remaining_us(const struct attempt *a, const struct backend *b, struct mono_us now)
{
    struct measures_times t;
    const struct mono_us since =
        a->timeline.started.set ? a->timeline.started.received : a->timeline.intent.received;
    const int64_t elapsed = since.us == 0 ? 0 : mono_diff(now, since).us;
    if (!measures_times(b->pool->measures, str_of(a->job->r.cost_key), str_of(b->name), &t)) {
        return elapsed + 100000;
    }
    const int64_t left = (a->runs_cold ? t.cold.us : t.warm.us) - elapsed;
    return left > elapsed / OVERRUN_SHARE ? left : elapsed / OVERRUN_SHARE;
}

static void take_seats(struct play *y)
{
    struct pool *p = y->p;
    y->seats = mem_alloc((p->backends_len + 1) * sizeof *y->seats);
    for (size_t i = 0; i < p->backends_len; i++) {
        struct backend *b = p->backends[i];
        if (!b->slot.up) {
            continue;
        }
        struct seat *s = &y->seats[y->len++];
        *s = (struct seat){.b = b, .free = heap_holds(&b->slot.node), .at = y->now};
        y->free += s->free ? 1 : 0;
        s->models = b->warm.foreign ? NULL : b->warm.models;
        s->hash = b->warm.foreign ? NULL : b->warm.hash;
        for (const struct attempt *a = p->options.learned ? b->load.attempts : NULL; a != NULL;
             a = a->backend_next) {
            s->at = mono_add(s->at, (struct dur_us){remaining_us(a, b, y->now)});
        }
    }
}

static bool is_warm(const struct seat *s, const struct kind *k)
{
    return (s->hash != NULL && strcmp(s->hash, k->hash) == 0) ||
           (s->models != NULL && k->models[0] != '\0' && strcmp(s->models, k->models) == 0);
}

/* ---- what a run takes ------------------------------------------------------------------------ */

/* Estimates by node classes, if each was measured there. */
static bool by_classes(struct pool *p, const struct need *n, const struct backend *b, int64_t *ret)
{
    *ret = 0;
    for (size_t i = 0; n != NULL && i < n->w->len; i++) {
        struct dur_us took;
        if (n->w->nodes[i].class_type.p == NULL ||
            !measures_class(p->measures, n->w->nodes[i].class_type, str_of(b->name), &took)) {
            return false;
        }
        *ret += took.us;
    }
    return n != NULL;
}

static void measure(struct play *y, struct kind *k, const struct need *n)
{
    struct pool *p = y->p;
    k->times = mem_zero(y->len + 1, sizeof *k->times);
    int64_t best = INT64_MAX; /* as of a backend of weight 1 */
    for (size_t i = 0; i < y->len; i++) {
        const struct backend *b = y->seats[i].b;
        struct kind_time *t = &k->times[i];
        struct measures_times m;
        if (measures_times(p->measures, str_of(k->cost_key), str_of(b->name), &m)) {
            *t = (struct kind_time){true, m.warm.us, m.cold.us};
        } else if (by_classes(p, n, b, &t->warm)) {
            *t = (struct kind_time){true, t->warm, t->warm};
        }
        if (t->known) {
            const int64_t weighed = (int64_t)((double)t->warm * b->slot.weight);
            best = weighed < best ? weighed : best;
            k->any = true;
        }
    }
    for (size_t i = 0; i < y->len && k->any; i++) { /* an untried backend may be as good */
        struct kind_time *t = &k->times[i];
        if (!t->known) {
            t->warm = t->cold = (int64_t)((double)best / y->seats[i].b->slot.weight);
        }
    }
}

static const struct kind *kind_of(struct play *y, struct job *j, size_t variant)
{
    const bool several = job_has_variants(j);
    const char *cost_key = several ? j->spec->variants[variant].cost_key : j->r.cost_key;
    const struct need *n = eligible_need(j, variant);
    const char *hash = several ? j->spec->variants[variant].hash : j->r.workflow_hash;
    for (size_t i = 0; i < y->kinds_len; i++) {
        if (strcmp(y->kinds[i].cost_key, cost_key) == 0) {
            return &y->kinds[i];
        }
    }
    if (y->kinds_len == KINDS_MOST) {
        y->others.times = y->others.times != NULL ? y->others.times
                                                  : mem_zero(y->len + 1, sizeof *y->others.times);
        return &y->others;
    }
    struct kind *k = &y->kinds[y->kinds_len++];
    *k = (struct kind){.cost_key = cost_key, .models = n == NULL ? "" : n->models, .hash = hash};
    if (y->p->options.learned) {
        measure(y, k, n);
    } else {
        k->times = mem_zero(y->len + 1, sizeof *k->times);
    }
    return k;
}

/* ---- choosing -------------------------------------------------------------------------------- */

/* A backend for a job. */
struct option {
    struct seat *seat;
    const struct kind *kind;
    int variant;
    bool preferred;
    bool warm;
    int64_t takes;
    struct mono_us done;
};

static bool is_better(const struct option *a, const struct option *b, struct mono_us now)
{
    if (b->seat == NULL) {
        return true;
    }
    const int64_t x = mono_diff(a->done, now).us;
    const int64_t y = mono_diff(b->done, now).us;
    const int64_t equal = (x < y ? y : x) * EQUAL_PERCENT / 100;
    if (x + equal < y || y + equal < x) {
        return x < y;
    }
    return scheduler_before(&a->seat->b->slot, &b->seat->b->slot);
}

struct choice {
    struct option best;      /* best of all */
    struct option free;      /* best with a free slot */
    struct option preferred; /* best preferred one with a free slot */
    size_t able_backends;
};

static void consider(struct play *y, struct job *j, unsigned level, struct choice *ret)
{
    *ret = (struct choice){.able_backends = 0};
    const bool restricted = eligible_is_restricted(j);
    for (size_t i = 0; i < y->len; i++) {
        struct seat *s = &y->seats[i];
        if (!dispatch_allows(j, s->b, level)) {
            continue;
        }
        const int variant = restricted ? eligible_variant(j, s->b) : 0;
        if (variant < 0) {
            continue;
        }
        const struct kind *k = kind_of(y, j, (size_t)variant);
        struct option o = {.seat = s, .kind = k, .variant = variant};
        o.preferred = restricted && eligible_is_preferred(j, s->b);
        o.warm = is_warm(s, k);
        o.takes = o.warm ? k->times[i].warm : k->times[i].cold;
        /* Without times the backends' loads decide. */
        o.done = k->any ? mono_add(s->at, (struct dur_us){o.takes}) : y->now;
        ret->able_backends++;
        if (is_better(&o, &ret->best, y->now)) {
            ret->best = o;
        }
        if (s->free && is_better(&o, &ret->free, y->now)) {
            ret->free = o;
        }
        if (s->free && o.preferred && is_better(&o, &ret->preferred, y->now)) {
            ret->preferred = o;
        }
    }
}

/* True if the job waits for its best backend though another one is free. */
static bool is_held(struct play *y, struct job *j, const struct choice *c)
{
    const struct option *best = &c->best;
    const int64_t wait = mono_diff(best->seat->at, y->now).us;
    const int64_t gain = mono_diff(c->free.done, best->done).us;
    if (!best->kind->any || best->seat->free || gain <= 0 || wait > gain) {
        return false;
    }
    if (j->route.held_until.us == 0) {
        j->route.held_until = mono_add(y->now, (struct dur_us){gain});
    }
    if (!mono_before(y->now, j->route.held_until)) {
        return false;
    }
    const struct mono_us soon = mono_add(y->now, dur_ms(HELD_LEAST_MS));
    const struct mono_us at = mono_max(soon, mono_min(j->route.held_until, best->seat->at));
    if (y->look_at.us == 0 || mono_before(at, y->look_at)) {
        y->look_at = at;
    }
    return true;
}

static void play_on(const struct option *o)
{
    o->seat->at = o->done;
    o->seat->models = o->kind->models;
    o->seat->hash = o->kind->hash;
}

static const char *reason_of(const struct job *j, const struct choice *c, const struct option *o)
{
    return c->able_backends == 1         ? "only_able"
           : o->preferred                ? "preferred"
           : !o->kind->any               ? "least_loaded"
           : o->warm                     ? "models_loaded"
           : j->route.held_until.us != 0 ? "waited_long_enough"
                                         : "finishes_first";
}

/* ---- the walk -------------------------------------------------------------------------------- */

/* A lane during a walk. */
struct lane_walk {
    struct heap_node node;
    size_t lane;
    struct queue_rank next;  /* of the next entry */
    struct queue_walk *walk; /* NULL: not begun */
};

static bool lane_before(const struct heap_node *a, const struct heap_node *b)
{
    return queue_rank_before(&heap_item(a, const struct lane_walk, node)->next,
                             &heap_item(b, const struct lane_walk, node)->next);
}

static struct job *next_job(const struct queue *q, struct lane_walk *l)
{
    struct queue_entry *e = l->walk == NULL ? queue_first_of(q, l->lane) : queue_walk_next(l->walk);
    return heap_item(e, struct job, entry);
}

/* True if the lane has more entries. Most lanes are looked at once: a walk is begun only if more is
   wanted. */
static bool has_more(const struct queue *q, struct lane_walk *l)
{
    if (l->walk == NULL) {
        l->walk = mem_alloc(sizeof *l->walk);
        queue_walk_begin(l->walk, q, l->lane);
        (void)queue_walk_next(l->walk);
    }
    return queue_walk_peek(l->walk, &l->next);
}

/* Returns an earlier job of the same kind, to which free backends mean the same. Jobs of a lane
   with variants have the same variants. */
static struct job *first_of_kind(const struct play *y, struct job *j, size_t lane,
                                 const struct kind *k)
{
    for (size_t i = 0; i < y->played_len; i++) {
        if (y->played[i].lane == lane && (job_has_variants(j) || y->played[i].kind == k)) {
            return y->played[i].job;
        }
    }
    return j;
}

static bool settle_on(struct play *y, struct job *j, size_t lane, const struct choice *c,
                      const struct option *o, struct route *ret)
{
    struct job *first = first_of_kind(y, j, lane, o->kind);
    *ret = (struct route){.job = first,
                          .backend = o->seat->b,
                          .reason = reason_of(first, c, o),
                          .expected_us = o->kind->any ? o->takes : -1,
                          .warm = o->warm};
    first->route.variant = (size_t)o->variant;
    return true;
}

/*
 * True if the run would begin with loading models: a later job whose models are loaded may go
 * first, for as long as the loading takes.
 */
static bool lets_others_pass(const struct play *y, struct job *j, const struct option *o)
{
    const struct kind_time *t = &o->kind->times[o->seat - y->seats];
    if (o->warm || !o->kind->any || t->cold <= t->warm) {
        return false;
    }
    if (y->reserve.job != NULL) {
        return true; /* not its turn yet */
    }
    if (j->route.held_until.us == 0) {
        j->route.held_until = mono_add(y->now, (struct dur_us){t->cold - t->warm});
    }
    return mono_before(y->now, j->route.held_until);
}

/* True if the route is settled; else the job was simulated, or no backend can run it now. */
static bool play_job(struct play *y, struct job *j, size_t lane, struct route *ret)
{
    struct choice c;
    unsigned level = 0;
    if (strays_doubt(j) || !dispatch_level(j, &level)) {
        return false;
    }
    consider(y, j, level, &c);
    if (c.best.seat == NULL) {
        return false;
    }
    if (c.preferred.seat != NULL) {
        return settle_on(y, j, lane, &c, &c.preferred, ret);
    }
    if (c.free.seat != NULL && !is_held(y, j, &c)) {
        const bool first = y->reserve.job == NULL;
        if (!lets_others_pass(y, j, &c.free)) {
            return settle_on(y, j, lane, &c, &c.free, ret);
        }
        return first && !settle_on(y, j, lane, &c, &c.free, &y->reserve);
    }
    if (c.best.kind->any) {
        play_on(&c.best);
    }
    if (y->played_len < sizeof y->played / sizeof *y->played) {
        y->played[y->played_len++] = (struct played){j, lane, c.best.kind};
    }
    return false;
}

/* Looks at the first entry of each lane, and at no more than LOOK_IN_ALL others in all. *ret_moved:
   a job changed its lane. */
static bool walk(struct play *y, struct route *ret, bool *ret_moved)
{
    const struct queue *q = &y->p->queue;
    const size_t len = q->lanes_len; /* a job that changes its lane may remove one */
    struct lane_walk *lanes = mem_zero(len + 1, sizeof *lanes);
    struct heap next;
    heap_init(&next, lane_before);
    for (size_t i = 0; i < len; i++) {
        lanes[i].lane = i;
        if (queue_peek(q, i, &lanes[i].next)) {
            heap_push(&next, &lanes[i].node);
        }
    }
    const size_t most = LOOK_IN_ALL + len;
    bool found = false;
    for (size_t n = 0; n < most && !found && !*ret_moved && next.len > 0; n++) {
        struct lane_walk *l = heap_item(heap_top(&next), struct lane_walk, node);
        struct job *j = next_job(q, l);
        *ret_moved = dispatch_change_lane(j);
        found = !*ret_moved && play_job(y, j, l->lane, ret);
        if (found || *ret_moved) {
            break;
        }
        if (n < LOOK_IN_ALL && has_more(q, l)) {
            heap_update(&next, &l->node);
        } else {
            heap_remove(&next, &l->node);
        }
    }
    for (size_t i = 0; i < len; i++) {
        free(lanes[i].walk);
    }
    heap_done(&next);
    free(lanes);
    return found;
}

/* Takes a job that tried the backend before, since no other job goes there. */
static bool take_reluctant(struct play *y, struct route *ret)
{
    struct job *j = NULL;
    for (size_t i = 0; i < y->len && j == NULL && y->p->shunning.first != NULL; i++) {
        const struct seat *s = &y->seats[i];
        j = s->free ? shun_first(s->b) : NULL;
        if (j != NULL) {
            const int variant = eligible_is_restricted(j) ? eligible_variant(j, s->b) : 0;
            j->route.variant = (size_t)variant;
            *ret = (struct route){
                .job = j, .backend = s->b, .reason = "nobody_else", .expected_us = -1};
        }
    }
    return j != NULL;
}

static void play_end(struct play *y)
{
    for (size_t i = 0; i < y->kinds_len; i++) {
        free(y->kinds[i].times);
    }
    free(y->others.times);
    free(y->seats);
}

bool routing_next(struct pool *p, struct route *ret)
{
    bool moved = true;
    bool found = false;
    while (moved && !found && !dispatch_rests(p)) {
        moved = false;
        struct play y = {.p = p, .now = time_mono(), .others = {.models = "", .hash = ""}};
        take_seats(&y);
        found = walk(&y, ret, &moved);
        if (!found && !moved && y.reserve.job != NULL) {
            *ret = y.reserve;
            found = true;
        }
        found = found || (!moved && take_reluctant(&y, ret));
        play_end(&y);
        if (moved) {
            dispatch_passed(p, 0);
        } else if (!found && y.look_at.us != 0) {
            dispatch_again(p, y.look_at);
        }
    }
    return found;
}
