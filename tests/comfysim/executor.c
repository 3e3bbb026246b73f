/*
 * Running a graph. See executor.h; the comments name the function of execution.py, graph.py or
 * progress.py that a piece stands for.
 *
 * Invariants: `current` is set in PHASE_GAP, START and WORK only; a node is in `pending` until it
 * is done; frames are only queued here, the loop flushes them. Per zero-length node the cost is
 * three short appends: no system call, no allocation but its progress entry's text.
 */
#include "executor.h"

#include "previews.h"
#include "sim.h"

#include <stdlib.h>
#include <string.h>

struct async_wait {
    struct sim_timer timer;
    struct node *node;
};

/* ---- sending ---------------------------------------------------------------------------- */

static const char *target(const struct executor *x)
{
    return x->job->client_id;
}

static void send_garbage(struct executor *x, const char *sid)
{
    static const char *const texts[] = {
        "{\"type\":",
        "[]",
        "null",
        "{\"type\": \"executing\", \"data\": null}",
        "{\"type\": \"progress\", \"data\": {\"value\": null}}",
        "{\"type\": \"executing\", \"data\": {\"node\": \"3\", \"prompt_id\": \"someone-else\"}}",
        "{\"type\": \"executing\", \"data\": {\"node\": null, \"prompt_id\": \"someone-else\"}}",
        "{\"type\": \"execution_success\", \"data\": {\"prompt_id\": \"someone-else\"}}",
        "{\"type\": \"crystools.monitor\", \"data\": {\"cpu_utilization\": NaN}}"};
    struct server *server = &x->sim->server;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        server_send(server, sid, texts[i], strlen(texts[i]), "", 0, false);
    }
    server_send(server, sid, "\0\0", 2, "", 0, true);
    server_send(server, sid, "\0\0\0\11\1\2\3\4", 8, "", 0, true);
}

void exec_send(struct executor *x, const char *a, size_t a_len, const char *b, size_t b_len,
               bool binary, bool broadcast_if_no_client)
{
    const char *sid = target(x);
    if (!sid && !broadcast_if_no_client) {
        return;
    }
    struct server *server = &x->sim->server;
    if (!binary && lasting_hides(x->sim, a, a_len)) {
        return;
    }
    if (x->fault == FAULT_GARBAGE) {
        send_garbage(x, sid);
    }
    if (x->fault == FAULT_REORDER && !binary) {
        if (x->held.len == 0) {
            text_add(&x->held, a, a_len);
            text_add(&x->held, b, b_len);
            return;
        }
        server_send(server, sid, a, a_len, b, b_len, false);
        server_send(server, sid, x->held.data, x->held.len, "", 0, false);
        text_clear(&x->held);
        return;
    }
    server_send(server, sid, a, a_len, b, b_len, binary);
    if (x->fault == FAULT_DUP) {
        server_send(server, sid, a, a_len, b, b_len, binary);
    }
}

static void release_held(struct executor *x)
{
    if (x->held.len > 0) {
        server_send(&x->sim->server, target(x), x->held.data, x->held.len, "", 0, false);
        text_clear(&x->held);
    }
}

static void send_frame(struct executor *x, bool broadcast)
{
    exec_send(x, x->frame.data, x->frame.len, "", 0, false, broadcast);
}

static void add_id(struct text *t, const struct node *node)
{
    text_add(t, node->id_json, node->id_json_len);
}

static void add_prompt_id(struct executor *x, struct text *t)
{
    TEXT_LIT(t, "\"prompt_id\": ");
    text_add(t, x->job->id_json, x->job->id_json_len);
}

void exec_message(struct executor *x, const char *type, const char *data, size_t len)
{
    struct text *messages = &x->job->messages;
    if (messages->len > 0) {
        TEXT_LIT(messages, ", ");
    }
    TEXT_LIT(messages, "[\"");
    text_str(messages, type);
    TEXT_LIT(messages, "\", ");
    text_add(messages, data, len);
    TEXT_LIT(messages, "]");
}

/* PromptExecutor.add_message: x->data holds the members without the timestamp. */
static void send_message(struct executor *x, const char *type, int64_t timestamp, bool broadcast)
{
    TEXT_LIT(&x->data, ", \"timestamp\": ");
    text_int(&x->data, timestamp);
    TEXT_LIT(&x->data, "}");
    exec_message(x, type, x->data.data, x->data.len);
    text_clear(&x->frame);
    TEXT_LIT(&x->frame, "{\"type\": \"");
    text_str(&x->frame, type);
    TEXT_LIT(&x->frame, "\", \"data\": ");
    text_add(&x->frame, x->data.data, x->data.len);
    TEXT_LIT(&x->frame, "}");
    send_frame(x, broadcast);
}

static void send_executing(struct executor *x, const struct node *node)
{
    if (!target(x)) {
        return;
    }
    x->last_node = node->display->id_json;
    text_clear(&x->frame);
    TEXT_LIT(&x->frame, "{\"type\": \"executing\", \"data\": {\"node\": ");
    add_id(&x->frame, node);
    TEXT_LIT(&x->frame, ", \"display_node\": ");
    add_id(&x->frame, node->display);
    TEXT_LIT(&x->frame, ", ");
    add_prompt_id(x, &x->frame);
    TEXT_LIT(&x->frame, "}}");
    send_frame(x, false);
}

