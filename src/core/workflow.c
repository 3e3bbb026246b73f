/*
 * The index of a workflow, and its structural hash; see the header. One pass reads the nodes, a
 * second one resolves the links (a link may name a later node). Strings are decoded into one
 * buffer; while it may still move they are kept as offsets.
 */
#include "comfypool/core/workflow.h"

#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/json_read.h"

enum { WORKFLOW_DEPTH = JS_MAX_DEPTH };

void json_pointer_add(struct buf *pointer, struct str name)
{
    buf_add_char(pointer, '/');
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '~') {
            buf_add_text(pointer, "~0");
        } else if (name.p[i] == '/') {
            buf_add_text(pointer, "~1");
        } else {
            buf_add_char(pointer, name.p[i]);
        }
    }
}

/* A decoded string as offsets into the text buffer. */
struct span {
    size_t at;
    size_t n;
    bool there;
};

/* Paths are not hashed. */
enum input_kind { INPUT_LINK, INPUT_MODEL, INPUT_NUMBER, INPUT_PATH };

/* A relevant input of a node, in order of the text. */
struct input {
    enum input_kind kind;
    struct span name;
    struct span value; /* raw: the linked id, a model's name, a path, or a number */
    struct span slot;  /* of a link: its output number, raw */
};

struct draft_node {
    struct span id;
    struct span class_type;
    struct span title;
    size_t first_input;
    size_t inputs;
    size_t inputs_at; /* in the text */
    size_t inputs_len;
};

struct draft {
    struct draft_node *nodes;
    size_t len;
    size_t cap;
    struct input *inputs;
    size_t inputs_len;
    size_t inputs_cap;
    struct workflow_seed *seeds;
    size_t seeds_len;
    size_t seeds_cap;
    struct buf texts;
};

static void draft_done(struct draft *d)
{
    free(d->nodes);
    free(d->inputs);
    free(d->seeds);
    buf_done(&d->texts);
}

static struct span keep_text(struct draft *d, struct js_token t)
{
    const size_t at = d->texts.len;
    if (t.escaped) {
        (void)js_text(t, &d->texts);
    } else {
        buf_add_str(&d->texts, t.text);
    }
    return (struct span){at, d->texts.len - at, true};
}

static struct str span_str(const struct draft *d, struct span s)
{
    if (!s.there) {
        return (struct str){NULL, 0};
    }
    return s.n == 0 ? (struct str){"", 0} : (struct str){d->texts.data + s.at, s.n};
}

/* True if a string input names a model by its name or by its value's ending. */
static bool names_a_model(struct str name, struct str value)
{
    static const char *const endings[] = {".safetensors", ".sft", ".ckpt", ".pt",
                                          ".pth",         ".bin", ".gguf", ".onnx"};
    if (str_ends_with(name, STR("_name"))) {
        return true;
    }
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        if (str_ends_with(value, str_of(endings[i]))) {
            return true;
        }
    }
    return false;
}

/* True if it may be a file in a folder. */
static bool is_path(struct str value)
{
    enum { MOST = 1024 }; /* longer ones are prose */
    return value.n > 0 && value.n <= MOST &&
           (memchr(value.p, '/', value.n) != NULL || memchr(value.p, '\\', value.n) != NULL);
}

bool workflow_names_model(struct str input, struct str value)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    struct js_reader r;
    js_read_strict(&r, value, WORKFLOW_DEPTH);
    const struct js_token t = js_next(&r);
    return t.kind == JS_STRING && names_a_model(input, js_text(t, &scratch));
}

static void add_input(struct draft *d, struct input in)
{
    if (d->inputs_len == d->inputs_cap) {
        d->inputs_cap = d->inputs_cap == 0 ? 64 : d->inputs_cap * 2;
        d->inputs = mem_grow(d->inputs, d->inputs_cap * sizeof *d->inputs);
    }
    d->inputs[d->inputs_len++] = in;
}

/* Stores the raw text of a token. */
static struct span keep_raw(struct draft *d, struct js_token t)
{
    const size_t at = d->texts.len;
    buf_add_str(&d->texts, t.text);
    return (struct span){at, t.text.n, true};
}

