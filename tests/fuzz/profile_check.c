/* What must hold for every profile; see the header. */
#include "profile_check.h"

#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/render/render.h"

void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* What was said of a node. */
struct heard {
    char *id;
    bool ran;        /* executing, or running in a progress_state */
    bool was_done;   /* finished, executed, cached or in the history */
    bool was_blamed; /* named by an error that ended the prompt */
};

struct watched *watched_new(struct str text, struct mono_us now)
{
    size_t offset = 0;
    const char *why = NULL;
    struct workflow *workflow = NULL;
    struct workflow_problem problem;
    if (!js_check(text, 64, &offset, &why)) {
        return NULL;
    }
    if (!workflow_parse(text, &workflow, &problem)) {
        buf_done(&problem.pointer);
        return NULL;
    }
    struct watched *w = mem_zero(1, sizeof *w);
    w->workflow = workflow;
    w->profiler = profiler_new(workflow, 5);
    map_init(&w->heard);
    const struct time_anchor anchor = {.mono = now, .wall = {1700000000000000 + now.us}};
    timeline_init(&w->timeline, anchor, now);
    return w;
}

void watched_free(struct watched *w)
{
    size_t at = 0;
    for (struct heard *h = map_next(&w->heard, &at); h != NULL; h = map_next(&w->heard, &at)) {
        free(h->id);
        free(h);
    }
    map_done(&w->heard);
    profiler_free(w->profiler);
    workflow_free(w->workflow);
    free(w);
}

/* ---- what was said --------------------------------------------------------------------------- */

static struct heard *heard_of(struct watched *w, struct str id)
{
    struct heard *h = map_get(&w->heard, id);
    if (h == NULL) {
        h = mem_zero(1, sizeof *h);
        h->id = mem_copy(id);
        (void)map_put(&w->heard, (struct str){h->id, id.n}, h);
    }
    return h;
}

static void hear_done(struct watched *w, const struct str *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        heard_of(w, ids[i])->was_done = true;
    }
}

static void hear_states(struct watched *w, const struct frame *f)
{
    for (size_t i = 0; i < f->nodes_len; i++) {
        struct heard *h = heard_of(w, f->nodes[i].id);
        h->ran = h->ran || f->nodes[i].state == NODE_STATE_RUNNING;
        h->was_done = h->was_done || f->nodes[i].state == NODE_STATE_FINISHED;
    }
}

static void hear(struct watched *w, const struct frame *f)
{
    if (f->type == FRAME_STATE) {
        hear_states(w, f);
    } else if (f->type == FRAME_CACHED) {
        hear_done(w, f->ids, f->ids_len);
    } else if (f->node.p == NULL) {
        return;
    } else if (f->type == FRAME_EXECUTING) {
        heard_of(w, f->node)->ran = true;
    } else if (f->type == FRAME_EXECUTED) {
        heard_of(w, f->node)->was_done = true;
    } else if (f->type == FRAME_ERROR && frame_is_terminal(f)) {
        heard_of(w, f->node)->was_blamed = true;
    }
}

void watched_feed(struct watched *w, struct mono_us now, const struct frame *f)
{
    hear(w, f);
    timeline_heard(&w->timeline, now, now.us % 2 == 0);
    if (f->type == FRAME_START) {
        (void)timeline_start(&w->timeline, now, f->stamp_ms);
    } else if (f->type == FRAME_CACHED) {
        timeline_planned(&w->timeline, now, f->stamp_ms, false);
    }
    profiler_feed(w->profiler, now, f);
    if (frame_is_terminal(f)) {
        timeline_end(&w->timeline, now, f->stamp_ms);
    }
}

void watched_history(struct watched *w, struct mono_us now, const struct frame *messages,
                     size_t len, const struct str *done, size_t done_len)
{
    for (size_t i = 0; i < len; i++) {
        hear(w, &messages[i]);
        hear_done(w, messages[i].ids, messages[i].ids_len);
    }
    hear_done(w, done, done_len);
    profiler_history(w->profiler, &w->timeline, now, messages, len, done, done_len);
}

