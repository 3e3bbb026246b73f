/*
 * Matches the nodes of two runs; the steps are in compare.h. A run is prepared once (signatures,
 * depths, places); each step then sorts what is left of both runs by a key and merges the two
 * lists, so that nothing is quadratic. A signature hashes the class and the signatures of all
 * dependencies; a link that closes a cycle counts as one to nowhere, so cycles cost nothing extra.
 * Hashes are seeded: clients choose ids and classes.
 */
#include "compare_inner.h"

#include <stdlib.h>

#include "comfypool/base/buf.h"

/* ---- signatures and depths ------------------------------------------------------------------- */

static struct placed_node *find_node(const struct placed_run *r, struct str id)
{
    return map_get(&r->by_id, id);
}

static int by_number(const void *x, const void *y)
{
    const uint64_t a = *(const uint64_t *)x;
    const uint64_t b = *(const uint64_t *)y;
    return (a > b) - (a < b);
}

/* Computes depth and signature; all dependencies are done. scratch: room for them and one more. */
static void close_node(const struct placed_run *r, struct placed_node *p, uint64_t *scratch)
{
    const struct compare_node *n = p->node;
    size_t len = 0;
    scratch[len++] = p->class_key;
    for (size_t i = 0; i < n->depends_on_len; i++) {
        const struct placed_node *dep = find_node(r, n->depends_on[i]);
        const bool known = dep != NULL && dep->visit == VISIT_DONE;
        scratch[len++] = known ? dep->signature : 0;
        p->depth = known && dep->depth >= p->depth ? dep->depth + 1 : p->depth;
    }
    qsort(scratch + 1, len - 1, sizeof *scratch, by_number);
    p->signature = map_hash((struct str){(const char *)scratch, len * sizeof *scratch});
    p->visit = VISIT_DONE;
}

/* Visits everything that `from` depends on, depth first, with an explicit stack. */
static void visit_from(const struct placed_run *r, struct placed_node *from,
                       struct placed_node **stack, uint64_t *scratch)
{
    size_t open = 0;
    from->visit = VISIT_OPEN;
    stack[open++] = from;
    while (open > 0) {
        struct placed_node *p = stack[open - 1];
        if (p->next == p->node->depends_on_len) {
            close_node(r, p, scratch);
            open--;
            continue;
        }
        struct placed_node *dep = find_node(r, p->node->depends_on[p->next++]);
        if (dep != NULL && dep->visit == VISIT_NEVER) {
            dep->visit = VISIT_OPEN;
            stack[open++] = dep;
        }
    }
}

static void sign_nodes(struct placed_run *r)
{
    size_t most = 0;
    for (size_t i = 0; i < r->len; i++) {
        const size_t n = r->nodes[i].node->depends_on_len;
        most = n > most ? n : most;
    }
    AUTO_FREE struct placed_node **stack = mem_alloc(r->len * sizeof(struct placed_node *));
    AUTO_FREE uint64_t *scratch = mem_alloc((most + 1) * sizeof *scratch);
    for (size_t i = 0; i < r->len; i++) {
        if (r->nodes[i].visit == VISIT_NEVER) {
            visit_from(r, &r->nodes[i], stack, scratch);
        }
    }
}

/* ---- places ---------------------------------------------------------------------------------- */