static void send_executed(struct executor *x, const struct node *node, const char *ui)
{
    text_clear(&x->frame);
    TEXT_LIT(&x->frame, "{\"type\": \"executed\", \"data\": {\"node\": ");
    add_id(&x->frame, node);
    TEXT_LIT(&x->frame, ", \"display_node\": ");
    add_id(&x->frame, node->display);
    TEXT_LIT(&x->frame, ", \"output\": ");
    text_str(&x->frame, ui ? ui : "null");
    TEXT_LIT(&x->frame, ", ");
    add_prompt_id(x, &x->frame);
    TEXT_LIT(&x->frame, "}}");
    send_frame(x, false);
}

/* ---- progress_state: a growing snapshot kept as text -------------------------------------- */

static void begin_states(struct executor *x)
{
    x->n_entries = 0;
    text_clear(&x->states);
    TEXT_LIT(&x->states, "{\"type\": \"progress_state\", \"data\": {");
    add_prompt_id(x, &x->states);
    TEXT_LIT(&x->states, ", \"nodes\": {");
}

static void send_states(struct executor *x)
{
    if (server_reaches(&x->sim->server, target(x))) {
        exec_send(x, x->states.data, x->states.len, "}}}", 3, false, true);
    }
}

static void add_value(struct text *t, int value, bool real)
{
    text_int(t, value);
    if (real) {
        TEXT_LIT(t, ".0");
    }
}

/* max < 0: the float 1.0 */
static void entry_head(struct text *t, const struct node *node, int value, int max,
                       const char *state)
{
    add_id(t, node);
    TEXT_LIT(t, ": {\"value\": ");
    add_value(t, value, max < 0);
    TEXT_LIT(t, ", \"max\": ");
    add_value(t, max < 0 ? 1 : max, max < 0);
    TEXT_LIT(t, ", \"state\": \"");
    text_str(t, state);
    TEXT_LIT(t, "\"");
}

static void new_entry(struct executor *x, struct node *node, int value, int max, const char *state)
{
    if (x->n_entries == x->entries_cap) {
        x->entries_cap = x->entries_cap ? x->entries_cap * 2 : 64;
        x->entries = sim_grow(x->entries, (size_t)x->entries_cap * sizeof(struct state_entry));
    }
    struct text *t = &x->states;
    node->state = x->n_entries;
    struct state_entry *entry = &x->entries[x->n_entries++];
    if (x->n_entries > 1) {
        TEXT_LIT(t, ", ");
    }
    entry->at = t->len;
    entry->max = max;
    entry_head(t, node, value, max, state);
    entry->head_len = t->len - entry->at;
    TEXT_LIT(t, ", \"node_id\": ");
    add_id(t, node);
    TEXT_LIT(t, ", ");
    add_prompt_id(x, t);
    TEXT_LIT(t, ", \"display_node_id\": ");
    add_id(t, node->display);
    TEXT_LIT(t, ", \"parent_node_id\": ");
    if (node->parent) {
        add_id(t, node->parent);
    } else {
        TEXT_LIT(t, "null");
    }
    TEXT_LIT(t, ", \"real_node_id\": ");
    add_id(t, node->display);
    TEXT_LIT(t, "}");
    entry->len = t->len - entry->at;
}

static void set_state(struct executor *x, struct node *node, int value, int max, const char *state)
{
    if (node->state < 0) {
        new_entry(x, node, value, max, state);
    } else {
        struct state_entry *entry = &x->entries[node->state];
        struct text *t = &x->states;
        text_clear(&x->frame);
        entry_head(&x->frame, node, value, max, state);
        size_t head = x->frame.len;
        if (head != entry->head_len) {
            text_reserve(t, head);
            char *tail = t->data + entry->at + entry->head_len;
            memmove(t->data + entry->at + head, tail, (size_t)(t->data + t->len - tail));
            t->len = t->len + head - entry->head_len;
            for (int i = node->state + 1; i < x->n_entries; i++) {
                x->entries[i].at = x->entries[i].at + head - entry->head_len;
            }
            entry->len = entry->len + head - entry->head_len;
            entry->head_len = head;
        }
        memcpy(t->data + entry->at, x->frame.data, head);
        entry->max = max;
    }
    send_states(x);
}

/* finish_progress: value becomes max, ints where the node never started. */
static void finish_state(struct executor *x, struct node *node)
{
    int max = node->state < 0 ? 1 : x->entries[node->state].max;
    set_state(x, node, max < 0 ? 1 : max, max, "finished");
}

/* ---- the execution list (graph.py) ------------------------------------------------------ */

static struct cache_entry *cached(const struct executor *x, const struct node *node)
{
    return node->parent ? NULL : cache_find(&x->sim->cache, node->key);
}

static bool is_cached(const struct executor *x, const struct node *node)
{
    return node->done || node->said_cached || cached(x, node);
}

static void add_pending(struct executor *x, struct node *node)
{
    if (x->n_pending == x->pending_cap) {
        x->pending_cap = x->pending_cap ? x->pending_cap * 2 : 64;
        x->pending = sim_grow(x->pending, (size_t)x->pending_cap * sizeof(struct node *));
    }
    x->pending[x->n_pending++] = node;
    node->pending = true;
}

static void add_node(struct executor *x, struct node *node);

static void add_edge(struct executor *x, struct node *from, struct node *to)
{
    for (const struct edge *edge = from->blocking; edge; edge = edge->next) {
        if (edge->to == to) {
            return;
        }
    }
    struct edge *edge = graph_alloc(x->job->graph, sizeof(*edge));
    edge->to = to;
    edge->next = from->blocking;
    from->blocking = edge;
    to->block_count++;
}

static void add_strong_link(struct executor *x, struct node *from, struct node *to)
{
    if (is_cached(x, from)) {
        return;
    }
    add_node(x, from);
    add_edge(x, from, to);
}

