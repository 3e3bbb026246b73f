/*
 * Reading and validating a prompt, as execution.py's validate_prompt does, and cache keys.
 *
 * Leaves running to executor.c. Cost: linear in nodes and links; node ids are looked up in a small
 * hash table that lives only while the prompt is read.
 */
#include "graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PREVIEW_BYTES 1000U
#define PREVIEW_BYTES_MIN 34U /* what makes it look like a JPEG */
#define PREVIEW_BYTES_MAX (64U << 20)
#define MAX_DEPTH 8000 /* Python's recursion limit is lower; ours must spare the stack */

struct arena_chunk {
    struct arena_chunk *next;
    size_t used, size;
    max_align_t data[];
};

struct id_table {
    struct node **slots;
    size_t mask;
};

struct validation {
    struct graph *graph;
    const struct known *known;
    struct node **stack; /* the nodes on the way, outermost first */
    int depth;
};

void *graph_alloc(struct graph *graph, size_t size)
{
    size = (size + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);
    if (!graph->chunk || graph->chunk->size - graph->chunk->used < size) {
        size_t room = size > 16000 ? size : 16000;
        struct arena_chunk *chunk = malloc(sizeof(*chunk) + room);
        if (!chunk) {
            abort();
        }
        chunk->next = graph->chunk;
        chunk->used = 0;
        chunk->size = room;
        graph->chunk = chunk;
    }
    void *p = (char *)graph->chunk->data + graph->chunk->used;
    graph->chunk->used += size;
    memset(p, 0, size);
    return p;
}

