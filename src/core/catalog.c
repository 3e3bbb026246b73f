/* Catalogs of servers; see the header. */
#include "comfypool/core/catalog.h"

#include <math.h>
#include <stdlib.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/json_read.h"

/* ---- classes --------------------------------------------------------------------------------- */

static void input_free(struct catalog_input *in)
{
    for (size_t k = 0; k < in->values_len; k++) {
        free(in->values[k]);
    }
    free(in->values);
    free(in->links_of);
    free(in->name);
}

static void class_free(struct catalog_class *c)
{
    for (size_t i = 0; i < c->inputs_len; i++) {
        input_free(&c->inputs[i]);
    }
    for (size_t i = 0; i < c->outputs_len; i++) {
        free(c->outputs[i]);
    }
    free(c->outputs);
    free(c->inputs);
    free(c->name);
    free(c);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct catalog_input *)a)->name, ((const struct catalog_input *)b)->name);
}

const struct catalog_input *catalog_input(const struct catalog_class *c, struct str input)
{
    AUTO_FREE char *name = mem_copy(input);
    const struct catalog_input key = {.name = name};
    return c->inputs_len == 0 ? NULL : bsearch(&key, c->inputs, c->inputs_len, sizeof key, by_name);
}

static char slash(char c)
{
    return (char)(c == '\\' ? '/' : c);
}

/* Compares as paths: \ is / in them. */
static int compare_paths(const char *a, const char *b)
{
    while (*a != '\0' && slash(*a) == slash(*b)) {
        a++;
        b++;
    }
    return (int)(unsigned char)slash(*a) - (int)(unsigned char)slash(*b);
}

/* Sorts the spellings of one path together. */
static int by_path(const void *a, const void *b)
{
    const char *const x = *(char *const *)a;
    const char *const y = *(char *const *)b;
    const int order = compare_paths(x, y);
    return order != 0 ? order : strcmp(x, y);
}

/* Searches in logarithmic time, though one path may have very many spellings. */
const char *catalog_spelling(const struct catalog_class *c, struct str input, struct str value)
{
    const struct catalog_input *in = catalog_input(c, input);
    if (in == NULL || in->values_len == 0) {
        return NULL;
    }
    AUTO_FREE char *key = mem_copy(value);
    char *const *exact = bsearch(&key, in->values, in->values_len, sizeof(char *), by_path);
    if (exact != NULL) {
        return *exact;
    }
    size_t from = 0; /* first entry not before it as a path */
    for (size_t to = in->values_len; from < to;) {
        const size_t middle = from + (to - from) / 2;
        const bool before = compare_paths(in->values[middle], key) < 0;
        from = before ? middle + 1 : from;
        to = before ? to : middle;
    }
    return from < in->values_len && compare_paths(in->values[from], key) == 0 ? in->values[from]
                                                                              : NULL;
}

bool catalog_allows(const struct catalog_class *c, struct str input, struct str value)
{
    const struct catalog_input *in = catalog_input(c, input);
    return in == NULL || !in->listed || catalog_spelling(c, input, value) != NULL;
}

bool catalog_unfolds(const struct catalog_class *c)
{
    size_t i = 0;
    while (i < c->inputs_len && !c->inputs[i].loose) {
        i++;
    }
    return i < c->inputs_len;
}

/* ---- types of links -------------------------------------------------------------------------- */

/* Returns the next type of "A, B" without blanks and advances *at past it. */
static struct str next_type(const char **at)
{
    const size_t n = strcspn(*at, ",");
    struct str one = {*at, n};
    while (one.n > 0 && one.p[0] == ' ') {
        one = (struct str){one.p + 1, one.n - 1};
    }
    while (one.n > 0 && one.p[one.n - 1] == ' ') {
        one.n--;
    }
    *at += n + ((*at)[n] == ',' ? 1 : 0);
    return one;
}

static bool has_type(const char *types, struct str wanted)
{
    bool has = false;
    for (const char *at = types; *at != '\0' && !has;) {
        has = str_eq(next_type(&at), wanted);
    }
    return has;
}