/* TopologicalSort.add_node: depth first, the last input first, lazy inputs left out. */
static void add_node(struct executor *x, struct node *node)
{
    if (node->pending || node->done) {
        return;
    }
    size_t n = 1;
    size_t cap = 16;
    struct node **stack = sim_grow(NULL, cap * sizeof(*stack));
    stack[0] = node;
    int first_new = x->n_pending;
    while (n > 0) {
        struct node *next = stack[--n];
        if (next->pending) {
            continue;
        }
        add_pending(x, next);
        for (int i = 0; i < next->n_links && !next->lazy; i++) {
            struct node *from = next->links[i].from;
            if (from && !is_cached(x, from)) {
                if (n == cap) {
                    cap *= 2;
                    stack = sim_grow(stack, cap * sizeof(*stack));
                }
                stack[n++] = from;
            }
        }
    }
    free(stack);
    int last_new = x->n_pending;
    for (int k = first_new; k < last_new; k++) {
        struct node *to = x->pending[k];
        for (int i = 0; i < to->n_links && !to->lazy; i++) {
            struct node *from = to->links[i].from;
            if (from && !is_cached(x, from)) {
                add_edge(x, from, to);
            }
        }
    }
}

static void complete_node(struct executor *x, struct node *node)
{
    int at = 0;
    while (x->pending[at] != node) {
        at++;
    }
    x->n_pending--;
    memmove(&x->pending[at], &x->pending[at + 1],
            (size_t)(x->n_pending - at) * sizeof(struct node *));
    for (const struct edge *edge = node->blocking; edge; edge = edge->next) {
        edge->to->block_count--;
    }
    node->blocking = NULL;
    node->pending = false;
    node->done = true;
}

static bool feeds_output(const struct node *node, int depth)
{
    for (const struct edge *edge = node->blocking; edge; edge = edge->next) {
        if (depth == 0 ? edge->to->is_output : feeds_output(edge->to, depth - 1)) {
            return true;
        }
    }
    return false;
}

/* ux_friendly_pick_node; NULL when none is ready. */
static struct node *pick_node(const struct executor *x)
{
    struct node *first = NULL;
    for (int i = 0; i < x->n_pending; i++) {
        struct node *node = x->pending[i];
        if (node->block_count == 0) {
            if (node->is_output || node->async_ms >= 0) {
                return node;
            }
            first = first ? first : node;
        }
    }
    for (int depth = 0; first && depth < 2; depth++) {
        for (int i = 0; i < x->n_pending; i++) {
            struct node *node = x->pending[i];
            if (node->block_count == 0 && feeds_output(node, depth)) {
                return node;
            }
        }
    }
    return first;
}

/* ---- one node --------------------------------------------------------------------------- */

static void add_file(struct executor *x, const struct node *node, struct text *out)
{
    const char *prefix = json_string_value(json_object_get(node->inputs, "filename_prefix"));
    bool is_preview = !strcmp(node->type, "PreviewImage");
    if (!prefix || is_preview) {
        prefix = is_preview ? "ComfyUI_temp_simul" : "ComfyUI";
    }
    struct text name = {0};
    const char *slash = strrchr(prefix, '/');
    if (node->file) {
        text_str(&name, node->file);
        slash = NULL;
    } else {
        json_t *count = json_object_get(x->sim->prefixes, prefix);
        json_int_t n = json_integer_value(count) + 1;
        if (count) {
            json_integer_set(count, n);
        } else {
            json_object_set_new(x->sim->prefixes, prefix, json_integer(n));
        }
        text_str(&name, slash ? slash + 1 : prefix);
        text_printf(&name, "_%05d_.png", (int)n);
    }
    TEXT_LIT(out, "{\"images\": [{\"filename\": ");
    text_quoted(out, name.data, name.len);
    TEXT_LIT(out, ", \"subfolder\": ");
    text_quoted(out, prefix, slash ? (size_t)(slash - prefix) : 0);
    text_str(out, is_preview ? ", \"type\": \"temp\"}]}" : ", \"type\": \"output\"}]}");
    text_free(&name);
}

/* The ui that a node returns, as JSON in x->ui; NULL: none. */
static const char *make_ui(struct executor *x, const struct node *node)
{
    if (!node->ui && !node->is_output) {
        return NULL;
    }
    text_clear(&x->ui);
    if (node->ui) {
        text_json(&x->ui, node->ui);
    } else if (!strcmp(node->type, "T_Text")) {
        json_int_t size = json_integer_value(json_object_get(node->inputs, "size"));
        TEXT_LIT(&x->ui, "{\"text\": [\"");
        for (json_int_t i = 0; i < size && i < (64 << 20); i++) {
            TEXT_LIT(&x->ui, "x");
        }
        TEXT_LIT(&x->ui, "\"]}");
    } else {
        add_file(x, node, &x->ui);
    }
    return x->ui.data;
}

static void add_to_list(struct text *list, const struct node *node)
{
    if (list->len > 0) {
        TEXT_LIT(list, ", ");
    }
    add_id(list, node);
}

/* The node's result is there: executed, cache, finished. */
static void finish_node(struct executor *x, struct node *node)
{
    const char *ui = node->blocked == BLOCK_NONE || node->block_message ? make_ui(x, node) : NULL;
    if (ui) {
        job_add_ui(x->job, node, ui);
        send_executed(x, node, ui);
    }
    if (!node->parent) {
        cache_put(&x->sim->cache, node, ui);
    }
    truth_node_end(&x->sim->truth, node, "completed");
    finish_state(x, node);
    add_to_list(&x->executed, node);
    complete_node(x, node);
    x->current = NULL;
}