static int by_size(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

/* Orders ids: most are decimal numbers, so the shorter is the smaller. */
static int by_id(struct str a, struct str b)
{
    if (a.n != b.n || a.n == 0) {
        return by_size(a.n, b.n);
    }
    return memcmp(a.p, b.p, a.n);
}

static int by_place(const void *x, const void *y)
{
    const struct placed_node *a = *(const struct placed_node *const *)x;
    const struct placed_node *b = *(const struct placed_node *const *)y;
    const int depth = by_size(a->depth, b->depth);
    const int id = depth != 0 ? depth : by_id(a->node->id, b->node->id);
    return id != 0 ? id : (a > b) - (a < b);
}

static void place_nodes(struct placed_run *r)
{
    AUTO_FREE struct placed_node **order = mem_alloc(r->len * sizeof(struct placed_node *));
    for (size_t i = 0; i < r->len; i++) {
        order[i] = &r->nodes[i];
    }
    qsort(order, r->len, sizeof(struct placed_node *), by_place);
    for (size_t i = 0; i < r->len; i++) {
        order[i]->place = i;
    }
}

void placed_run_init(struct placed_run *r, const struct compare_run *run)
{
    *r = (struct placed_run){
        .nodes = mem_zero(run->nodes_len, sizeof *r->nodes),
        .len = run->nodes_len,
    };
    map_init(&r->by_id);
    for (size_t i = 0; i < r->len; i++) {
        struct placed_node *p = &r->nodes[i];
        p->node = &run->nodes[i];
        p->id_key = map_hash(p->node->id);
        p->class_key = map_hash(p->node->class_type);
        (void)map_put(&r->by_id, p->node->id, p);
    }
    sign_nodes(r);
    place_nodes(r);
}

void placed_run_done(struct placed_run *r)
{
    map_done(&r->by_id);
    free(r->nodes);
}

/* ---- the steps ------------------------------------------------------------------------------- */

/* A candidate of one step, sorted by key, then place. */
struct candidate {
    uint64_t key;
    const struct placed_node *p;
};

/* Both runs during matching. */
struct matching {
    const struct placed_run *target;
    const struct placed_run *base;
    size_t *match;
    bool *taken; /* by base node */
    struct candidate *targets;
    struct candidate *bases;
};

static size_t index_in(const struct placed_run *r, const struct placed_node *p)
{
    return (size_t)(p - r->nodes);
}

static void take(struct matching *m, const struct placed_node *target,
                 const struct placed_node *base)
{
    m->match[index_in(m->target, target)] = index_in(m->base, base);
    m->taken[index_in(m->base, base)] = true;
}

static bool is_left(const struct matching *m, const struct placed_run *r,
                    const struct placed_node *p)
{
    const size_t i = index_in(r, p);
    return r == m->target ? m->match[i] == NO_MATCH : !m->taken[i];
}

static bool contradict(struct str class_a, struct str class_b)
{
    return class_a.n > 0 && class_b.n > 0 && !str_eq(class_a, class_b);
}

/* Computes a step's key of a node; false: the step skips it. */
typedef bool (*key_fn)(const struct placed_node *p, uint64_t *ret);

static bool id_key(const struct placed_node *p, uint64_t *ret)
{
    *ret = p->id_key;
    return true;
}

static bool signature_key(const struct placed_node *p, uint64_t *ret)
{
    *ret = p->signature;
    return p->node->class_type.n > 0;
}

static bool class_key(const struct placed_node *p, uint64_t *ret)
{
    *ret = p->class_key;
    return p->node->class_type.n > 0;
}

/* Uses the length: children have longer ids than their parents. */
static bool child_key(const struct placed_node *p, uint64_t *ret)
{
    *ret = p->node->id.n;
    return p->node->parent.n > 0;
}

static int by_key(const void *x, const void *y)
{
    const struct candidate *a = x;
    const struct candidate *b = y;
    return a->key != b->key ? (a->key > b->key) - (a->key < b->key)
                            : by_size(a->p->place, b->p->place);
}

static size_t candidates_of(const struct matching *m, const struct placed_run *r, key_fn key,
                            struct candidate *ret)
{
    size_t len = 0;
    for (size_t i = 0; i < r->len; i++) {
        ret[len].p = &r->nodes[i];
        if (is_left(m, r, &r->nodes[i]) && key(&r->nodes[i], &ret[len].key)) {
            len++;
        }
    }
    qsort(ret, len, sizeof *ret, by_key);
    return len;
}

/* Pairs nodes of equal keys in order of their places. */
static void match_by(struct matching *m, key_fn key)
{
    const size_t targets = candidates_of(m, m->target, key, m->targets);
    const size_t bases = candidates_of(m, m->base, key, m->bases);
    for (size_t i = 0, k = 0; i < targets && k < bases;) {
        const struct candidate *t = &m->targets[i];
        const struct candidate *b = &m->bases[k];
        if (t->key == b->key && !contradict(t->p->node->class_type, b->p->node->class_type)) {
            take(m, t->p, b->p);
        }
        i += t->key <= b->key;
        k += b->key <= t->key;
    }
}

/* Finds the corresponding child of the parent's match in the base; NULL: none is left. */
static const struct placed_node *
match_of_child(const struct matching *m, const struct compare_node *child, struct buf *scratch)
{
    const struct placed_node *parent = find_node(m->target, child->parent);
    const size_t match = parent == NULL ? NO_MATCH : m->match[index_in(m->target, parent)];
    const size_t prefix = child->parent.n;
    if (match == NO_MATCH || child->id.n <= prefix ||
        memcmp(child->id.p, child->parent.p, prefix) != 0) {
        return NULL;
    }
    const struct compare_node *base_parent = m->base->nodes[match].node;
    buf_clear(scratch);
    buf_add_str(scratch, base_parent->id);
    buf_add(scratch, child->id.p + prefix, child->id.n - prefix);
    const struct placed_node *p = find_node(m->base, buf_str(scratch));
    const bool fits = p != NULL && is_left(m, m->base, p) &&
                      str_eq(p->node->parent, base_parent->id) &&
                      !contradict(p->node->class_type, child->class_type);
    return fits ? p : NULL;
}

static void match_children(struct matching *m)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    const size_t len = candidates_of(m, m->target, child_key, m->targets);
    for (size_t i = 0; i < len; i++) {
        const struct placed_node *base = match_of_child(m, m->targets[i].p->node, &scratch);
        if (base != NULL) {
            take(m, m->targets[i].p, base);
        }
    }
}

void match_runs(const struct placed_run *target, const struct placed_run *base, size_t *ret_match)
{
    AUTO_FREE bool *taken = mem_zero(base->len, sizeof *taken);
    AUTO_FREE struct candidate *targets = mem_alloc(target->len * sizeof *targets);
    AUTO_FREE struct candidate *bases = mem_alloc(base->len * sizeof *bases);
    for (size_t i = 0; i < target->len; i++) {
        ret_match[i] = NO_MATCH;
    }
    struct matching m = {target, base, ret_match, taken, targets, bases};
    match_by(&m, id_key);
    match_by(&m, signature_key);
    match_by(&m, class_key);
    match_children(&m);
}
