/*
 * Jobs at rest: the heap that is the queue, the history's dict, and their JSON. See history.h.
 * Cost: push and pop O(log n); a lookup in the history O(1); GET of n entries prints n prompts.
 */
#include "history.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void job_free(struct job *job)
{
    if (!job) {
        return;
    }
    graph_free(job->graph);
    json_decref(job->prompt);
    json_decref(job->extra);
    free(job->id);
    free(job->id_json);
    free(job->outputs_to_execute);
    free(job->client_id);
    free(job->tag);
    text_free(&job->outputs);
    text_free(&job->meta);
    text_free(&job->messages);
    text_free(&job->error);
    free(job);
}

const char *outcome_name(enum outcome outcome)
{
    static const char *const names[] = {"none", "success", "error", "interrupted"};
    return names[outcome];
}

void job_number(const struct job *job, struct text *out)
{
    if (job->number_is_real) {
        text_real(out, job->number);
    } else {
        text_int(out, (int64_t)job->number);
    }
}

void job_item(const struct job *job, struct text *out)
{
    TEXT_LIT(out, "[");
    job_number(job, out);
    TEXT_LIT(out, ", ");
    text_add(out, job->id_json, job->id_json_len);
    TEXT_LIT(out, ", ");
    text_json(out, job->prompt);
    TEXT_LIT(out, ", ");
    text_json(out, job->extra);
    TEXT_LIT(out, ", ");
    text_str(out, job->outputs_to_execute);
    TEXT_LIT(out, "]");
}

/* What /api/jobs shows: how many files there are, and the first of type output, else anything. */
static int find_preview(const struct job *job, struct text *preview)
{
    struct text all = {0};
    TEXT_LIT(&all, "{");
    text_add(&all, job->outputs.data, job->outputs.len);
    TEXT_LIT(&all, "}");
    json_t *outputs = text_json_load(all.data, all.len);
    text_free(&all);
    const char *id, *media, *best_id = NULL, *best_media = NULL;
    const json_t *best = NULL;
    json_t *ui, *list;
    bool best_is_output = false;
    int count = 0;
    json_object_foreach(outputs, id, ui)
    {
        json_object_foreach(ui, media, list)
        {
            for (size_t i = 0; i < json_array_size(list); i++) {
                const json_t *item = json_array_get(list, i);
                const char *type = json_string_value(json_object_get(item, "type"));
                bool is_output = type && !strcmp(type, "output");
                count += json_object_get(item, "filename") != NULL;
                if (!best || (is_output && !best_is_output)) {
                    best = item;
                    best_id = id;
                    best_media = media;
                    best_is_output = is_output;
                }
            }
        }
    }
    if (best) {
        json_t *shown = json_is_object(best) ? json_deep_copy(best) : json_object();
        if (!json_is_object(best)) {
            json_object_set(shown, "content", (json_t *)(uintptr_t)best);
        }
        json_object_set_new(shown, "nodeId", json_string(best_id));
        json_object_set_new(shown, "mediaType", json_string(best_media));
        text_json(preview, shown);
        json_decref(shown);
    }
    json_decref(outputs);
    return count;
}

void job_add_ui_text(struct job *job, const char *id_json, const char *meta, const char *ui)
{
    if (job->outputs.len > 0) {
        TEXT_LIT(&job->outputs, ", ");
        TEXT_LIT(&job->meta, ", ");
    }
    text_str(&job->outputs, id_json);
    TEXT_LIT(&job->outputs, ": ");
    text_str(&job->outputs, ui);
    text_str(&job->meta, id_json);
    TEXT_LIT(&job->meta, ": ");
    text_str(&job->meta, meta);
}

void job_add_ui(struct job *job, const struct node *node, const char *ui)
{
    struct text meta = {0};
    text_printf(&meta,
                "{\"node_id\": %s, \"display_node\": %s, \"parent_node\": %s, "
                "\"real_node_id\": %s}",
                node->id_json, node->display->id_json,
                node->parent ? node->parent->id_json : "null", node->display->id_json);
    job_add_ui_text(job, node->id_json, meta.data, ui);
    text_free(&meta);
}

