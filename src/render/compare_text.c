/*
 * A comparison for terminals: what is compared, the totals, and a row a node; slower and faster
 * nodes are marked at the beginning of the row, as are nodes that only one side has, which come
 * last. Columns are as wide as their content, within bounds that keep a row within 120.
 */
#include <math.h>

#include "comfypool/base/time_text.h"

#include "cells.h"
#include "compared.h"

#define UP "\u25b2"
#define DOWN "\u25bc"

/* VERDICT: fits "executing", its longest word. */
enum { LEAST_TEXT = 12, VERDICT = 9 };

/* ---- head ------------------------------------------------------------------------------------ */

static void add_time(struct buf *out, struct wall_us t)
{
    char text[TIME_TEXT_SIZE];
    time_write(t, text);
    buf_add_text(out, text);
}

static void add_run(struct buf *out, const char *name, const struct compared_run *r)
{
    buf_printf(out, "%-10s", name);
    add_whole(out, r->job_id);
    buf_printf(out, "  attempt %.0f", r->attempt);
    if (r->backend.n > 0) {
        buf_add_text(out, " on ");
        (void)add_cut(out, r->backend, CELL_MAX);
    }
    buf_add_text(out, ", ");
    add_whole(out, r->outcome.n == 0 ? STR("still running") : r->outcome);
    if (r->has_completed) {
        buf_add_text(out, ", ");
        add_time(out, r->completed_at);
    }
    buf_add_char(out, '\n');
}

static const char *baseline_text(const char *baseline)
{
    static const char *const texts[][2] = {
        {"costKeyAndBackend", "same workflow, steps and sizes, same backend"},
        {"costKey", "same workflow, steps and sizes, any backend"},
        {"workflowHash", "same workflow; steps and sizes may differ"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (str_is(str_of(baseline), texts[i][0])) {
            return texts[i][1];
        }
    }
    return baseline;
}

static void add_baseline(struct buf *out, const struct compared *c)
{
    buf_printf(out, "Base      median of %zu run%s: %s\n", c->runs, c->runs == 1 ? "" : "s",
               baseline_text(c->baseline));
    if (c->has_times) {
        add_blanks(out, 10);
        add_time(out, c->from);
        if (c->runs > 1) {
            buf_add_text(out, " to ");
            add_time(out, c->to);
        }
        buf_add_char(out, '\n');
    }
}

/* ---- numbers --------------------------------------------------------------------------------- */

static void add_side(struct buf *out, const struct compare_side *s)
{
    if (s->executed) {
        buf_printf(out, "%12.3f", (double)s->duration.us / 1000.0);
    } else {
        buf_printf(out, "%12s", s->cached ? "cached" : "-");
    }
}

static void add_times(struct buf *out, const struct compare_times *t)
{
    add_side(out, &t->base);
    add_side(out, &t->target);
    if (t->has_delta) {
        buf_printf(out, "%+12.3f", (double)t->delta.us / 1000.0);
    } else {
        buf_printf(out, "%12s", "-");
    }
    if (t->has_ratio) {
        buf_printf(out, "%8.2f", t->ratio);
    } else {
        buf_printf(out, "%8s", "-");
    }
}

static const char *mark_of(enum compare_verdict v)
{
    return v == COMPARE_SLOWER ? UP : v == COMPARE_FASTER ? DOWN : " ";
}

static void add_total(struct buf *out, const struct compare_times *t)
{
    const char *verdict = compare_verdict_name(t->verdict);
    buf_printf(out, "\n%10s%12s%12s%12s%8s\n%-10s", "", "base ms", "target ms", "delta ms", "ratio",
               "Execution");
    add_times(out, t);
    buf_printf(out, "  %s %s\n", mark_of(t->verdict), verdict == NULL ? "-" : verdict);
}

static void add_byte_change(struct buf *out, double n)
{
    buf_add_text(out, n >= 0 ? "+" : "");
    add_bytes(out, n);
}

static void add_resources(struct buf *out, const struct compare_resources *d)
{
    const struct {
        const char *name;
        double bytes;
    } rows[] = {{"VRAM max", d->vram_max}, {"RAM max", d->ram_max}};
    const char *before = "Resources ";
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!isnan(rows[i].bytes)) {
            buf_printf(out, "%s%s ", before, rows[i].name);
            add_byte_change(out, rows[i].bytes);
            before = ", ";
        }
    }
    if (!isnan(d->gpu_average)) {
        buf_printf(out, "%sGPU average %+.1f points", before, d->gpu_average);
        before = ", ";
    }
    buf_add_text(out, *before == ',' ? "\n" : "");
}