static bool is_plain(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (s[i] < 0x20 || s[i] == '"' || s[i] == '\\' || s[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

struct node *graph_add_node(struct graph *graph, const char *id)
{
    if (graph->n_nodes == graph->cap) {
        graph->cap = graph->cap ? graph->cap * 2 : 16;
        graph->nodes = sim_grow(graph->nodes, (size_t)graph->cap * sizeof(struct node *));
    }
    struct node *node = graph_alloc(graph, sizeof(*node));
    size_t len = strlen(id);
    node->id = id;
    if (is_plain(id, len)) {
        char *quoted = graph_alloc(graph, len + 3);
        quoted[0] = '"';
        memcpy(quoted + 1, id, len);
        quoted[len + 1] = '"';
        node->id_json = quoted;
        node->id_json_len = len + 2;
    } else {
        struct text t = {0};
        text_quoted(&t, id, len);
        char *quoted = graph_alloc(graph, t.len + 1);
        memcpy(quoted, t.data, t.len + 1);
        node->id_json = quoted;
        node->id_json_len = t.len;
        text_free(&t);
    }
    node->async_ms = -1;
    node->state = -1;
    node->truth = -1;
    node->display = node;
    node->usage = (struct usage){NAN, NAN, NAN, NAN};
    node->preview_bytes = PREVIEW_BYTES;
    graph->nodes[graph->n_nodes++] = node;
    return node;
}

/* ---- cache keys ------------------------------------------------------------------------- */

static uint64_t mix(uint64_t h, uint64_t v)
{
    h ^= v + 0x9e3779b97f4a7c15U + (h << 6) + (h >> 2);
    h *= 0xff51afd7ed558ccdU;
    return h ^ (h >> 32);
}

static uint64_t hash_bytes(const char *s, size_t len)
{
    uint64_t h = 0xcbf29ce484222325U;
    for (size_t i = 0; i < len; i++) {
        h = (h ^ (unsigned char)s[i]) * 0x100000001b3U;
    }
    return h;
}

static uint64_t hash_value(const json_t *value)
{
    uint64_t h = (uint64_t)json_typeof(value) + 1;
    switch (json_typeof(value)) {
    case JSON_OBJECT: {
        const char *key;
        json_t *member;
        json_object_foreach((json_t *)(uintptr_t)value, key, member)
        {
            h += mix(hash_bytes(key, strlen(key)), hash_value(member));
        }
        return h;
    }
    case JSON_ARRAY:
        for (size_t i = 0; i < json_array_size(value); i++) {
            h = mix(h, hash_value(json_array_get(value, i)));
        }
        return h;
    case JSON_STRING:
        return mix(h, hash_bytes(json_string_value(value), json_string_length(value)));
    case JSON_INTEGER:
        return mix(h, (uint64_t)json_integer_value(value));
    case JSON_REAL: {
        double real = json_real_value(value);
        uint64_t bits;
        memcpy(&bits, &real, sizeof(bits));
        return mix(h, bits);
    }
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
        return h;
    }
    return h;
}

static void make_key(struct node *node, int depth)
{
    if (node->has_key) {
        return;
    }
    node->has_key = true; /* also ends a cycle among nodes that nothing runs */
    if (depth > MAX_DEPTH) {
        return;
    }
    uint64_t inputs = node->key.a; /* what the constants gave, see read_inputs */
    for (int i = 0; i < node->n_links; i++) {
        struct link *link = &node->links[i];
        if (!link->from) {
            continue;
        }
        make_key(link->from, depth + 1);
        uint64_t h = hash_bytes(link->input, strlen(link->input));
        h = mix(mix(h, link->from->key.a), (uint64_t)link->socket);
        inputs += mix(h, link->from->key.b);
    }
    uint64_t type = hash_bytes(node->type, strlen(node->type));
    node->key.a = mix(type, inputs);
    node->key.b = mix(inputs ^ 0x5bd1e9955bd1e995U, type);
}

/* ---- reading ---------------------------------------------------------------------------- */

static bool is_link(const json_t *value)
{
    return json_is_array(value) && json_array_size(value) == 2 &&
           json_is_string(json_array_get(value, 0)) && json_is_number(json_array_get(value, 1));
}

static double number_or(const json_t *value, double otherwise)
{
    return json_is_number(value) ? json_number_value(value) : otherwise;
}

/* True: it was one of those that say what is used. */
static bool read_usage(struct graph *graph, struct node *node, const char *key, const json_t *value)
{
    struct usage *usage = &node->usage;
    const struct {
        const char *key;
        double *to;
    } members[] = {
        {"_vram", &usage->vram},
        {"_gpu", &usage->gpu},
        {"_ram", &usage->ram},
        {"_temp", &usage->temp},
    };
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (!strcmp(key, members[i].key)) {
            *members[i].to = number_or(value, NAN);
            graph->measured = true;
            return true;
        }
    }
    return false;
}

static size_t preview_bytes(double asked)
{
    return asked < PREVIEW_BYTES_MIN   ? PREVIEW_BYTES_MIN
           : asked < PREVIEW_BYTES_MAX ? (size_t)asked
                                       : PREVIEW_BYTES_MAX;
}

/* Reads one `_` input. */
static void read_behaviour(struct graph *graph, struct node *node, const char *key,
                           const json_t *value)
{
    double number = number_or(value, 0);
    int count = number > 0 && number < 1e6 ? (int)number : 0;
    const char *string = json_string_value(value);
    if (read_usage(graph, node, key, value)) {
        return;
    }
    if (!strcmp(key, "_ms")) {
        node->ms = number;
    } else if (!strcmp(key, "_steps")) {
        node->steps = count;
    } else if (!strcmp(key, "_error")) {
        node->error = string;
    } else if (!strcmp(key, "_exception")) {
        node->exception = string;
    } else if (!strcmp(key, "_text_ms")) {
        node->text_ms = number;
    } else if (!strcmp(key, "_async")) {
        node->async_ms = number;
    } else if (!strcmp(key, "_expand")) {
        node->expand = count;
    } else if (!strcmp(key, "_child_ms")) {
        node->child_ms = number;
    } else if (!strcmp(key, "_child_steps")) {
        node->child_steps = count;
    } else if (!strcmp(key, "_child_output")) {
        node->child_output = json_is_true(value);
    } else if (!strcmp(key, "_child_error")) {
        node->child_error = string;
    } else if (!strcmp(key, "_lazy")) {
        node->lazy = json_is_true(value);
    } else if (!strcmp(key, "_block")) {
        node->block_message = string;
    } else if (!strcmp(key, "_uninterruptible")) {
        node->uninterruptible = json_is_true(value);
    } else if (!strcmp(key, "_gap")) {
        node->gap_ms = number;
    } else if (!strcmp(key, "_ui")) {
        node->ui = json_is_object(value) ? value : NULL;
    } else if (!strcmp(key, "_file")) {
        node->file = string;
    } else if (!strcmp(key, "_output")) {
        node->is_output = json_is_true(value);
    } else if (!strcmp(key, "_cached")) {
        node->said_cached = json_is_true(value);
    } else if (!strcmp(key, "_invalid")) {
        node->invalid = json_is_true(value);
    } else if (!strcmp(key, "_lacks")) {
        node->lacks = string;
    } else if (!strcmp(key, "_previews")) {
        node->previews = count;
    } else if (!strcmp(key, "_preview_bytes")) {
        node->preview_bytes = preview_bytes(number);
    } else if (!strcmp(key, "_tag") && !graph->tag) {
        graph->tag = string;
    }
}

static void read_inputs(struct graph *graph, struct node *node, const struct known *known)
{
    node->is_output = node->class->is_output;
    double scale = known->no_times || !(known->speed > 0) ? 0 : 1 / known->speed;
    int typical_steps = known->no_times ? 0 : node->class->steps;
    node->ms = -1;
    node->steps = -1;
    if (node->inputs) {
        const char *key;
        json_t *value;
        size_t n = 0;
        json_object_foreach((json_t *)(uintptr_t)node->inputs, key, value)
        {
            n += is_link(value);
        }
        node->links = n > 0 ? graph_alloc(graph, n * sizeof(struct link)) : NULL;
        json_object_foreach((json_t *)(uintptr_t)node->inputs, key, value)
        {
            if (is_link(value)) {
                node->links[node->n_links++] =
                    (struct link){.from_id = json_string_value(json_array_get(value, 0)),
                                  .socket = (int64_t)json_number_value(json_array_get(value, 1)),
                                  .input = key,
                                  .value = value};
                continue;
            }
            node->key.a += mix(hash_bytes(key, strlen(key)), hash_value(value));
            if (key[0] == '_') {
                read_behaviour(graph, node, key, value);
            } else if (typical_steps > 0 && !strcmp(key, "steps") && json_is_integer(value)) {
                json_int_t steps = json_integer_value(value);
                typical_steps = steps > 0 && steps < 100000 ? (int)steps : 0;
            }
        }
    }
    if (node->steps < 0) {
        node->steps = node->ms < 0 ? typical_steps : 0;
    }
    if (node->ms < 0) {
        node->ms = known->node_ms >= 0
                       ? known->node_ms
                       : node->class->ms * scale *
                             (node->steps > 0 && node->class->steps > 0 ? node->steps : 1);
    }
    node->ms *= known->slow > 0 ? known->slow : 1;
}

static struct node *table_find(const struct id_table *table, const char *id)
{
    size_t at = hash_bytes(id, strlen(id)) & table->mask;
    while (table->slots[at] && strcmp(table->slots[at]->id, id) != 0) {
        at = (at + 1) & table->mask;
    }
    return table->slots[at];
}

static void connect_links(struct graph *graph)
{
    struct id_table table = {.mask = 15};
    while (table.mask < (size_t)graph->n_nodes * 2) {
        table.mask = table.mask * 2 + 1;
    }
    table.slots = sim_alloc((table.mask + 1) * sizeof(struct node *));
    for (int i = 0; i < graph->n_nodes; i++) {
        const char *id = graph->nodes[i]->id;
        size_t at = hash_bytes(id, strlen(id)) & table.mask;
        while (table.slots[at]) {
            at = (at + 1) & table.mask;
        }
        table.slots[at] = graph->nodes[i];
    }
    for (int i = 0; i < graph->n_nodes; i++) {
        for (int k = 0; k < graph->nodes[i]->n_links; k++) {
            struct link *link = &graph->nodes[i]->links[k];
            link->from = table_find(&table, link->from_id);
        }
    }
    free(table.slots);
}

/* ---- validation ------------------------------------------------------------------------- */

static void add_error(struct node *node, const char *type, const char *message, const char *details,
                      json_t *extra)
{
    if (!node->errors) {
        node->errors = json_array();
    }
    json_array_append_new(node->errors,
                          json_pack("{s:s, s:s, s:s, s:o}", "type", type, "message", message,
                                    "details", details, "extra_info", extra));
}

static json_t *trace_of(const char *where, const char *line)
{
    struct text t = {0};
    text_printf(&t, "  File \"/opt/ComfyUI/execution.py\", line 926, in %s\n    %s\n", where, line);
    json_t *list = json_pack("[s]", t.data);
    text_free(&t);
    return list;
}

/* The exception that a link raises in validate_inputs: what str(ex) says, and its type. */
static bool link_exception(const struct link *link, struct text *what, const char **ret_type)
{
    if (!link->from) {
        text_printf(what, "'%s'", link->from_id);
        *ret_type = "KeyError";
        return true;
    }
    if (link->socket >= class_sockets(link->from->class) || link->socket < 0) {
        TEXT_LIT(what, "tuple index out of range");
        *ret_type = "IndexError";
        return true;
    }
    return false;
}

static void check_constants(struct node *node, const struct known *known)
{
    if (node->lacks) {
        add_error(node, "required_input_missing", "Required input is missing", node->lacks,
                  json_pack("{s:s}", "input_name", node->lacks));
    }
    if (node->invalid) {
        add_error(node, "value_not_in_list", "Value not in list", "ckpt_name: 'x' not in []",
                  json_pack("{s:s, s:[[], {}], s:s}", "input_name", "ckpt_name", "input_config",
                            "received_value", "x"));
    }
    const char *model = json_string_value(json_object_get(node->inputs, "ckpt_name"));
    if (known->models && model && !known->lenient) {
        bool has = false;
        for (size_t i = 0; i < json_array_size(known->models); i++) {
            const char *name = json_string_value(json_array_get(known->models, i));
            has = has || (name && !strcmp(name, model));
        }
        if (!has) {
            struct text t = {0};
            text_printf(&t, "ckpt_name: '%s' not in ", model);
            text_py(&t, known->models);
            add_error(node, "value_not_in_list", "Value not in list", t.data,
                      json_pack("{s:s, s:[O, {}], s:s}", "input_name", "ckpt_name", "input_config",
                                known->models, "received_value", model));
            text_free(&t);
        }
    }
    const char *image = json_string_value(json_object_get(node->inputs, "image"));
    if (image && !strncmp(node->type, "LoadImage", 9) && !known->has_image(known->owner, image)) {
        struct text t = {0};
        text_printf(&t, "image - Invalid image file: %s", image);
        add_error(node, "custom_validation_failed", "Custom validation failed for node", t.data,
                  json_pack("{s:s}", "input_name", "image"));
        text_free(&t);
    }
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)node->inputs, key, value)
    {
        if (key[0] != '_' && json_is_array(value) && json_array_size(value) != 2) {
            json_t *extra = json_pack("{s:s, s:o?, s:O}", "input_name", key, "input_config", NULL,
                                      "received_value", value);
            add_error(node, "bad_linked_input",
                      "Bad linked input, must be a length-2 list of [node_id, slot_index]", key,
                      extra);
        }
    }
}