/* Source: comfy_execution/validation.py of ComfyUI, validate_node_input, with strict=False. */
bool catalog_types_match(const char *from, const char *to)
{
    bool match = from == NULL || to == NULL || strcmp(from, to) == 0;
    for (const char *at = from; !match && *at != '\0';) {
        match = has_type(to, next_type(&at));
    }
    return match;
}

/* Returns the type's name if links of it are checked, else NULL. */
static char *held_type(struct js_token t)
{
    enum { LONGEST = 256 };
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    if (t.kind != JS_STRING) {
        return NULL;
    }
    char *type = mem_copy(js_text(t, &scratch));
    const size_t n = strlen(type);
    if (n == 0 || n > LONGEST || type[n - 1] == ',' || strchr(type, '*') != NULL ||
        strcasecmp(type, "any") == 0 || strstr(type, "COMFY_") != NULL) {
        free(type);
        return NULL;
    }
    return type;
}

/* Reads the outputs. A type that is no text is a list, whose links are not checked; "*" may stand
   for several unlisted outputs. */
static void read_outputs(struct str text, struct catalog_class *c)
{
    struct js_reader r;
    js_read_lenient(&r, text, JS_MAX_DEPTH);
    if (c->outputs != NULL || js_next(&r).kind != JS_ARRAY) {
        return;
    }
    c->outputs_known = true;
    c->outputs = mem_zero(1, sizeof(char *));
    for (struct js_token t = js_next(&r); t.kind != JS_ARRAY_END && t.kind != JS_ERROR;
         t = js_next(&r)) {
        if ((c->outputs_len & (c->outputs_len - 1)) == 0) { /* a power of two, or 0 */
            const size_t cap = c->outputs_len == 0 ? 1 : c->outputs_len * 2;
            c->outputs = mem_grow(c->outputs, cap * sizeof(char *));
        }
        char *type = held_type(t);
        c->outputs[c->outputs_len++] = type;
        c->outputs_known = c->outputs_known && (type != NULL || t.kind == JS_ARRAY);
        (void)js_rest(&r, t);
    }
}

/* ---- reading an input ------------------------------------------------------------------------ */

static void add_value(struct catalog_input *in, struct str text)
{
    if ((in->values_len & (in->values_len - 1)) == 0) { /* a power of two, or 0 */
        const size_t cap = in->values_len == 0 ? 1 : in->values_len * 2;
        in->values = mem_grow(in->values, cap * sizeof(char *));
    }
    in->values[in->values_len++] = mem_copy(text);
}

/* Reads the strings of an array that has begun. Objects in it make it no list of names. */
static void read_values(struct js_reader *r, struct catalog_input *in)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    in->listed = true;
    in->all_text = true;
    for (struct js_token t = js_next(r); t.kind != JS_ARRAY_END && t.kind != JS_ERROR;
         t = js_next(r)) {
        buf_clear(&scratch);
        if (t.kind == JS_STRING) {
            add_value(in, js_text(t, &scratch));
        } else {
            in->listed = in->listed && t.kind != JS_OBJECT && t.kind != JS_ARRAY;
            in->all_text = false;
            (void)js_rest(r, t);
        }
    }
}

/* True for input options that turn the check against the list off. */
static bool frees_list(struct js_token key, struct js_token value)
{
    static const char *const names[] = {"remote",       "remote_combo", "dynamic",
                                        "image_folder", "multiselect",  "multi_select"};
    if (value.kind == JS_FALSE || value.kind == JS_NULL) {
        return false;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (js_is(key, names[i])) {
            return true;
        }
    }
    return memmem(key.text.p, key.text.n, "upload", strlen("upload")) != NULL;
}