/* A node whose output is in the cache: executed with the old ui, finished, no executing. */
static void reuse_node(struct executor *x, struct node *node, const struct cache_entry *entry)
{
    const char *ui = entry ? entry->ui : make_ui(x, node);
    if (entry) {
        node->blocked = entry->blocked;
        node->blocked_by = entry->blocked_by;
    }
    if (!node->listed) {
        add_to_list(&x->sim->truth.hits, node);
    }
    if (ui) {
        job_add_ui(x->job, node, ui);
    }
    send_executed(x, node, ui);
    truth_node_end(&x->sim->truth, node, "completed");
    finish_state(x, node);
    complete_node(x, node);
    x->current = NULL;
}

static bool is_blocked_input(const struct executor *x, const struct node *from,
                             const char **message)
{
    enum block blocked = from->blocked;
    *message = from->blocked_by;
    if (!from->done) {
        const struct cache_entry *entry = cached(x, from);
        blocked = entry ? entry->blocked : BLOCK_NONE;
        *message = entry ? entry->blocked_by : NULL;
    }
    return blocked != BLOCK_NONE;
}

/* An input is a blocker: the node does not run, and gives a silent one. */
static bool pass_blocker(struct executor *x, struct node *node)
{
    for (int i = 0; i < node->n_links; i++) {
        const char *message = NULL;
        if (!node->links[i].from || !is_blocked_input(x, node->links[i].from, &message)) {
            continue;
        }
        node->blocked = BLOCK_SILENT;
        node->blocked_by = NULL;
        node->block_message = NULL;
        if (message) {
            text_clear(&x->frame);
            TEXT_LIT(&x->frame, "{\"type\": \"execution_error\", \"data\": {");
            add_prompt_id(x, &x->frame);
            TEXT_LIT(&x->frame, ", \"node_id\": ");
            add_id(&x->frame, node);
            text_printf(&x->frame, ", \"node_type\": \"%s\", \"executed\": [", node->type);
            text_add(&x->frame, x->executed.data, x->executed.len);
            TEXT_LIT(&x->frame, "], \"exception_message\": ");
            struct text said = {0};
            text_printf(&said, "Execution Blocked: %s", message);
            text_quoted(&x->frame, said.data, said.len);
            text_free(&said);
            TEXT_LIT(&x->frame, ", \"exception_type\": \"ExecutionBlocked\", \"traceback\": [], "
                                "\"current_inputs\": [], \"current_outputs\": []}}");
            send_frame(x, true);
        }
        return true;
    }
    return false;
}

/* ---- ends ------------------------------------------------------------------------------- */

void exec_finish_job(struct executor *x)
{
    struct sim *sim = x->sim;
    struct job *job = x->job;
    ledger_note(&sim->truth, job->id, job->tag, outcome_name(job->outcome));
    x->last_node = NULL;
    sim->jobs.running = NULL;
    sim->ended++;
    history_put(&sim->jobs, job);
    if (sim->free_memory) {
        cache_clear(&sim->cache);
        sim->free_memory = false;
    }
}

static void close_job(struct executor *x)
{
    struct job *job = x->job;
    x->phase = PHASE_IDLE;
    exec_finish_job(x);
    sim_send_status(x->sim);
    if (job->client_id) { /* history_put may have freed nothing of it: it is the newest */
        text_clear(&x->frame);
        TEXT_LIT(&x->frame, "{\"type\": \"executing\", \"data\": {\"node\": null, ");
        add_prompt_id(x, &x->frame);
        TEXT_LIT(&x->frame, "}}");
        send_frame(x, false);
    }
    release_held(x);
    x->job = NULL;
}

static void set_outcome(struct executor *x, enum outcome outcome)
{
    struct job *job = x->job;
    job->end_ns = mono_ns();
    job->end_ms = lasting_now_ms(x->sim);
    job->outcome = outcome;
    x->end_timestamp = (int64_t)job->end_ms;
    truth_finish(&x->sim->truth, job, x->fault);
}

static void send_success(struct executor *x)
{
    text_clear(&x->data);
    TEXT_LIT(&x->data, "{");
    add_prompt_id(x, &x->data);
    send_message(x, "execution_success", x->end_timestamp, false);
    close_job(x);
}

/* The members that execution_error and execution_interrupted share. */
static void begin_failure(struct executor *x, const struct node *node)
{
    text_clear(&x->data);
    TEXT_LIT(&x->data, "{");
    add_prompt_id(x, &x->data);
    TEXT_LIT(&x->data, ", \"node_id\": ");
    add_id(&x->data, node->display);
    text_printf(&x->data, ", \"node_type\": \"%s\", \"executed\": [", node->display->type);
    text_add(&x->data, x->executed.data, x->executed.len);
    TEXT_LIT(&x->data, "]");
}

static void stop_waits(struct executor *x)
{
    timer_stop(&x->sim->timers, &x->timer);
    timer_stop(&x->sim->timers, &x->text_timer);
    x->waiting = false;
    for (int i = 0; i < x->job->graph->n_nodes; i++) {
        struct node *node = x->job->graph->nodes[i];
        if (node->async_ms >= 0 && node->resume == RESUME_ASYNC) {
            timer_stop(&x->sim->timers, &node->async->timer);
        }
    }
    x->external = 0;
}

static void end_interrupted(struct executor *x, struct node *node)
{
    stop_waits(x);
    set_outcome(x, OUTCOME_INTERRUPTED);
    begin_failure(x, node);
    send_message(x, "execution_interrupted", x->end_timestamp, true);
    close_job(x);
}