/* ---- what must hold -------------------------------------------------------------------------- */

static bool ordered(struct mono_us a, struct mono_us b)
{
    return a.us <= b.us;
}

static void check_points(const struct profile *p)
{
    must(ordered(p->at.queued, p->at.intent) && ordered(p->at.intent, p->at.accepted));
    must(ordered(p->at.accepted, p->at.started) && ordered(p->at.started, p->at.ended));
    must(p->waiting.us >= 0 && p->dispatch.us >= 0 && p->backend_queue.us >= 0);
    must(p->planning.us >= 0 && p->executing.us >= 0);
    must(p->waiting.us + p->dispatch.us + p->backend_queue.us ==
         mono_diff(p->at.started, p->at.queued).us);
    must(p->planning.us + p->executing.us == mono_diff(p->at.ended, p->at.started).us);
    must(p->unaccounted.us >= 0 && p->unaccounted.us <= p->executing.us);
    must(p->at.has_started || (p->planning.us == 0 && p->executing.us == 0));
}

static void check_slices(const struct profile *p, const struct profile_node *n)
{
    int64_t sum = 0;
    for (size_t i = 0; i < n->slices_len; i++) {
        const struct profile_slice *s = &n->slices[i];
        must(ordered(p->at.started, s->from) && ordered(s->from, s->to));
        must(ordered(s->to, p->at.ended));
        must(i == 0 || n->has_copies || ordered(s[-1].to, s->from));
        sum += mono_diff(s->to, s->from).us;
    }
    must(sum == n->duration.us);
    for (size_t i = 0; i < n->progress_len; i++) {
        must(ordered(p->at.started, n->progress[i].at) && ordered(n->progress[i].at, p->at.ended));
    }
}

/* Nothing is invented: a status and a time have a reason in what was said. */
static void check_reason(struct watched *w, const struct profile_node *n)
{
    static const struct heard silence;
    const struct heard *found = map_get(&w->heard, n->id);
    const struct heard *h = found == NULL ? &silence : found;
    switch (n->status) {
    case PROFILE_PENDING:
        must(!n->has_start && !n->has_end && !n->has_duration);
        break;
    case PROFILE_EXECUTING:
        must(h->ran || n->has_copies);
        break;
    case PROFILE_COMPLETED:
        must(h->ran || h->was_done || n->has_copies);
        break;
    case PROFILE_CACHED:
        must((h->was_done || n->has_copies) && n->duration.us == 0);
        break;
    case PROFILE_FAILED:
        must(h->was_blamed || n->has_copies || (n->expanded && h->ran)); /* it may have thrown */
        break;
    }
    must(!n->has_duration || n->status == PROFILE_CACHED || h->ran || h->was_done || n->has_copies);
    must(!n->has_bounds || (!n->has_duration && n->duration_min.us >= 0));
    must(!n->has_bounds || n->duration_min.us <= n->duration_max.us);
}

static void check_node(struct watched *w, const struct profile *p, size_t i)
{
    const struct profile_node *n = &p->nodes[i];
    must(n->has_start ? n->order == (int32_t)i : n->order == -1);
    must(!n->has_start || (ordered(p->at.started, n->start) && ordered(n->start, p->at.ended)));
    must(!n->has_end || (n->has_start && ordered(n->start, n->end)));
    must(!n->has_duration || (n->has_end && p->at.has_started));
    must(n->has_duration || n->duration.us == 0);
    must(n->duration.us >= 0 && n->self.us >= 0 && n->self.us <= n->duration.us);
    must(i == 0 || !n->has_start || ordered(p->nodes[i - 1].start, n->start));
    check_slices(p, n);
    check_reason(w, n);
}