/* ---- the queue: Python's heapq ---------------------------------------------------------- */

static int order(const struct job *a, const struct job *b, bool *tie)
{
    if (a->number < b->number) {
        return -1;
    }
    if (a->number > b->number || isnan(a->number) || isnan(b->number)) {
        return 1;
    }
    int by_id = strcmp(a->id, b->id);
    *tie = *tie || by_id == 0;
    return by_id;
}

static bool sift_down(struct jobs *jobs, size_t start, size_t at)
{
    bool tie = false;
    struct job *job = jobs->heap[at];
    while (at > start) {
        size_t parent = (at - 1) / 2;
        if (order(job, jobs->heap[parent], &tie) >= 0) {
            break;
        }
        jobs->heap[at] = jobs->heap[parent];
        at = parent;
    }
    jobs->heap[at] = job;
    return !tie;
}

static void sift_up(struct jobs *jobs, size_t at)
{
    bool tie = false;
    size_t start = at;
    struct job *job = jobs->heap[at];
    size_t child = at * 2 + 1;
    while (child < jobs->n_heap) {
        size_t right = child + 1;
        if (right < jobs->n_heap && order(jobs->heap[child], jobs->heap[right], &tie) >= 0) {
            child = right;
        }
        jobs->heap[at] = jobs->heap[child];
        at = child;
        child = at * 2 + 1;
    }
    jobs->heap[at] = job;
    sift_down(jobs, start, at);
}

bool jobs_push(struct jobs *jobs, struct job *job)
{
    if (jobs->n_heap == jobs->heap_cap) {
        jobs->heap_cap = jobs->heap_cap ? jobs->heap_cap * 2 : 16;
        jobs->heap = sim_grow(jobs->heap, jobs->heap_cap * sizeof(struct job *));
    }
    jobs->heap[jobs->n_heap++] = job;
    return sift_down(jobs, 0, jobs->n_heap - 1);
}

struct job *jobs_pop(struct jobs *jobs)
{
    if (jobs->n_heap == 0) {
        return NULL;
    }
    struct job *last = jobs->heap[--jobs->n_heap];
    if (jobs->n_heap == 0) {
        return last;
    }
    struct job *first = jobs->heap[0];
    jobs->heap[0] = last;
    sift_up(jobs, 0);
    return first;
}

struct job *jobs_pending(const struct jobs *jobs, const char *id)
{
    for (size_t i = 0; i < jobs->n_heap; i++) {
        if (!strcmp(jobs->heap[i]->id, id)) {
            return jobs->heap[i];
        }
    }
    return NULL;
}

struct job *jobs_take(struct jobs *jobs, const char *id)
{
    struct job *job = jobs_pending(jobs, id);
    if (!job) {
        return NULL;
    }
    size_t at = 0;
    while (jobs->heap[at] != job) {
        at++;
    }
    jobs->n_heap--;
    memmove(&jobs->heap[at], &jobs->heap[at + 1], (jobs->n_heap - at) * sizeof(struct job *));
    for (size_t i = jobs->n_heap / 2; i-- > 0;) {
        sift_up(jobs, i);
    }
    return job;
}

size_t jobs_remaining(const struct jobs *jobs)
{
    return jobs->n_heap + (jobs->running != NULL);
}

/* ---- the history ------------------------------------------------------------------------ */

static struct job **bucket_of(struct jobs *jobs, const char *id)
{
    uint32_t h = 2166136261U;
    for (const char *at = id; *at; at++) {
        h = (h ^ (unsigned char)*at) * 16777619U;
    }
    return &jobs->buckets[h % HISTORY_BUCKETS];
}

struct job *history_find(const struct jobs *jobs, const char *id)
{
    struct job *job = *bucket_of((struct jobs *)(uintptr_t)jobs, id);
    while (job && strcmp(job->id, id) != 0) {
        job = job->same_bucket;
    }
    return job;
}

static void unlink_job(struct jobs *jobs, struct job *job)
{
    struct job **at = bucket_of(jobs, job->id);
    while (*at != job) {
        at = &(*at)->same_bucket;
    }
    *at = job->same_bucket;
    *(job->older ? &job->older->newer : &jobs->oldest) = job->newer;
    *(job->newer ? &job->newer->older : &jobs->newest) = job->older;
    jobs->n_history--;
}