/* `type` NULL: what an `_error` is. */
static void end_failed(struct executor *x, struct node *node, const char *type, const char *message)
{
    if (!type) {
        type = strncmp(message, "OOM", 3) ? "RuntimeError" : "torch.cuda.OutOfMemoryError";
    }
    bool oom = strstr(type, "OutOfMemoryError");
    struct text said = {0};
    text_str(&said, message);
    TEXT_LIT(&said, "\n");
    if (oom) {
        TEXT_LIT(&said,
                 "This error means you ran out of memory on your GPU.\n\nTIPS: If the "
                 "workflow worked before you might have accidentally set the batch_size to a large "
                 "number.");
    }
    stop_waits(x);
    truth_node_end(&x->sim->truth, node, "failed");
    set_outcome(x, OUTCOME_ERROR);
    begin_failure(x, node);
    TEXT_LIT(&x->data, ", \"exception_message\": ");
    text_quoted(&x->data, said.data, said.len);
    text_printf(&x->data,
                ", \"exception_type\": \"%s\", \"traceback\": [\"  File "
                "\\\"/opt/ComfyUI/execution.py\\\", line 543, in execute\\n    output_data, "
                "output_ui, has_subgraph, has_pending_tasks = await get_output_data(prompt_id, "
                "unique_id, obj, input_data_all)\\n\"], \"current_inputs\": {",
                type);
    const char *key;
    json_t *value;
    bool first = true;
    json_object_foreach((json_t *)(uintptr_t)node->inputs, key, value)
    {
        text_str(&x->data, first ? "" : ", ");
        first = false;
        text_quoted(&x->data, key, strlen(key));
        TEXT_LIT(&x->data, ": [");
        text_json(&x->data, value);
        TEXT_LIT(&x->data, "]");
    }
    TEXT_LIT(&x->data, "}, \"current_outputs\": [");
    for (int i = 0; i < x->job->graph->n_prompt_nodes; i++) {
        text_str(&x->data, i > 0 ? ", " : "");
        add_id(&x->data, x->job->graph->nodes[i]);
    }
    TEXT_LIT(&x->data, "]");
    text_free(&said);
    send_message(x, "execution_error", x->end_timestamp, false);
    text_add(&x->job->error, x->data.data, x->data.len);
    close_job(x);
}

/* ---- waiting ---------------------------------------------------------------------------- */

static void on_timer(struct sim_timer *timer)
{
    struct executor *x = timer->owner;
    x->waiting = false;
    sim_kick(x->sim);
}

void exec_wait(struct executor *x, uint64_t due_ns)
{
    x->timer.fire = on_timer;
    x->timer.owner = x;
    x->waiting = true;
    timer_start(&x->sim->timers, &x->timer, due_ns);
}

static uint64_t ms_to_ns(double ms)
{
    return ms > 0 ? (uint64_t)(ms * 1e6) : 0;
}

static void on_async_done(struct sim_timer *timer)
{
    struct executor *x = timer->owner;
    struct async_wait *wait = (struct async_wait *)timer; /* its first member */
    wait->node->block_count--;
    x->external--;
    if (x->phase == PHASE_ASYNC) {
        x->phase = PHASE_PICK;
        x->waiting = false;
        sim_kick(x->sim);
    }
}

static void start_async(struct executor *x, struct node *node)
{
    struct async_wait *wait = graph_alloc(x->job->graph, sizeof(*wait));
    wait->node = node;
    wait->timer.fire = on_async_done;
    wait->timer.owner = x;
    node->async = wait;
    node->resume = RESUME_ASYNC;
    node->block_count++;
    x->external++;
    timer_start(&x->sim->timers, &wait->timer, mono_ns() + ms_to_ns(node->async_ms));
}

/* ---- expansion -------------------------------------------------------------------------- */

static void expand_node(struct executor *x, struct node *parent)
{
    struct graph *graph = x->job->graph;
    struct node *before = NULL;
    for (int i = 1; i <= parent->expand; i++) {
        size_t size = strlen(parent->id) + 24;
        char *id = graph_alloc(graph, size);
        snprintf(id, size, "%s.0.0.%d", parent->id, i);
        struct node *child = graph_add_node(graph, id);
        child->type = "Child";
        child->class = class_find("Child");
        child->inputs = parent->inputs;
        child->parent = parent;
        child->display = parent->display;
        child->ms = parent->child_ms;
        child->steps = parent->child_steps;
        child->usage = parent->usage;
        child->is_output = parent->child_output;
        child->error = i == parent->expand ? parent->child_error : NULL;
        if (before) { /* a chain, as the recorded ones */
            child->links = graph_alloc(graph, sizeof(struct link));
            child->links[0] = (struct link){.from = before, .from_id = before->id};
            child->n_links = 1;
        }
        before = child;
    }
    parent->resume = RESUME_SUBGRAPH;
    if (before) {
        add_strong_link(x, before, parent);
    }
}

/* ---- the job ---------------------------------------------------------------------------- */

/* A storm decided when it was posted; a single fault counts jobs. */
static struct strike next_strike(const struct executor *x, const struct job *job)
{
    return job->strike.mode != FAULT_NONE ? job->strike : faults_at_job(&x->sim->faults);
}