static void report_cycle(struct validation *v, struct node *node)
{
    if (!v->known->v028) {
        return; /* 0.3 swallows the RecursionError: no node errors at all */
    }
    int first = v->depth - 1;
    while (first > 0 && v->stack[first] != node) {
        first--;
    }
    struct text path = {0};
    json_t *ids = json_array();
    for (int i = first; i < v->depth; i++) {
        text_printf(&path, "%s (%s) -> ", v->stack[i]->id, v->stack[i]->type);
        json_array_append_new(ids, json_string(v->stack[i]->id));
    }
    text_printf(&path, "%s (%s)", node->id, node->type);
    for (int i = first; i < v->depth; i++) {
        add_error(v->stack[i], "dependency_cycle", "Dependency cycle detected", path.data,
                  json_pack("{s:s, s:O}", "node_id", v->stack[i]->id, "cycle_nodes", ids));
    }
    json_decref(ids);
    text_free(&path);
}

/*
 * validate_inputs. Returns CHECK_GOOD or CHECK_BAD; when an exception ends it (a link to nowhere),
 * CHECK_NEW with *raised and *type set, which the caller reports: on the node below, or on the
 * output itself.
 */
static enum check check_node(struct validation *v, struct node *node, struct text *raised,
                             const char **type)
{
    if (node->check == CHECK_GOOD || node->check == CHECK_BAD) {
        return node->check;
    }
    if (node->check == CHECK_BUSY) {
        report_cycle(v, node);
        return CHECK_BAD;
    }
    if (!node->inputs) {
        TEXT_LIT(raised, "'inputs'");
        *type = "KeyError";
        return CHECK_NEW;
    }
    if (v->depth == MAX_DEPTH) {
        TEXT_LIT(raised, "maximum recursion depth exceeded");
        *type = "RecursionError";
        return CHECK_NEW;
    }
    node->check = CHECK_BUSY;
    node->validated = true;
    v->stack[v->depth++] = node;
    bool good = true;
    for (int i = 0; i < node->n_links; i++) {
        struct link *link = &node->links[i];
        if (link_exception(link, raised, type)) {
            node->check = CHECK_NEW;
            v->depth--;
            return CHECK_NEW;
        }
        struct text inner = {0};
        const char *inner_type = NULL;
        enum check below = check_node(v, link->from, &inner, &inner_type);
        if (below == CHECK_NEW) {
            json_t *extra = json_pack(
                "{s:s, s:[s, {}], s:s, s:s, s:o, s:O}", "input_name", link->input, "input_config",
                "*", "exception_message", inner.data, "exception_type", inner_type, "traceback",
                trace_of("validate_inputs", "inputs = prompt[unique_id]['inputs']"), "linked_node",
                link->value);
            add_error(link->from, "exception_during_inner_validation",
                      "Exception when validating inner node", inner.data, extra);
            link->from->check = CHECK_BAD;
            link->from->validated = true;
        }
        text_free(&inner);
        good = good && below == CHECK_GOOD;
    }
    check_constants(node, v->known);
    good = good && !node->errors;
    node->check = good ? CHECK_GOOD : CHECK_BAD;
    v->depth--;
    return node->check;
}

