/* Runs for tests; see the header. */
#include "told_runs.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static struct str take_until(struct str *s, const char *stops)
{
    size_t n = 0;
    while (n < s->n && strchr(stops, s->p[n]) == NULL) {
        n++;
    }
    const struct str taken = {s->p, n};
    *s = (struct str){s->p + n, s->n - n};
    return taken;
}

static bool take_sign(struct str *s, char sign)
{
    const bool there = s->n > 0 && *s->p == sign;
    *s = (struct str){s->p + there, s->n - there};
    return there;
}

static void tell_how(struct told *t, size_t i, struct str how)
{
    static const char signs[] = "fxcCp?o";
    static const char *const statuses[] = {"failed",  "executing", "cached",   "cached",
                                           "pending", "completed", "completed"};
    struct compare_node *n = &t->nodes[i];
    const char *sign = how.n > 0 ? strchr(signs, *how.p) : NULL;
    const size_t which = sign == NULL ? 5 : (size_t)(sign - signs);
    how = sign == NULL ? how : (struct str){how.p + 1, how.n - 1};
    t->status[i] = statuses[which];
    n->cached = which == 2 || which == 3;
    n->finished = which == 5;
    n->open_ended = which == 6;
    n->has_duration = how.n > 0 || which == 2;
    n->duration.us = 0;
    ck_assert(how.n == 0 || str_to_int64(how, &n->duration.us));
}

static void tell_node(struct told *t, struct str word)
{
    const size_t i = t->run.nodes_len++;
    ck_assert_uint_lt(i, MAX_NODES);
    struct compare_node *n = &t->nodes[i];
    *n = (struct compare_node){.depends_on = t->deps[i],
                               .resources = {.vram_max = NAN, .ram_max = NAN, .gpu_average = NAN}};
    n->id = take_until(&word, ":<^=");
    if (take_sign(&word, ':')) {
        n->class_type = take_until(&word, "<^=");
    }
    while (take_sign(&word, '<') || take_sign(&word, ',')) {
        ck_assert_uint_lt(n->depends_on_len, MAX_DEPS);
        t->deps[i][n->depends_on_len++] = take_until(&word, ",^=");
    }
    if (take_sign(&word, '^')) {
        n->parent = take_until(&word, "=");
    }
    tell_how(t, i, take_sign(&word, '=') ? word : STR("10000"));
}

void tell(struct told *t, const char *text, int64_t execution)
{
    struct str rest = str_of(text);
    *t = (struct told){.run = {.nodes = t->nodes,
                               .finished = true,
                               .has_execution = true,
                               .execution = {execution},
                               .resources = {.vram_max = NAN, .ram_max = NAN, .gpu_average = NAN}}};
    while (rest.n > 0) {
        const struct str word = take_until(&rest, " ");
        if (word.n > 0) {
            tell_node(t, word);
        }
        (void)take_sign(&rest, ' ');
    }
}

/* ---- random ---------------------------------------------------------------------------------- */

static unsigned long long state;

void random_seed(unsigned long long seed)
{
    state = seed;
}

int random_below(int n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (int)((state >> 33) % (unsigned)n);
}

void random_run(struct buf *out)
{
    static const char *const how[] = {"", "=c", "=C", "=p", "=?", "=f5000", "=x"};
    enum { IDS = 20 };
    const int len = random_below(MAX_NODES);
    const int first = random_below(IDS);
    buf_clear(out);
    for (int i = 0; i < len; i++) {
        const int id = (first + i * 7) % IDS; /* each once */
        const bool child = random_below(5) == 0;
        const int parent = (first + random_below(len) * 7) % IDS;
        if (child) {
            buf_printf(out, " %d.0.%d", parent, id);
        } else {
            buf_printf(out, " %d", id);
        }
        if (random_below(8) > 0 && !child) {
            buf_printf(out, ":%c", 'A' + random_below(3));
        }
        for (int k = random_below(3); k > 0; k--) {
            buf_printf(out, "<%d", random_below(IDS));
        }
        if (child) {
            buf_printf(out, "^%d", parent);
        }
        if (random_below(2)) {
            buf_printf(out, "=%d", random_below(40) * 1000);
        } else {
            buf_add_text(out, how[random_below(7)]);
        }
    }
}