static void begin_job(struct executor *x, struct job *job)
{
    struct sim *sim = x->sim;
    x->job = job;
    sim->jobs.running = job;
    const struct strike strike = next_strike(x, job);
    x->fault = strike.mode;
    x->fault_ms = strike.arg_ms;
    x->stalled_until = 0;
    faults_count_job(&sim->faults);
    if (x->fault != FAULT_NONE) {
        faults_note(&sim->faults, x->fault);
    }
    x->fault_done = false;
    x->interrupt = false;
    x->n_pending = 0;
    x->external = 0;
    x->current = NULL;
    text_clear(&x->executed);
    text_clear(&x->held);
    truth_begin(&sim->truth);
    sim_send_status(sim);
    ledger_note(&sim->truth, job->id, job->tag, "started");
    x->phase = PHASE_BEGIN;
    if (x->overhead_ms > 0) {
        exec_wait(x, mono_ns() + ms_to_ns(x->overhead_ms));
    }
}

static void start_job(struct executor *x)
{
    struct sim *sim = x->sim;
    struct job *job = x->job;
    job->start_ns = mono_ns();
    job->start_ms = lasting_now_ms(sim);
    free(x->last_client);
    x->last_client = job->client_id ? sim_strndup(job->client_id, strlen(job->client_id)) : NULL;
    if (sim->replay) {
        x->phase = PHASE_REPLAY;
        replay_begin(x);
        return;
    }
    text_clear(&x->data);
    TEXT_LIT(&x->data, "{");
    add_prompt_id(x, &x->data);
    send_message(x, "execution_start", (int64_t)job->start_ms, false);
    if (x->fault == FAULT_DEAD_WORKER) {
        x->phase = PHASE_DEAD;
        return;
    }
    sim->gauges.told = sim->gauges.told || job->graph->measured;
    cache_keep(&sim->cache, job->graph);
    struct text *list = &sim->truth.cached;
    for (int i = 0; i < job->graph->n_nodes; i++) {
        if (is_cached(x, job->graph->nodes[i])) {
            add_to_list(list, job->graph->nodes[i]);
            job->graph->nodes[i]->listed = true;
        }
    }
    text_clear(&x->data);
    TEXT_LIT(&x->data, "{\"nodes\": [");
    text_add(&x->data, list->data, list->len);
    TEXT_LIT(&x->data, "], ");
    add_prompt_id(x, &x->data);
    send_message(x, "execution_cached", (int64_t)lasting_now_ms(sim), false);
    begin_states(x);
    for (int i = 0; i < job->graph->n_outputs; i++) {
        add_node(x, job->graph->outputs[i]);
    }
    x->phase = PHASE_PICK;
}

static void phase_pick(struct executor *x)
{
    if (x->n_pending == 0) {
        x->phase = PHASE_END;
        return;
    }
    struct node *node = pick_node(x);
    if (!node) {
        x->phase = PHASE_ASYNC;
        x->waiting = true;
        return;
    }
    x->current = node;
    const struct cache_entry *entry = cached(x, node);
    if (entry || node->said_cached) {
        reuse_node(x, node, entry);
        return;
    }
    if (node->resume == RESUME_ASYNC || node->resume == RESUME_SUBGRAPH) {
        finish_node(x, node);
        return;
    }
    if (node->gap_ms > 0 && !node->gap_done) {
        node->gap_done = true;
        x->phase = PHASE_GAP;
        exec_wait(x, mono_ns() + ms_to_ns(node->gap_ms));
        return;
    }
    x->phase = PHASE_START;
}

/* ---- progress texts (send_progress_text) ------------------------------------------------ */

static void on_text(struct sim_timer *timer);

static void wait_for_text(struct executor *x, const struct node *node)
{
    x->text_timer.fire = on_text;
    x->text_timer.owner = x;
    timer_stop(&x->sim->timers, &x->text_timer);
    timer_start(&x->sim->timers, &x->text_timer, mono_ns() + ms_to_ns(node->text_ms));
}

/* Binary type 3: u32 type, u32 length, node id, text. */
static void on_text(struct sim_timer *timer)
{
    static const char said[] = "Task in progress";
    struct executor *x = timer->owner;
    const struct node *node = exec_running_node(x);
    if (!node || !(node->text_ms > 0)) {
        return;
    }
    const size_t len = strlen(node->id);
    text_clear(&x->frame);
    TEXT_LIT(&x->frame, "\0\0\0\3\0\0");
    const char length[2] = {(char)(len >> 8), (char)len};
    text_add(&x->frame, length, 2);
    text_add(&x->frame, node->id, len);
    exec_send(x, x->frame.data, x->frame.len, said, sizeof(said) - 1, true, true);
    wait_for_text(x, node);
}

static void cut_sockets(struct executor *x)
{
    server_cut_sockets(&x->sim->server);
}

static void silence_sockets(struct executor *x)
{
    server_silence(&x->sim->server, x->fault == FAULT_HALF_OPEN);
}

static void unregister_sockets(struct executor *x)
{
    server_unregister(&x->sim->server);
}

static void crash(struct executor *x)
{
    sim_crash(x->sim, x->fault_ms);
}

static void stand_still(struct executor *x)
{
    x->phase = PHASE_FOREVER;
    x->waiting = true;
}

static void kill_worker(struct executor *x)
{
    x->phase = PHASE_DEAD;
}

static void run_out_of_memory(struct executor *x)
{
    end_failed(x, x->current, NULL, "OOM: CUDA out of memory. Tried to allocate 2.00 GiB");
}

static void fail_sick(struct executor *x)
{
    end_failed(x, x->current, x->sim->lasting.sick_type, x->sim->lasting.sick_message);
}

/* Without a storm until the fault changes. */
static void break_device(struct executor *x)
{
    lasting_sicken(x->sim, x->job->strike.mode == FAULT_SICK ? x->fault_ms : 0);
    fail_sick(x);
}

static void hold_frames(struct executor *x)
{
    lasting_hold(x->sim, x->fault_ms);
}