void graph_error(struct text *out, const char *type, const char *message, const char *details,
                 const char *extra_info)
{
    text_printf(out, "{\"error\": {\"type\": \"%s\", \"message\": ", type);
    text_quoted(out, message, strlen(message));
    TEXT_LIT(out, ", \"details\": ");
    text_quoted(out, details, strlen(details));
    text_printf(out, ", \"extra_info\": %s}, \"node_errors\": ", extra_info ? extra_info : "{}");
    TEXT_LIT(out, "{}}");
}

static bool in_list(const json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *item = json_string_value(json_array_get(list, i));
        if (item && !strcmp(item, name)) {
            return true;
        }
    }
    return false;
}

/* A node that has no class, or one that is not known here. */
static void class_error(struct text *out, const char *id, const json_t *node, const char *type,
                        bool v028)
{
    struct text details = {0};
    struct text message = {0};
    struct text extra = {0};
    text_printf(&details, "Node ID '#%s'", id);
    const char *title = json_string_value(json_object_get(json_object_get(node, "_meta"), "title"));
    if (!v028) {
        if (type) {
            text_printf(&message, "Cannot execute because node %s does not exist.", type);
        } else {
            TEXT_LIT(&message, "Cannot execute because a node is missing the class_type property.");
        }
        graph_error(out, "invalid_prompt", message.data, details.data, NULL);
    } else {
        TEXT_LIT(&extra, "{\"node_id\": ");
        text_quoted(&extra, id, strlen(id));
        TEXT_LIT(&extra, ", \"class_type\": ");
        if (type) {
            text_quoted(&extra, type, strlen(type));
        } else {
            TEXT_LIT(&extra, "null");
        }
        TEXT_LIT(&extra, ", \"node_title\": ");
        const char *name = title ? title : type;
        if (name) {
            text_quoted(&extra, name, strlen(name));
        } else {
            TEXT_LIT(&extra, "null");
        }
        TEXT_LIT(&extra, "}");
        if (type) {
            text_printf(&message, "Node '%s' not found. The custom node may not be installed.",
                        name);
        } else if (title) {
            text_printf(&message,
                        "Node '%s' has no class_type. The workflow may be corrupted or a "
                        "custom node is missing.",
                        title);
        } else {
            text_printf(&message,
                        "Node 'ID #%s' has no class_type. The workflow may be corrupted "
                        "or a custom node is missing.",
                        id);
        }
        graph_error(out, "missing_node_type", message.data, details.data, extra.data);
    }
    text_free(&details);
    text_free(&message);
    text_free(&extra);
}