/* True for seed, noise_seed: they change the result, not its cost. */
static bool is_seed(struct str name)
{
    return str_ends_with(name, STR("seed"));
}

/* Returns the name of a seed to be chosen; NULL: none. */
static const char *open_seed(struct str name, struct str value)
{
    static const char *const names[] = {"seed", "noise_seed"};
    for (size_t i = 0; i < 2; i++) {
        if (str_is(value, "-1") && str_is(name, names[i])) {
            return names[i];
        }
    }
    return NULL;
}

bool workflow_seed_is_open(struct str input, struct str value)
{
    return open_seed(input, value) != NULL;
}

/* Notes an open seed of the node being read. */
static void note_seed(struct draft *d, struct str name, struct str value)
{
    const char *open = open_seed(name, value);
    if (open == NULL) {
        return;
    }
    if (d->seeds_len == d->seeds_cap) {
        d->seeds_cap = d->seeds_cap == 0 ? 4 : d->seeds_cap * 2;
        d->seeds = mem_grow(d->seeds, d->seeds_cap * sizeof *d->seeds);
    }
    d->seeds[d->seeds_len++] = (struct workflow_seed){(uint32_t)d->len, open};
}

/* Reads an array that has begun: [nodeId, slot] is a link, anything else a value. */
static void read_array(struct draft *d, struct js_reader *r, struct span name)
{
    const unsigned outer = r->depth - 1;
    const struct js_token id = js_next(r);
    if (id.kind == JS_STRING) {
        const struct js_token slot = js_next(r);
        if (slot.kind == JS_NUMBER) {
            if (js_next(r).kind == JS_ARRAY_END) {
                const struct span raw = keep_raw(d, slot);
                add_input(d, (struct input){INPUT_LINK, name, keep_text(d, id), raw});
                return;
            }
        }
    }
    while (r->depth > outer && js_next(r).kind != JS_ERROR) {
    }
}

static void read_inputs(struct draft *d, struct js_reader *r)
{
    for (struct js_token key = js_next(r); key.kind == JS_KEY; key = js_next(r)) {
        const size_t before = d->texts.len;
        const size_t inputs_before = d->inputs_len;
        const struct span name = keep_text(d, key);
        const struct js_token v = js_next(r);
        if (v.kind == JS_ARRAY) {
            read_array(d, r, name);
        } else if (v.kind == JS_STRING) {
            const struct span value = keep_text(d, v);
            if (names_a_model(span_str(d, name), span_str(d, value))) {
                add_input(d, (struct input){INPUT_MODEL, name, value, {0}});
            } else if (is_path(span_str(d, value))) {
                add_input(d, (struct input){INPUT_PATH, name, value, {0}});
            }
        } else if (v.kind == JS_NUMBER && !is_seed(span_str(d, name))) {
            add_input(d, (struct input){INPUT_NUMBER, name, keep_raw(d, v), {0}});
        } else if (v.kind == JS_NUMBER) {
            note_seed(d, span_str(d, name), v.text);
        } else {
            (void)js_rest(r, v);
        }
        if (d->inputs_len == inputs_before) {
            d->texts.len = before; /* a plain value: discarded */
        }
    }
}

static void read_meta(struct draft *d, struct js_reader *r, struct draft_node *n)
{
    for (struct js_token key = js_next(r); key.kind == JS_KEY; key = js_next(r)) {
        const struct js_token v = js_next(r);
        if (v.kind == JS_STRING && js_is(key, "title")) {
            n->title = keep_text(d, v);
        } else {
            (void)js_rest(r, v);
        }
    }
}

static bool wrong(struct workflow_problem *problem, struct str node, const char *member,
                  const char *detail)
{
    problem->code = ERR_WORKFLOW_INVALID;
    problem->detail = detail;
    if (node.p != NULL) {
        json_pointer_add(&problem->pointer, node);
    }
    if (member != NULL) {
        json_pointer_add(&problem->pointer, str_of(member));
    }
    return false;
}