static void read_options(struct js_reader *r, bool is_combo, struct catalog_input *in)
{
    bool freed = false;
    for (struct js_token key = js_next(r); key.kind == JS_KEY; key = js_next(r)) {
        const struct js_token v = js_next(r);
        freed = freed || frees_list(key, v);
        if (is_combo && v.kind == JS_ARRAY && js_is(key, "options")) {
            read_values(r, in);
        } else if (js_is(key, "max") && js_double(v, &in->max)) {
            in->has_max = isfinite(in->max);
        } else if (js_is(key, "min") && js_double(v, &in->min)) {
            in->has_min = isfinite(in->min);
        } else {
            (void)js_rest(r, v);
        }
    }
    in->listed = in->listed && !freed;
    in->loose = in->loose || freed;
}

/* Reads [type or list, options?]. */
static void read_input(struct str text, struct catalog_input *in)
{
    struct js_reader r;
    js_read_lenient(&r, text, JS_MAX_DEPTH);
    if (js_next(&r).kind != JS_ARRAY) {
        in->loose = true;
        return;
    }
    const struct js_token type = js_next(&r);
    const bool is_combo = type.kind == JS_STRING && js_is(type, "COMBO");
    if (type.kind == JS_ARRAY) {
        read_values(&r, in);
    } else {
        in->type = js_is(type, "INT")     ? CATALOG_INT
                   : js_is(type, "FLOAT") ? CATALOG_FLOAT
                                          : CATALOG_OTHER;
        /* Inputs that unfold as they are filled in: required ones are unknown. */
        in->loose =
            type.kind != JS_STRING || (type.text.n >= 6 && memcmp(type.text.p, "COMFY_", 6) == 0);
        in->required = in->required && !in->loose;
        in->links_of = held_type(type);
        (void)js_rest(&r, type);
    }
    if (js_next(&r).kind == JS_OBJECT) {
        read_options(&r, is_combo, in);
    }
    if (in->values_len > 1) {
        qsort(in->values, in->values_len, sizeof(char *), by_path);
    }
}

static void read_inputs(struct str text, bool required, struct catalog_class *c)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    struct js_reader r;
    js_read_lenient(&r, text, JS_MAX_DEPTH);
    if (js_next(&r).kind != JS_OBJECT) {
        return;
    }
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        struct catalog_input in = {.required = required};
        const struct str value = js_skip(&r);
        read_input(value, &in);
        buf_clear(&scratch);
        in.name = mem_copy(js_text(key, &scratch));
        if ((c->inputs_len & (c->inputs_len - 1)) == 0) { /* a power of two, or 0 */
            const size_t cap = c->inputs_len == 0 ? 1 : c->inputs_len * 2;
            c->inputs = mem_grow(c->inputs, cap * sizeof *c->inputs);
        }
        c->inputs[c->inputs_len++] = in;
    }
}

/* Sorts inputs by name and drops duplicates. */
static void sort_inputs(struct catalog_class *c)
{
    if (c->inputs_len > 1) {
        qsort(c->inputs, c->inputs_len, sizeof *c->inputs, by_name);
    }
    size_t n = 0;
    for (size_t i = 0; i < c->inputs_len; i++) {
        if (n > 0 && strcmp(c->inputs[n - 1].name, c->inputs[i].name) == 0) {
            input_free(&c->inputs[i]);
        } else {
            c->inputs[n++] = c->inputs[i];
            c->required_len += c->inputs[i].required ? 1 : 0;
        }
    }
    c->inputs_len = n;
}

/* Reads {"required": {...}, "optional": {...}}. */
static void read_groups(struct str text, struct catalog_class *c)
{
    struct js_reader r;
    js_read_lenient(&r, text, JS_MAX_DEPTH);
    if (js_next(&r).kind != JS_OBJECT) {
        return;
    }
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        const struct str value = js_skip(&r);
        const bool required = js_is(key, "required");
        if (required || js_is(key, "optional")) {
            read_inputs(value, required, c);
        }
    }
    sort_inputs(c);
}

/* Unchecks a custom class: it may take links of other types (a type equal to others,
   VALIDATE_INPUTS with input_types), and have unlisted outputs. */