/* Appends the node_errors object. */
static void write_node_errors(const struct graph *graph, struct text *out)
{
    bool first = true;
    TEXT_LIT(out, "{");
    for (int i = 0; i < graph->n_nodes; i++) {
        const struct node *node = graph->nodes[i];
        if (!node->errors || !node->dependents) {
            continue;
        }
        text_str(out, first ? "" : ", ");
        first = false;
        text_add(out, node->id_json, node->id_json_len);
        TEXT_LIT(out, ": {\"errors\": ");
        text_json(out, node->errors);
        TEXT_LIT(out, ", \"dependent_outputs\": ");
        text_json(out, node->dependents);
        TEXT_LIT(out, ", \"class_type\": ");
        text_quoted(out, node->type, strlen(node->type));
        TEXT_LIT(out, "}");
    }
    TEXT_LIT(out, "}");
}

/* Validates each output; keeps the good ones in graph->outputs. Returns how many are good. */
static int check_outputs(struct graph *graph, const struct known *known, struct text *details)
{
    struct validation state = {.graph = graph,
                               .known = known,
                               .stack = sim_alloc((size_t)graph->n_nodes * sizeof(struct node *))};
    struct validation *v = &state;
    int good = 0;
    for (int i = 0; i < graph->n_outputs; i++) {
        struct node *output = graph->outputs[i];
        struct text raised = {0};
        const char *type = NULL;
        enum check result = check_node(v, output, &raised, &type);
        if (result == CHECK_GOOD) {
            graph->outputs[good++] = output;
            text_free(&raised);
            continue;
        }
        if (result == CHECK_NEW) {
            output->check = CHECK_BAD;
            output->validated = true;
            add_error(output, "exception_during_validation", "Exception when validating node",
                      raised.data,
                      json_pack("{s:s, s:o}", "exception_type", type, "traceback",
                                trace_of("validate_inputs",
                                         "o_class_type = prompt[o_id]['class_type']")));
            text_printf(details, "%sException when validating node: %s", details->len ? "\n" : "",
                        raised.data);
        }
        text_free(&raised);
        for (int k = 0; k < graph->n_nodes; k++) { /* every bad node so far, as the real one */
            struct node *node = graph->nodes[k];
            if (node->errors && node->validated) {
                if (!node->dependents) {
                    node->dependents = json_array();
                }
                json_array_append_new(node->dependents, json_string(output->id));
            }
        }
    }
    graph->n_outputs = good;
    free(v->stack);
    return good;
}