static void step_clock(struct executor *x)
{
    x->sim->lasting.skew_ms += x->fault_ms;
}

static void ignore_interrupts(struct executor *x)
{
    for (int i = 0; i < x->job->graph->n_nodes; i++) {
        x->job->graph->nodes[i]->uninterruptible = true;
    }
}

/* What strikes when the first node starts; `last`: nothing else happens now. */
static const struct {
    enum fault fault;
    void (*strike)(struct executor *x);
    bool last;
} at_first_node[] = {
    {FAULT_DROP_WS, cut_sockets, false},
    {FAULT_SILENT_WS, silence_sockets, false},
    {FAULT_HALF_OPEN, silence_sockets, false},
    {FAULT_MUTE, unregister_sockets, false},
    {FAULT_IGNORE_INTERRUPT, ignore_interrupts, false},
    {FAULT_CRASH, crash, true},
    {FAULT_VANISH, crash, true},
    {FAULT_HANG, stand_still, true},
    {FAULT_DEAD_WORKER_MID, kill_worker, true},
    {FAULT_OOM, run_out_of_memory, true},
    {FAULT_SICK, break_device, true},
    {FAULT_HOLD, hold_frames, false},
    {FAULT_CLOCK_STEP, step_clock, false},
};

/* True: nothing else happens now. */
static bool strike(struct executor *x)
{
    x->fault_done = true;
    if (lasting_is_sick(x->sim)) {
        fail_sick(x);
        return true;
    }
    for (size_t i = 0; i < sizeof(at_first_node) / sizeof(at_first_node[0]); i++) {
        if (at_first_node[i].fault == x->fault) {
            server_flush(&x->sim->server);
            at_first_node[i].strike(x);
            return at_first_node[i].last;
        }
    }
    return false;
}

static void phase_start(struct executor *x)
{
    struct node *node = x->current;
    truth_node_start(&x->sim->truth, node);
    set_state(x, node, 0, -1, "running");
    send_executing(x, node);
    if (!x->fault_done && strike(x)) {
        return;
    }
    x->phase = PHASE_PICK;
    if (pass_blocker(x, node)) {
        finish_node(x, node);
        return;
    }
    if (node->lazy && node->resume == RESUME_NOT) {
        node->resume = RESUME_LAZY;
        truth_node_end(&x->sim->truth, node, "completed");
        for (int i = 0; i < node->n_links; i++) {
            if (node->links[i].from) {
                add_strong_link(x, node->links[i].from, node);
            }
        }
        return;
    }
    if (x->interrupt) {
        end_interrupted(x, node);
        return;
    }
    if (node->text_ms > 0) {
        wait_for_text(x, node);
    }
    if (node->async_ms >= 0) {
        start_async(x, node);
        return;
    }
    x->step = 0;
    x->start_ns = node->ms > 0 ? mono_ns() : 0;
    x->phase = PHASE_WORK;
}

static void send_step(struct executor *x, struct node *node)
{
    set_state(x, node, x->step, node->steps, "running");
    previews_send(x, node, true);
    text_clear(&x->frame);
    TEXT_LIT(&x->frame, "{\"type\": \"progress\", \"data\": {\"value\": ");
    text_int(&x->frame, x->step);
    TEXT_LIT(&x->frame, ", \"max\": ");
    text_int(&x->frame, node->steps);
    TEXT_LIT(&x->frame, ", ");
    add_prompt_id(x, &x->frame);
    TEXT_LIT(&x->frame, ", \"node\": ");
    add_id(&x->frame, node);
    TEXT_LIT(&x->frame, "}}");
    send_frame(x, true);
    previews_send(x, node, false);
}

/* "type: message" */
static void throw_exception(struct executor *x, struct node *node)
{
    const char *colon = strstr(node->exception, ": ");
    const size_t len = colon ? (size_t)(colon - node->exception) : strlen(node->exception);
    char *type = sim_strndup(node->exception, len);
    end_failed(x, node, type, colon ? colon + 2 : "");
    free(type);
}

static void after_work(struct executor *x, struct node *node)
{
    x->phase = PHASE_PICK;
    if (node->error) {
        end_failed(x, node, NULL, node->error);
        return;
    }
    if (node->exception) {
        throw_exception(x, node);
        return;
    }
    if (node->block_message) {
        node->blocked = node->block_message[0] ? BLOCK_MESSAGE : BLOCK_SILENT;
        node->blocked_by = node->block_message[0] ? node->block_message : NULL;
    }
    if (node->expand > 0) {
        expand_node(x, node);
        return;
    }
    finish_node(x, node);
}

/* Entered at the start of the work, after each wait, and by an interrupt. */
static void phase_work(struct executor *x)
{
    struct node *node = x->current;
    int parts = node->steps > 0 ? node->steps : 1;
    for (;;) {
        if (x->step == parts) {
            after_work(x, node);
            return;
        }
        double part_ms = node->ms * (x->step + 1) / parts;
        uint64_t due = node->ms > 0 ? x->start_ns + ms_to_ns(part_ms) : 0;
        bool notices = x->interrupt && !node->uninterruptible;
        if (notices && node->steps == 0) {
            end_interrupted(x, node);
            return;
        }
        if (due > 0 && due > mono_ns()) {
            exec_wait(x, due);
            return;
        }
        if (notices) {
            end_interrupted(x, node);
            return;
        }
        x->step++;
        if (node->steps > 0) {
            send_step(x, node);
        }
    }
}