static void let_loose(struct catalog_class *c)
{
    c->is_custom = true;
    c->outputs_known = false;
    for (size_t i = 0; i < c->inputs_len; i++) {
        free(c->inputs[i].links_of);
        c->inputs[i].links_of = NULL;
    }
}

static bool is_custom_module(struct js_token v)
{
    static const char module[] = "custom_nodes";
    return v.kind == JS_STRING && v.text.n >= sizeof module - 1 &&
           memcmp(v.text.p, module, sizeof module - 1) == 0;
}

static void digest_shape(struct catalog_class *c)
{
    AUTO_BUF struct buf all;
    buf_init(&all, BUF_NO_LIMIT);
    buf_printf(&all, "%d", c->is_output);
    for (size_t i = 0; i < c->inputs_len; i++) {
        const struct catalog_input *in = &c->inputs[i];
        buf_add_char(&all, '\0');
        buf_add_text(&all, in->name);
        buf_printf(&all, "/%d/%d/%d", (int)in->type, in->required, in->listed);
    }
    digest_sha256_hex(buf_str(&all), c->shape);
}

static struct catalog_class *class_read(struct str name, struct str text)
{
    struct catalog_class *c = mem_zero(1, sizeof *c);
    AUTO_BUF struct buf all;
    buf_init(&all, BUF_NO_LIMIT);
    buf_add_str(&all, name);
    buf_add_char(&all, '\0');
    buf_add_str(&all, text);
    digest_sha256_hex(buf_str(&all), c->digest);
    c->name = mem_copy(name);
    struct js_reader r;
    js_read_lenient(&r, text, JS_MAX_DEPTH);
    bool is_custom = false;
    (void)js_next(&r);
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        const struct js_token v = js_next(&r);
        const struct str value = js_rest(&r, v);
        if (js_is(key, "output_node")) {
            c->is_output = v.kind == JS_TRUE;
        } else if (js_is(key, "input")) {
            read_groups(value, c);
        } else if (js_is(key, "output")) {
            read_outputs(value, c);
        } else if (js_is(key, "python_module")) {
            is_custom = is_custom_module(v);
        }
    }
    if (is_custom) {
        let_loose(c);
    }
    digest_shape(c);
    return c;
}

bool catalog_draft_read(struct str body, struct catalog_draft *ret)
{
    *ret = (struct catalog_draft){.len = 0};
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    struct js_reader r;
    js_read_lenient(&r, body, JS_MAX_DEPTH);
    if (js_next(&r).kind != JS_OBJECT) {
        return false;
    }
    struct js_token key = js_next(&r);
    for (; key.kind == JS_KEY; key = js_next(&r)) {
        const struct str value = js_skip(&r);
        if (value.n == 0 || value.p[0] != '{') {
            continue;
        }
        buf_clear(&scratch);
        if ((ret->len & (ret->len - 1)) == 0) {
            const size_t cap = ret->len == 0 ? 1 : ret->len * 2;
            ret->classes = mem_grow(ret->classes, cap * sizeof(struct catalog_class *));
        }
        ret->classes[ret->len++] = class_read(js_text(key, &scratch), value);
    }
    if (key.kind != JS_OBJECT_END || js_next(&r).kind != JS_END) {
        catalog_draft_done(ret);
        return false;
    }
    return true;
}

void catalog_draft_done(struct catalog_draft *d)
{
    for (size_t i = 0; i < d->len; i++) {
        class_free(d->classes[i]);
    }
    free(d->classes);
    *d = (struct catalog_draft){.len = 0};
}

/* ---- sharing --------------------------------------------------------------------------------- */

void catalog_pool_init(struct catalog_pool *p)
{
    map_init(&p->classes);
}

void catalog_pool_done(struct catalog_pool *p)
{
    map_done(&p->classes);
}

static void release(struct catalog_pool *p, struct catalog_class *c)
{
    c->refs--;
    if (c->refs == 0) {
        (void)map_remove(&p->classes, str_of(c->digest));
        class_free(c);
    }
}