struct graph *graph_read(const json_t *prompt, const json_t *targets, const struct known *known,
                         struct text *ret_node_errors, struct text *ret_error)
{
    struct graph *graph = sim_alloc(sizeof(*graph));
    const char *id;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)prompt, id, value)
    {
        if (!json_is_object(value)) {
            graph_free(graph);
            return NULL; /* TypeError or AttributeError: 500 */
        }
        const char *type = json_string_value(json_object_get(value, "class_type"));
        const struct node_class *class = type ? class_find(type) : NULL;
        if (!class || in_list(known->missing, type)) {
            class_error(ret_error, id, value, type, known->v028);
            graph_free(graph);
            return NULL;
        }
        struct node *node = graph_add_node(graph, id);
        node->type = type;
        node->class = class;
        node->value = value;
        node->inputs = json_object_get(value, "inputs");
        if (!json_is_object(node->inputs)) {
            node->inputs = NULL;
        }
        read_inputs(graph, node, known);
    }
    graph->n_prompt_nodes = graph->n_nodes;
    graph->outputs = sim_alloc((size_t)graph->n_nodes * sizeof(struct node *));
    for (int i = 0; i < graph->n_nodes; i++) {
        struct node *node = graph->nodes[i];
        if (node->is_output && (!json_is_array(targets) || in_list(targets, node->id))) {
            graph->outputs[graph->n_outputs++] = node;
        }
    }
    if (graph->n_outputs == 0) {
        graph_error(ret_error, "prompt_no_outputs", "Prompt has no outputs", "", NULL);
        graph_free(graph);
        return NULL;
    }
    connect_links(graph);
    struct text details = {0};
    int good = check_outputs(graph, known, &details);
    write_node_errors(graph, ret_node_errors);
    if (good == 0) {
        TEXT_LIT(ret_error, "{\"error\": {\"type\": \"prompt_outputs_failed_validation\", "
                            "\"message\": \"Prompt outputs failed validation\", \"details\": ");
        text_quoted(ret_error, details.data ? details.data : "", details.len);
        TEXT_LIT(ret_error, ", \"extra_info\": {}}, \"node_errors\": ");
        text_add(ret_error, ret_node_errors->data, ret_node_errors->len);
        TEXT_LIT(ret_error, "}");
    }
    text_free(&details);
    if (good == 0) {
        graph_free(graph);
        return NULL;
    }
    for (int i = 0; i < graph->n_nodes; i++) {
        struct node *node = graph->nodes[i];
        make_key(node, 0);
    }
    return graph;
}

void graph_free(struct graph *graph)
{
    if (!graph) {
        return;
    }
    for (int i = 0; i < graph->n_nodes; i++) {
        json_decref(graph->nodes[i]->errors);
        json_decref(graph->nodes[i]->dependents);
    }
    while (graph->chunk) {
        struct arena_chunk *next = graph->chunk->next;
        free(graph->chunk);
        graph->chunk = next;
    }
    free(graph->nodes);
    free(graph->outputs);
    free(graph);
}