void history_put(struct jobs *jobs, struct job *take_job)
{
    struct job *old = history_find(jobs, take_job->id);
    struct job *older = jobs->newest;
    struct job *newer = NULL;
    if (!old && jobs->n_history > HISTORY_MAX) {
        struct job *evicted = jobs->oldest;
        unlink_job(jobs, evicted);
        job_free(evicted);
        older = jobs->newest;
    }
    if (old) {
        older = old->older;
        newer = old->newer;
        unlink_job(jobs, old);
        job_free(old);
    }
    take_job->older = older;
    take_job->newer = newer;
    *(older ? &older->newer : &jobs->oldest) = take_job;
    *(newer ? &newer->older : &jobs->newest) = take_job;
    struct job **bucket = bucket_of(jobs, take_job->id);
    take_job->same_bucket = *bucket;
    *bucket = take_job;
    jobs->n_history++;
    graph_free(take_job->graph); /* only the run needs it */
    take_job->graph = NULL;
}

void history_delete(struct jobs *jobs, const char *id)
{
    struct job *job = history_find(jobs, id);
    if (job) {
        unlink_job(jobs, job);
        job_free(job);
    }
}

void jobs_clear(struct jobs *jobs, bool queue, bool history)
{
    while (queue && jobs->n_heap > 0) {
        job_free(jobs->heap[--jobs->n_heap]);
    }
    while (history && jobs->oldest) {
        struct job *job = jobs->oldest;
        unlink_job(jobs, job);
        job_free(job);
    }
    if (queue && jobs->n_heap == 0) {
        free(jobs->heap);
        jobs->heap = NULL;
        jobs->heap_cap = 0;
    }
}

/* ---- JSON ------------------------------------------------------------------------------- */

void queue_json(const struct jobs *jobs, struct text *out)
{
    TEXT_LIT(out, "{\"queue_running\": [");
    if (jobs->running) {
        job_item(jobs->running, out);
    }
    TEXT_LIT(out, "], \"queue_pending\": [");
    for (size_t i = 0; i < jobs->n_heap; i++) {
        if (i > 0) {
            TEXT_LIT(out, ", ");
        }
        job_item(jobs->heap[i], out);
    }
    TEXT_LIT(out, "]}");
}

static void status_json(const struct job *job, struct text *out)
{
    bool ok = job->outcome == OUTCOME_SUCCESS;
    text_printf(out, "{\"status_str\": \"%s\", \"completed\": %s, \"messages\": [",
                ok ? "success" : "error", ok ? "true" : "false");
    text_add(out, job->messages.data, job->messages.len);
    TEXT_LIT(out, "]}");
}

void history_entry_json(const struct job *job, struct text *out)
{
    text_add(out, job->id_json, job->id_json_len);
    TEXT_LIT(out, ": {\"prompt\": ");
    job_item(job, out);
    TEXT_LIT(out, ", \"outputs\": {");
    text_add(out, job->outputs.data, job->outputs.len);
    TEXT_LIT(out, "}, \"status\": ");
    status_json(job, out);
    TEXT_LIT(out, ", \"meta\": {");
    text_add(out, job->meta.data, job->meta.len);
    TEXT_LIT(out, "}}");
}

void history_json(const struct jobs *jobs, int64_t max_items, int64_t offset, struct text *out)
{
    if (offset < 0 && max_items >= 0) {
        offset = (int64_t)jobs->n_history - max_items;
    }
    int64_t i = 0;
    int64_t shown = 0;
    TEXT_LIT(out, "{");
    for (const struct job *job = jobs->oldest; job; job = job->newer, i++) {
        if (i < offset) {
            continue;
        }
        if (shown++ > 0) {
            TEXT_LIT(out, ", ");
        }
        history_entry_json(job, out);
        if (max_items >= 0 && shown >= max_items) {
            break;
        }
    }
    TEXT_LIT(out, "}");
}