static void check_counts(const struct profile *p)
{
    must(p->executed + p->cached + p->failed + p->pending == p->total);
    must(p->total == p->workflow->len && p->nodes_len == p->total + p->expanded);
    for (size_t i = 0; i < p->slowest_len; i++) {
        must(p->slowest[i] < p->nodes_len && p->nodes[p->slowest[i]].has_duration);
        must(i == 0 ||
             p->nodes[p->slowest[i - 1]].duration.us >= p->nodes[p->slowest[i]].duration.us);
    }
    for (size_t i = 0; i < p->gaps_len; i++) {
        must(ordered(p->gaps[i].from, p->gaps[i].to) && ordered(p->at.queued, p->gaps[i].from));
        must(ordered(p->gaps[i].to, p->at.ended));
    }
}

/* Every format takes it, and those that are JSON are. */
static void check_formats(const struct profile *p, struct str json)
{
    size_t offset = 0;
    const char *why = NULL;
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    for (int f = FORMAT_JSON; f < FORMAT_COUNT; f++) {
        buf_clear(&out);
        must(render_profile(f, json, &out) == render_has(f));
        must(render_has(f) == (out.len > 0));
        must((f != FORMAT_CHROME && f != FORMAT_SPEEDSCOPE) ||
             js_check(buf_str(&out), 64, &offset, &why));
    }
    const struct render_trace job = {
        .job_id = p->job_id,
        .trace_parent = "",
        .state = "completed",
        .workflow_hash = "",
        .profiles = &json,
        .profiles_len = 1,
        .version = "1",
    };
    buf_clear(&out);
    render_otlp(&job, &out);
    must(js_check(buf_str(&out), 64, &offset, &why));
}

/* Beside itself nothing is added, removed, slower or faster. */
static void check_comparison(struct str json)
{
    size_t offset = 0;
    const char *why = NULL;
    const struct render_comparison c = {.bases = &json, .bases_len = 1, .target = json};
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    must(render_comparison(FORMAT_TEXT, &c, &out) && out.len > 0);
    buf_clear(&out);
    must(render_comparison(FORMAT_JSON, &c, &out));
    must(js_check(buf_str(&out), 64, &offset, &why));
    static const char none[] = "],\"added\":[],\"removed\":[],\"total\":{";
    static const char slower[] = "\"verdict\":\"slower\"";
    static const char faster[] = "\"verdict\":\"faster\"";
    must(memmem(out.data, out.len, none, sizeof none - 1) != NULL);
    must(memmem(out.data, out.len, slower, sizeof slower - 1) == NULL);
    must(memmem(out.data, out.len, faster, sizeof faster - 1) == NULL);
}

static void check_profile(struct watched *w, struct profile *p, struct buf *json)
{
    check_points(p);
    check_counts(p);
    for (size_t i = 0; i < p->nodes_len; i++) {
        check_node(w, p, i);
    }
    p->job_id = "0199aaaa-0000-7000-8000-000000000001";
    p->prompt_id = "11111111-0000-4000-8000-000000000001";
    p->backend = "one";
    p->attempt = 1;
    render_profile_json(p, json);
    size_t offset = 0;
    const char *why = NULL;
    must(js_check(buf_str(json), 64, &offset, &why));
    check_formats(p, buf_str(json));
    check_comparison(buf_str(json));
}

void watched_check(struct watched *w, struct mono_us now, enum attempt_outcome outcome)
{
    struct timeline ended = w->timeline;
    timeline_end(&ended, now, 0);
    ended.clock = server_clock_judge(&w->clock, &ended);
    AUTO_BUF struct buf first;
    AUTO_BUF struct buf second;
    buf_init(&first, BUF_NO_LIMIT);
    buf_init(&second, BUF_NO_LIMIT);
    struct profile p;
    profiler_finish(w->profiler, &ended, outcome, &p);
    check_profile(w, &p, &first);
    profiler_finish(w->profiler, &ended, outcome, &p);
    check_profile(w, &p, &second);
    must(str_eq(buf_str(&first), buf_str(&second)));
}