/* Reads one node whose object has begun. */
static bool read_node(struct draft *d, struct js_reader *r, struct draft_node *n,
                      struct workflow_problem *problem)
{
    bool has_inputs = false;
    for (struct js_token key = js_next(r); key.kind == JS_KEY; key = js_next(r)) {
        const struct js_token v = js_next(r);
        if (js_is(key, "class_type")) {
            if (v.kind != JS_STRING) {
                return wrong(problem, span_str(d, n->id), "class_type",
                             "class_type must be a string");
            }
            n->class_type = keep_text(d, v);
        } else if (js_is(key, "inputs")) {
            if (v.kind != JS_OBJECT) {
                return wrong(problem, span_str(d, n->id), "inputs", "inputs must be an object");
            }
            has_inputs = true;
            n->inputs_at = (size_t)(v.text.p - r->start);
            read_inputs(d, r);
            n->inputs_len = js_offset(r) - n->inputs_at;
        } else if (v.kind == JS_OBJECT && js_is(key, "_meta")) {
            read_meta(d, r, n);
        } else {
            (void)js_rest(r, v);
        }
    }
    if (!has_inputs) {
        return wrong(problem, span_str(d, n->id), NULL,
                     "a node must have an inputs object (it may be empty)");
    }
    return true;
}

static bool read_nodes(struct draft *d, struct str text, struct workflow_problem *problem)
{
    struct js_reader r;
    js_read_strict(&r, text, WORKFLOW_DEPTH);
    if (js_next(&r).kind != JS_OBJECT) {
        return wrong(problem, (struct str){NULL, 0}, NULL,
                     "a workflow is an object of nodes, {nodeId: {class_type, inputs}}, and no "
                     "text with JSON in it");
    }
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        if (d->len == d->cap) {
            d->cap = d->cap == 0 ? 16 : d->cap * 2;
            d->nodes = mem_grow(d->nodes, d->cap * sizeof *d->nodes);
        }
        struct draft_node *n = &d->nodes[d->len];
        *n = (struct draft_node){.first_input = d->inputs_len};
        n->id = keep_text(d, key);
        const struct js_token v = js_next(&r);
        if (v.kind != JS_OBJECT) {
            return wrong(problem, span_str(d, n->id), NULL, "a node must be an object");
        }
        if (!read_node(d, &r, n, problem)) {
            return false;
        }
        n->inputs = d->inputs_len - n->first_input;
        d->len++;
    }
    if (d->len == 0) {
        return wrong(problem, (struct str){NULL, 0}, NULL, "the workflow has no nodes");
    }
    return true;
}

static void resolve_links(const struct draft *d, struct workflow *w)
{
    w->deps = mem_alloc((d->inputs_len + 1) * sizeof *w->deps);
    uint32_t *linked_by = mem_zero(w->len, sizeof *linked_by); /* by node: the last one linking to
                                                                  it, from 1 */
    for (size_t i = 0; i < w->len; i++) {
        struct workflow_node *n = &w->nodes[i];
        n->first_dep = (uint32_t)w->deps_len;
        for (size_t k = 0; k < d->nodes[i].inputs; k++) {
            const struct input *in = &d->inputs[d->nodes[i].first_input + k];
            n->names_model = n->names_model || in->kind == INPUT_MODEL;
            if (in->kind != INPUT_LINK) {
                continue;
            }
            const struct workflow_node *to = map_get(&w->by_id, span_str(d, in->value));
            if (to == NULL) {
                n->dangling = true;
                continue;
            }
            const uint32_t index = (uint32_t)(to - w->nodes);
            if (linked_by[index] != i + 1) {
                linked_by[index] = (uint32_t)(i + 1);
                w->deps[w->deps_len++] = index;
                n->deps++;
            }
        }
    }
    free(linked_by);
}

/* Lists the values of a kind. Owner: the caller. */
static struct workflow_value *list_values(const struct draft *d, enum input_kind kind,
                                          size_t *ret_len)
{
    size_t len = 0;
    for (size_t k = 0; k < d->inputs_len; k++) {
        len += d->inputs[k].kind == kind ? 1 : 0;
    }
    struct workflow_value *list = mem_alloc((len + 1) * sizeof *list);
    *ret_len = 0;
    for (size_t i = 0; i < d->len; i++) {
        for (size_t k = 0; k < d->nodes[i].inputs; k++) {
            const struct input *in = &d->inputs[d->nodes[i].first_input + k];
            if (in->kind == kind) {
                list[(*ret_len)++] = (struct workflow_value){(uint32_t)i, span_str(d, in->name),
                                                             span_str(d, in->value)};
            }
        }
    }
    return list;
}