static const char *status_of(const struct jobs *jobs, const struct job *job)
{
    static const char *const ended[] = {"pending", "completed", "failed", "cancelled"};
    return jobs->running == job ? "in_progress" : ended[job->outcome];
}

void job_json(const struct jobs *jobs, const struct job *job, bool full, struct text *out)
{
    TEXT_LIT(out, "{\"id\": ");
    text_add(out, job->id_json, job->id_json_len);
    text_printf(out, ", \"status\": \"%s\", \"priority\": ", status_of(jobs, job));
    job_number(job, out);
    TEXT_LIT(out, ", \"create_time\": ");
    text_int(out, job->create_ms);
    bool ended = job->outcome != OUTCOME_NONE && jobs->running != job;
    if (ended) {
        TEXT_LIT(out, ", \"execution_start_time\": ");
        text_int(out, (int64_t)job->start_ms);
        TEXT_LIT(out, ", \"execution_end_time\": ");
        text_int(out, (int64_t)job->end_ms);
        if (job->error.len > 0) {
            TEXT_LIT(out, ", \"execution_error\": ");
            text_add(out, job->error.data, job->error.len);
        }
    }
    struct text preview = {0};
    int count = ended ? find_preview(job, &preview) : 0;
    text_printf(out, ", \"outputs_count\": %d", count);
    if (preview.len > 0) {
        TEXT_LIT(out, ", \"preview_output\": ");
        text_add(out, preview.data, preview.len);
    }
    text_free(&preview);
    if (full && ended) {
        TEXT_LIT(out, ", \"outputs\": {");
        text_add(out, job->outputs.data, job->outputs.len);
        TEXT_LIT(out, "}, \"execution_status\": ");
        status_json(job, out);
        TEXT_LIT(out, ", \"workflow\": {\"prompt\": ");
        text_json(out, job->prompt);
        TEXT_LIT(out, ", \"extra_data\": ");
        text_json(out, job->extra);
        TEXT_LIT(out, "}");
    }
    TEXT_LIT(out, "}");
}

static int newest_first(const void *a, const void *b)
{
    const struct job *left = *(struct job *const *)a;
    const struct job *right = *(struct job *const *)b;
    if (left->create_ms != right->create_ms) {
        return left->create_ms > right->create_ms ? -1 : 1;
    }
    return left->queued_ns > right->queued_ns ? -1 : left->queued_ns < right->queued_ns;
}

static bool wanted(const char *list, const char *status)
{
    size_t len = strlen(status);
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        if (!strncmp(at, status, len) && (at[len] == ',' || at[len] == '\0')) {
            return true;
        }
    }
    return !list;
}

void jobs_json(const struct jobs *jobs, const char *status, int64_t limit, int64_t offset,
               struct text *out)
{
    size_t most = jobs->n_history + jobs->n_heap + 1;
    const struct job **all = sim_alloc(most * sizeof(*all));
    size_t n = 0;
    for (size_t i = 0; i < jobs->n_heap; i++) {
        all[n++] = jobs->heap[i];
    }
    if (jobs->running) {
        all[n++] = jobs->running;
    }
    for (const struct job *job = jobs->newest; job; job = job->older) {
        all[n++] = job;
    }
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        if (wanted(status, status_of(jobs, all[i]))) {
            all[total++] = all[i];
        }
    }
    qsort(all, total, sizeof(*all), newest_first);
    TEXT_LIT(out, "{\"jobs\": [");
    size_t first = offset > 0 ? (size_t)offset : 0;
    size_t last = limit >= 0 && first + (size_t)limit < total ? first + (size_t)limit : total;
    for (size_t i = first; i < last; i++) {
        if (i > first) {
            TEXT_LIT(out, ", ");
        }
        job_json(jobs, all[i], false, out);
    }
    text_printf(out, "], \"pagination\": {\"offset\": %zu, \"limit\": ", first);
    if (limit >= 0) {
        text_int(out, limit);
    } else {
        TEXT_LIT(out, "null");
    }
    text_printf(out, ", \"total\": %zu, \"has_more\": %s}}", total,
                last < total ? "true" : "false");
    free(all);
}