static void add_counts(struct buf *out, const struct comparison_result *r)
{
    size_t counts[COMPARE_FASTER + 1] = {0};
    for (size_t i = 0; i < r->pairs_len; i++) {
        counts[r->pairs[i].times.verdict]++;
    }
    buf_printf(out,
               "Nodes     %zu slower, %zu faster, %zu same, %zu without a verdict, %zu added, "
               "%zu removed\n",
               counts[COMPARE_SLOWER], counts[COMPARE_FASTER], counts[COMPARE_SAME],
               counts[COMPARE_NO_VERDICT], r->added_len, r->removed_len);
}

/* ---- the nodes ------------------------------------------------------------------------------- */

struct columns {
    size_t id;
    size_t base_id; /* 0: all ids are equal */
    size_t type;
    size_t title; /* 0: no titles */
    bool resources;
};

struct row {
    const char *mark;
    struct str id;
    struct str base_id;
    struct str type;
    struct str title;
    struct compare_times times;
    struct compare_resources deltas;
    struct str word;
};

static const struct compare_resources no_deltas = {
    .vram_max = NAN, .ram_max = NAN, .gpu_average = NAN};

/* Returns the width of the fixed columns: the mark, times, ratio, VRAM and GPU, the verdict. */
static size_t fixed_width(const struct columns *c)
{
    const size_t resources = c->resources ? 20 : 0;
    const size_t base_id = c->base_id > 0 ? 2 : 0;
    const size_t title = c->title > 0 ? 2 : 0;
    return 2 + 2 + base_id + 2 + title + 36 + 8 + resources + 2 + VERDICT;
}

static size_t *widest_text(struct columns *c)
{
    size_t *widest = c->base_id > c->id ? &c->base_id : &c->id;
    widest = c->type >= *widest ? &c->type : widest;
    return c->title > *widest ? &c->title : widest;
}

static void narrow(struct columns *c)
{
    while (fixed_width(c) + c->id + c->base_id + c->type + c->title > CELLS_ROW &&
           *widest_text(c) > LEAST_TEXT) {
        (*widest_text(c))--;
    }
}

/* Leaves out an empty column. */
static void widen_by_title(struct columns *c, struct str title)
{
    if (title.n > 0) {
        widen(&c->title, STR("Title"));
        widen(&c->title, title);
    }
}

static void widen_by_lone(struct columns *c, const struct compared_run *run, const size_t *list,
                          size_t len)
{
    for (size_t i = 0; i < len; i++) {
        widen(&c->id, run->nodes[list[i]].id);
        widen(&c->type, run->nodes[list[i]].class_type);
        widen_by_title(c, run->title[list[i]]);
    }
}

static struct columns columns_of(const struct compared *c)
{
    const struct comparison_result *r = c->result;
    struct columns cols = {.id = 4, .type = 4};
    for (size_t i = 0; i < r->pairs_len; i++) {
        const struct compare_pair *p = &r->pairs[i];
        const struct compare_node *n = &c->target.nodes[p->node];
        widen(&cols.id, n->id);
        widen(&cols.type, n->class_type);
        widen_by_title(&cols, c->target.title[p->node]);
        if (!str_eq(n->id, p->base_id)) {
            widen(&cols.base_id, STR("Base node"));
            widen(&cols.base_id, p->base_id);
        }
        cols.resources |= !isnan(p->deltas.vram_max) || !isnan(p->deltas.gpu_average);
    }
    widen_by_lone(&cols, &c->target, r->added, r->added_len);
    widen_by_lone(&cols, &c->newest, r->removed, r->removed_len);
    narrow(&cols);
    return cols;
}

static void add_row_resources(struct buf *out, const struct compare_resources *d)
{
    AUTO_BUF struct buf bytes;
    buf_init(&bytes, BUF_NO_LIMIT);
    if (isnan(d->vram_max)) {
        buf_add_char(&bytes, '-');
    } else {
        add_byte_change(&bytes, d->vram_max);
    }
    buf_printf(out, "%12s", buf_text(&bytes));
    if (isnan(d->gpu_average)) {
        buf_printf(out, "%8s", "-");
    } else {
        buf_printf(out, "%+8.1f", d->gpu_average);
    }
}