static int by_bytes(struct str a, struct str b)
{
    const size_t n = a.n < b.n ? a.n : b.n;
    const int c = n == 0 ? 0 : memcmp(a.p, b.p, n);
    return c != 0 ? c : (a.n > b.n) - (a.n < b.n);
}

struct hash_item {
    struct str key;
    size_t index;
};

static int compare_items(const void *a, const void *b)
{
    const struct hash_item *x = a;
    const struct hash_item *y = b;
    return by_bytes(x->key, y->key);
}

/* Hashes with a length prefix, so that different workflows never write the same bytes. */
static void hash_text(struct buf *b, char kind, struct str s)
{
    buf_add_char(b, kind);
    buf_add_uint(b, s.n);
    buf_add_char(b, ':');
    buf_add_str(b, s);
}

/* One text of structure and models, one of numbers (with their node). */
struct hash_texts {
    struct buf structure;
    struct buf numbers;
};

static void hash_inputs(struct hash_texts *t, const struct draft *d, const struct draft_node *n)
{
    struct hash_item *items = mem_alloc((n->inputs + 1) * sizeof *items);
    size_t len = 0;
    for (size_t i = 0; i < n->inputs; i++) {
        const size_t index = n->first_input + i;
        if (d->inputs[index].kind != INPUT_PATH) {
            items[len++] = (struct hash_item){span_str(d, d->inputs[index].name), index};
        }
    }
    qsort(items, len, sizeof *items, compare_items);
    for (size_t i = 0; i < len; i++) {
        const struct input *in = &d->inputs[items[i].index];
        struct buf *b = in->kind == INPUT_NUMBER ? &t->numbers : &t->structure;
        hash_text(b, in->kind == INPUT_LINK ? 'l' : 'm', span_str(d, in->name));
        hash_text(b, 'v', span_str(d, in->value));
        if (in->kind == INPUT_LINK) {
            hash_text(b, 's', span_str(d, in->slot));
        }
    }
    free(items);
}

/* Computes the structural hash and the cost key. */
static void compute_hashes(const struct draft *d, struct workflow *w)
{
    struct hash_item *items = mem_alloc(d->len * sizeof *items);
    for (size_t i = 0; i < d->len; i++) {
        items[i] = (struct hash_item){span_str(d, d->nodes[i].id), i};
    }
    qsort(items, d->len, sizeof *items, compare_items);
    struct hash_texts t;
    buf_init(&t.structure, BUF_NO_LIMIT);
    buf_init(&t.numbers, BUF_NO_LIMIT);
    for (size_t i = 0; i < d->len; i++) {
        const struct draft_node *n = &d->nodes[items[i].index];
        hash_text(&t.structure, 'n', items[i].key);
        if (n->class_type.there) {
            hash_text(&t.structure, 'c', span_str(d, n->class_type));
        }
        hash_text(&t.numbers, 'n', items[i].key);
        hash_inputs(&t, d, n);
    }
    free(items);
    char numbers[DIGEST_HEX_SIZE];
    digest_sha256_hex(buf_str(&t.structure), w->hash);
    digest_sha256_hex(buf_str(&t.numbers), numbers);
    (void)snprintf(w->cost_key, sizeof w->cost_key, "%.32s-%.16s", w->hash, numbers);
    buf_done(&t.structure);
    buf_done(&t.numbers);
}