/* Returns the shared class equal to c (taken). */
static struct catalog_class *share(struct catalog_pool *p, struct catalog_class *take)
{
    struct catalog_class *c = map_get(&p->classes, str_of(take->digest));
    if (c != NULL) {
        class_free(take);
    } else {
        c = take;
        (void)map_put(&p->classes, str_of(c->digest), c);
    }
    c->refs++;
    return c;
}

/* ---- one server ------------------------------------------------------------------------------ */

void catalog_init(struct catalog *c)
{
    map_init(&c->classes);
    map_init(&c->replaced);
}

static void drop_replaced(struct catalog *c)
{
    size_t at = 0;
    for (char *name = map_next(&c->replaced, &at); name != NULL;
         name = map_next(&c->replaced, &at)) {
        free(name);
    }
    map_done(&c->replaced);
    map_init(&c->replaced);
}

static void drop_classes(struct map *classes, struct catalog_pool *p)
{
    size_t at = 0;
    for (struct catalog_class *x = map_next(classes, &at); x != NULL; x = map_next(classes, &at)) {
        release(p, x);
    }
    map_done(classes);
}

void catalog_done(struct catalog *c, struct catalog_pool *p)
{
    drop_classes(&c->classes, p);
    drop_replaced(c);
    map_done(&c->replaced);
}

static void draft_taken(struct catalog_draft *d)
{
    free(d->classes);
    *d = (struct catalog_draft){.len = 0};
}

bool catalog_replace(struct catalog *c, struct catalog_pool *p, struct catalog_draft *take)
{
    struct map old = c->classes;
    bool changed = old.len != take->len;
    map_init(&c->classes);
    for (size_t i = 0; i < take->len; i++) {
        struct catalog_class *x = share(p, take->classes[i]);
        changed = changed || map_get(&old, str_of(x->name)) != x;
        struct catalog_class *twin = map_put(&c->classes, str_of(x->name), x);
        if (twin != NULL) { /* duplicate: the last one counts */
            release(p, twin);
        }
    }
    draft_taken(take);
    drop_classes(&old, p);
    return changed;
}

bool catalog_update(struct catalog *c, struct catalog_pool *p, struct str name,
                    struct catalog_draft *take)
{
    struct catalog_class *found = NULL;
    for (size_t i = 0; i < take->len; i++) {
        if (found == NULL && str_is(name, take->classes[i]->name)) {
            found = share(p, take->classes[i]);
        } else {
            class_free(take->classes[i]);
        }
    }
    draft_taken(take);
    struct catalog_class *old = map_remove(&c->classes, name);
    if (found != NULL) {
        (void)map_put(&c->classes, str_of(found->name), found);
    }
    const bool changed = found != old;
    if (old != NULL) {
        release(p, old);
    }
    return changed;
}

bool catalog_read_replacements(struct catalog *c, struct str body)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    const size_t before = c->replaced.len;
    size_t known = 0;
    struct js_reader r;
    js_read_lenient(&r, body, JS_MAX_DEPTH);
    if (js_next(&r).kind != JS_OBJECT) {
        return false;
    }
    struct map now;
    map_init(&now);
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        buf_clear(&scratch);
        const struct str name = js_text(key, &scratch);
        if (map_get(&now, name) == NULL) {
            char *kept = mem_copy(name);
            known += map_get(&c->replaced, name) != NULL ? 1 : 0;
            (void)map_put(&now, (struct str){kept, name.n}, kept);
        }
        (void)js_skip(&r);
    }
    drop_replaced(c);
    c->replaced = now;
    return known != before || now.len != before;
}

const struct catalog_class *catalog_find(const struct catalog *c, struct str name)
{
    return map_get(&c->classes, name);
}

bool catalog_knows(const struct catalog *c, struct str name)
{
    return map_get(&c->classes, name) != NULL || map_get(&c->replaced, name) != NULL;
}