static void add_row(struct buf *out, const struct row *r, const struct columns *c)
{
    buf_printf(out, "%s ", r->mark);
    add_cell(out, r->id, c->id);
    if (c->base_id > 0) {
        add_cell(out, str_eq(r->id, r->base_id) ? STR("") : r->base_id, c->base_id);
    }
    add_cell(out, r->type, c->type);
    if (c->title > 0) {
        add_cell(out, r->title, c->title);
    }
    add_times(out, &r->times);
    if (c->resources) {
        add_row_resources(out, &r->deltas);
    }
    buf_add_text(out, "  ");
    (void)add_cut(out, r->word, VERDICT);
    buf_add_char(out, '\n');
}

/* Returns the verdict, or the target's status where none: it may say why. */
static struct str word_of(const struct compare_node *n, struct str status, enum compare_verdict v)
{
    if (v != COMPARE_NO_VERDICT) {
        return str_of(compare_verdict_name(v));
    }
    return status.n == 0 || n->finished || n->cached ? STR("-") : status;
}

static void add_pair(struct buf *out, const struct compared *c, const struct compare_pair *p,
                     const struct columns *cols)
{
    const struct compare_node *n = &c->target.nodes[p->node];
    const struct row r = {
        .mark = mark_of(p->times.verdict),
        .id = n->id,
        .base_id = p->base_id,
        .type = n->class_type,
        .title = c->target.title[p->node],
        .times = p->times,
        .deltas = p->deltas,
        .word = word_of(n, c->target.status[p->node], p->times.verdict),
    };
    add_row(out, &r, cols);
}

static void add_lone(struct buf *out, const struct compared_run *run, size_t node, bool added,
                     const struct columns *cols)
{
    const struct compare_node *n = &run->nodes[node];
    const struct compare_side side = {
        .cached = n->cached,
        .executed = n->has_duration && !n->cached,
        .duration = n->duration,
    };
    struct row r = {
        .mark = added ? "+" : "-",
        .id = n->id,
        .base_id = n->id,
        .type = n->class_type,
        .title = run->title[node],
        .deltas = no_deltas,
        .word = added ? STR("added") : STR("removed"),
    };
    *(added ? &r.times.target : &r.times.base) = side;
    add_row(out, &r, cols);
}

static void add_nodes(struct buf *out, const struct compared *c)
{
    const struct comparison_result *r = c->result;
    if (r->pairs_len + r->added_len + r->removed_len == 0) {
        return;
    }
    const struct columns cols = columns_of(c);
    buf_add_text(out, "\n  ");
    add_cell(out, STR("Node"), cols.id);
    if (cols.base_id > 0) {
        add_cell(out, STR("Base node"), cols.base_id);
    }
    add_cell(out, STR("Type"), cols.type);
    if (cols.title > 0) {
        add_cell(out, STR("Title"), cols.title);
    }
    buf_printf(out, "%12s%12s%12s%8s", "base ms", "target ms", "delta ms", "ratio");
    if (cols.resources) {
        buf_printf(out, "%12s%8s", "VRAM max", "GPU avg");
    }
    buf_add_text(out, "  Verdict\n");
    for (size_t i = 0; i < r->pairs_len; i++) {
        add_pair(out, c, &r->pairs[i], &cols);
    }
    for (size_t i = 0; i < r->added_len; i++) {
        add_lone(out, &c->target, r->added[i], true, &cols);
    }
    for (size_t i = 0; i < r->removed_len; i++) {
        add_lone(out, &c->newest, r->removed[i], false, &cols);
    }
}

void compare_text(const struct compared *c, struct buf *out)
{
    if (c->baseline != NULL) {
        add_baseline(out, c);
    } else {
        add_run(out, "Base", &c->newest);
    }
    add_run(out, "Target", &c->target);
    add_total(out, &c->result->total);
    add_resources(out, &c->result->deltas);
    buf_add_char(out, '\n');
    add_counts(out, c->result);
    add_nodes(out, c);
}