static struct workflow *finish(struct draft *d, bool hashed)
{
    (void)buf_text(&d->texts); /* never NULL from here on */
    struct workflow *w = mem_zero(1, sizeof *w);
    w->len = d->len;
    w->nodes = mem_zero(d->len, sizeof *w->nodes);
    map_init(&w->by_id);
    for (size_t i = 0; i < d->len; i++) {
        w->nodes[i] = (struct workflow_node){
            .id = span_str(d, d->nodes[i].id),
            .class_type = span_str(d, d->nodes[i].class_type),
            .title = span_str(d, d->nodes[i].title),
            .inputs_at = d->nodes[i].inputs_at,
            .inputs_len = d->nodes[i].inputs_len,
        };
        (void)map_put(&w->by_id, w->nodes[i].id, &w->nodes[i]);
    }
    resolve_links(d, w);
    w->models = list_values(d, INPUT_MODEL, &w->models_len);
    w->paths = list_values(d, INPUT_PATH, &w->paths_len);
    if (hashed) {
        compute_hashes(d, w);
    }
    w->seeds = d->seeds;
    w->seeds_len = d->seeds_len;
    d->seeds = NULL;
    w->texts = buf_take(&d->texts);
    return w;
}

static bool parse(struct str text, bool hashed, struct workflow **ret,
                  struct workflow_problem *problem)
{
    *problem = (struct workflow_problem){0};
    buf_init(&problem->pointer, BUF_NO_LIMIT);
    struct draft d = {0};
    buf_init(&d.texts, BUF_NO_LIMIT);
    const bool good = read_nodes(&d, text, problem);
    if (good) {
        *ret = finish(&d, hashed);
        buf_done(&problem->pointer);
    } else if (workflow_is_ui_format(text)) { /* no node is an array, so parsing failed */
        buf_clear(&problem->pointer);
        problem->code = ERR_WORKFLOW_FORMAT_UI;
        problem->detail = "this is the editor's format; in ComfyUI use Workflow > Export (API)";
    }
    draft_done(&d);
    return good;
}

bool workflow_parse(struct str text, struct workflow **ret, struct workflow_problem *problem)
{
    return parse(text, true, ret, problem);
}

struct workflow *workflow_reparse(struct str text)
{
    struct workflow *w = NULL;
    struct workflow_problem problem;
    if (!parse(text, false, &w, &problem)) {
        buf_done(&problem.pointer);
        return NULL;
    }
    return w;
}

void workflow_free(struct workflow *w)
{
    if (w == NULL) {
        return;
    }
    free(w->nodes);
    free(w->deps);
    free(w->seeds);
    free(w->models);
    free(w->paths);
    map_done(&w->by_id);
    free(w->texts);
    free(w);
}

const struct workflow_node *workflow_find(const struct workflow *w, struct str id)
{
    return map_get(&w->by_id, id);
}

void workflow_mark_needed(const struct workflow *w, bool *marks)
{
    uint32_t *todo = mem_alloc((w->len + 1) * sizeof *todo);
    size_t n = 0;
    for (uint32_t i = 0; i < w->len; i++) {
        if (marks[i]) {
            todo[n++] = i;
        }
    }
    while (n > 0) {
        const struct workflow_node *node = &w->nodes[todo[--n]];
        for (uint32_t i = 0; i < node->deps; i++) {
            const uint32_t dep = w->deps[node->first_dep + i];
            if (!marks[dep]) {
                marks[dep] = true;
                todo[n++] = dep;
            }
        }
    }
    free(todo);
}

bool workflow_is_bare_graph(struct str text)
{
    struct js_reader r;
    js_read_checked(&r, text);
    if (js_next(&r).kind != JS_OBJECT) {
        return false;
    }
    size_t nodes = 0;
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        if (js_next(&r).kind != JS_OBJECT) {
            return false;
        }
        bool has_class = false;
        for (struct js_token k = js_next(&r); k.kind == JS_KEY; k = js_next(&r)) {
            has_class = has_class || js_is(k, "class_type");
            (void)js_skip(&r);
        }
        if (!has_class) {
            return false;
        }
        nodes++;
    }
    return nodes > 0;
}

bool workflow_is_ui_format(struct str text)
{
    struct js_reader r;
    js_read_checked(&r, text);
    if (js_next(&r).kind != JS_OBJECT) {
        return false;
    }
    bool nodes = false;
    bool links = false;
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        const struct js_token v = js_next(&r);
        nodes = nodes || (v.kind == JS_ARRAY && js_is(key, "nodes"));
        links = links || (v.kind == JS_ARRAY && js_is(key, "links"));
        (void)js_rest(&r, v);
    }
    return nodes && links;
}