static void phase_end(struct executor *x)
{
    if (x->fault == FAULT_NEVER_FINISH) {
        x->phase = PHASE_FOREVER;
        x->waiting = true;
        return;
    }
    set_outcome(x, OUTCOME_SUCCESS);
    if (x->fault == FAULT_LATE_FINISH) {
        x->phase = PHASE_LATE;
        exec_wait(x, mono_ns() + ms_to_ns(x->fault_ms));
        return;
    }
    send_success(x);
}

static void on_stalled(struct sim_timer *timer)
{
    sim_kick(((struct executor *)timer->owner)->sim);
}

/* stall-start: for ever, or (in a storm) for its time. */
static bool is_stalled(struct executor *x)
{
    const struct job *next = x->sim->jobs.heap[0];
    if (next_strike(x, next).mode != FAULT_STALL_START) {
        return false;
    }
    if (next->strike.mode == FAULT_NONE) {
        return true;
    }
    const uint64_t now = mono_ns();
    if (x->stalled_until == 0) {
        x->stalled_until = now + ms_to_ns(next->strike.arg_ms);
        x->stall.fire = on_stalled;
        x->stall.owner = x;
        timer_start(&x->sim->timers, &x->stall, x->stalled_until);
    }
    return now < x->stalled_until;
}

static bool may_begin(struct executor *x)
{
    const struct sim *sim = x->sim;
    return sim->jobs.n_heap > 0 && !sim->paused && !sim->down && !is_stalled(x);
}

bool exec_run(struct executor *x)
{
    if (x->phase == PHASE_IDLE) {
        if (!may_begin(x)) {
            return false;
        }
        begin_job(x, jobs_pop(&x->sim->jobs));
    }
    while (!x->waiting) {
        switch (x->phase) {
        case PHASE_IDLE:
            return may_begin(x);
        case PHASE_BEGIN:
            start_job(x);
            break;
        case PHASE_PICK:
            phase_pick(x);
            break;
        case PHASE_GAP:
        case PHASE_START:
            phase_start(x);
            break;
        case PHASE_WORK:
            phase_work(x);
            break;
        case PHASE_END:
            phase_end(x);
            break;
        case PHASE_LATE:
            send_success(x);
            break;
        case PHASE_REPLAY:
            replay_step(x);
            break;
        case PHASE_ASYNC:
        case PHASE_FOREVER:
        case PHASE_DEAD:
            return false;
        }
    }
    return false;
}

static const struct node *waiting_async(const struct executor *x)
{
    for (int i = 0; i < x->n_pending; i++) {
        if (x->pending[i]->resume == RESUME_ASYNC && x->pending[i]->block_count > 0) {
            return x->pending[i];
        }
    }
    return NULL;
}

const struct node *exec_running_node(const struct executor *x)
{
    switch (x->phase) {
    case PHASE_WORK:
    case PHASE_FOREVER:
    case PHASE_DEAD:
        return x->current;
    case PHASE_ASYNC:
        return waiting_async(x);
    case PHASE_IDLE:
    case PHASE_BEGIN:
    case PHASE_PICK:
    case PHASE_GAP:
    case PHASE_START:
    case PHASE_END:
    case PHASE_LATE:
    case PHASE_REPLAY:
        return NULL;
    }
    return NULL;
}

/* The node that an interrupt is blamed on while no node is current. */
static struct node *blamed_node(const struct executor *x)
{
    if (x->current) {
        return x->current;
    }
    return x->n_pending > 0 ? x->pending[0] : x->job->graph->outputs[0];
}

void exec_interrupt(struct executor *x)
{
    x->interrupt = true;
    if (!x->job) {
        return;
    }
    switch (x->phase) {
    case PHASE_FOREVER:
    case PHASE_ASYNC:
        x->waiting = false;
        if (x->sim->replay) {
            x->phase = PHASE_REPLAY;
        } else {
            end_interrupted(x, blamed_node(x));
        }
        break;
    case PHASE_GAP:
    case PHASE_WORK:
    case PHASE_REPLAY: {
        bool at_step = x->phase == PHASE_WORK && x->current->steps > 0;
        bool deaf = x->phase == PHASE_WORK && x->current->uninterruptible;
        if (!at_step && !deaf) {
            timer_stop(&x->sim->timers, &x->timer);
            x->waiting = false;
        }
        break;
    }
    case PHASE_IDLE:
    case PHASE_BEGIN:
    case PHASE_PICK:
    case PHASE_START:
    case PHASE_END:
    case PHASE_LATE:
    case PHASE_DEAD:
        break;
    }
    sim_kick(x->sim);
}

void exec_init(struct executor *x, struct sim *sim)
{
    *x = (struct executor){.sim = sim};
}

void exec_reset(struct executor *x)
{
    if (x->job) {
        if (x->job->graph) {
            stop_waits(x);
        }
        ledger_note(&x->sim->truth, x->job->id, x->job->tag, "crashed");
        job_free(x->job);
    }
    timer_stop(&x->sim->timers, &x->timer);
    timer_stop(&x->sim->timers, &x->text_timer);
    timer_stop(&x->sim->timers, &x->stall);
    x->stalled_until = 0;
    x->job = NULL;
    x->sim->jobs.running = NULL;
    x->current = NULL;
    x->waiting = false;
    x->interrupt = false;
    x->last_node = NULL;
    x->phase = PHASE_IDLE;
    text_clear(&x->held);
}

void exec_free(struct executor *x)
{
    text_free(&x->frame);
    text_free(&x->data);
    text_free(&x->states);
    text_free(&x->executed);
    text_free(&x->held);
    text_free(&x->ui);
    free(x->entries);
    free(x->pending);
    free(x->last_client);
}
