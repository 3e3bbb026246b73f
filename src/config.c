/*
 * The configuration file. libyaml walks it first against the table of keys and reports every error
 * with its line; libcyaml, which stops at its first error and names no line of it, then loads what
 * passed, with a schema made from the same table. The table, the checks of values and every other
 * source are in config_keys.c. Invariant: what the walk accepts, libcyaml accepts with the same
 * meaning. Cost: one pass each over at most 1 MiB.
 */
#include "config.h"

#include <cyaml/cyaml.h>
#include <stdarg.h>
#include <stdlib.h>
#include <yaml.h>

#include "comfypool/core/event.h"
#include "config_inner.h"

enum { MAX_FILE = 1 << 20 };

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* ---- the walk ----------------------------------------------------------------------------------
 */

/* What a mapping has been seen to hold: the line of each key, 0 for none. */
struct seen {
    unsigned keys[CONFIG_KEY_COUNT];
};

/* One backend of the file; of b the walk sets name, url, headers and where. */
struct item {
    struct config_backend b;
    struct seen seen;
};

/* One rule: which keys it has. */
struct rule_item {
    struct seen seen;
};

struct walk {
    yaml_parser_t parser;
    yaml_event_t event; /* the present one */
    const char *path;
    struct str text;
    struct buf *errors;
    bool good;
    bool broken; /* no further event will come */
    bool empty;  /* there is no document, or nothing in it */
    struct seen seen;
    unsigned sections[CONFIG_SECTION_COUNT];
    char **listen;
    size_t listen_len;
    struct item *items;
    size_t items_len;
    struct rule_item *rules;
    size_t rules_len;
};

__attribute__((format(printf, 3, 4))) static void complain(struct walk *w, unsigned line,
                                                           const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buf_printf(w->errors, "%s:%u: %s\n", w->path, line, text);
    w->good = false;
}

static unsigned line_of(const struct walk *w)
{
    return (unsigned)w->event.start_mark.line + 1;
}

/* Of a byte, for libyaml's reader errors: they have no line. */
static unsigned line_at(struct str text, size_t offset)
{
    unsigned line = 1;
    for (size_t i = 0; i < text.n && i < offset; i++) {
        line += text.p[i] == '\n';
    }
    return line;
}

static void complain_syntax(struct walk *w)
{
    const yaml_parser_t *p = &w->parser;
    const char *problem = p->problem == NULL ? "this is no YAML" : p->problem;
    if (p->error == YAML_READER_ERROR) {
        complain(w, line_at(w->text, p->problem_offset), "%s", problem);
    } else if (p->context != NULL && p->context_mark.line != p->problem_mark.line) {
        complain(w, (unsigned)p->problem_mark.line + 1, "%s (%s from line %u)", problem, p->context,
                 (unsigned)p->context_mark.line + 1);
    } else {
        complain(w, (unsigned)p->problem_mark.line + 1, "%s", problem);
    }
    w->broken = true;
}

static void complain_reference(struct walk *w)
{
    const yaml_event_t *e = &w->event;
    const void *anchor = NULL;
    const void *tag = NULL;
    if (e->type == YAML_SCALAR_EVENT) {
        anchor = e->data.scalar.anchor;
        tag = e->data.scalar.tag;
    } else if (e->type == YAML_SEQUENCE_START_EVENT) {
        anchor = e->data.sequence_start.anchor;
        tag = e->data.sequence_start.tag;
    } else if (e->type == YAML_MAPPING_START_EVENT) {
        anchor = e->data.mapping_start.anchor;
        tag = e->data.mapping_start.tag;
    }
    if (anchor != NULL || e->type == YAML_ALIAS_EVENT) {
        complain(w, line_of(w), "anchors (&) and aliases (*) are not supported; write it out");
    }
    if (tag != NULL) {
        complain(w, line_of(w), "tags (!) are not supported");
    }
}

/* On a syntax error the present event becomes YAML_NO_EVENT and broken is set. */
static void advance(struct walk *w)
{
    if (w->broken) {
        return;
    }
    yaml_event_delete(&w->event);
    if (yaml_parser_parse(&w->parser, &w->event) == 0) {
        w->event = (yaml_event_t){.type = YAML_NO_EVENT};
        complain_syntax(w);
        return;
    }
    complain_reference(w);
}

/* Depth change that an event makes. */
static int step(const yaml_event_t *e)
{
    if (e->type == YAML_MAPPING_START_EVENT || e->type == YAML_SEQUENCE_START_EVENT) {
        return 1;
    }
    return e->type == YAML_MAPPING_END_EVENT || e->type == YAML_SEQUENCE_END_EVENT ? -1 : 0;
}

/* From the first event of a value to its last. */
static void skip(struct walk *w)
{
    int depth = step(&w->event);
    while (depth > 0 && !w->broken) {
        advance(w);
        depth += step(&w->event);
    }
}

static bool is_scalar(const struct walk *w)
{
    return w->event.type == YAML_SCALAR_EVENT;
}

static struct str scalar_text(const struct walk *w)
{
    return (struct str){(const char *)w->event.data.scalar.value, w->event.data.scalar.length};
}

static bool is_quoted(const struct walk *w)
{
    return w->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
}

/* Nothing at all, ~ or null: for lists and sections the same as leaving it out. */
static bool is_null(const struct walk *w)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; is_scalar(w) && !is_quoted(w) && i < sizeof words / sizeof *words; i++) {
        if (str_is(scalar_text(w), words[i])) {
            return true;
        }
    }
    return false;
}

typedef void (*member_fn)(struct walk *w, void *ctx, struct str name, unsigned line);

/* Calls fn for each member, its value's first event being the present one. */
static void walk_mapping(struct walk *w, member_fn fn, void *ctx)
{
    for (advance(w); !w->broken && w->event.type != YAML_MAPPING_END_EVENT; advance(w)) {
        if (!is_scalar(w)) {
            complain(w, line_of(w), "a key must be a word");
            skip(w);
            advance(w);
            skip(w);
            continue;
        }
        const unsigned line = line_of(w);
        AUTO_FREE char *name = mem_copy(scalar_text(w));
        const struct str key = {name, w->event.data.scalar.length};
        advance(w);
        if (!w->broken) {
            fn(w, ctx, key, line);
        }
    }
}

/* False after a complaint when this name was there before; remembers it. */
static bool is_first(struct walk *w, unsigned *first, const char *path, unsigned line)
{
    if (*first != 0) {
        complain(w, line, "%s is given twice (first in line %u)", path, *first);
        return false;
    }
    *first = line;
    return true;
}

/* A name as it can be shown: short and without control characters. */
static void show(struct str name, char ret[64])
{
    size_t n = 0;
    for (; n < name.n && n < 60; n++) {
        const unsigned char c = (unsigned char)name.p[n];
        ret[n] = (char)(c < ' ' || c == 0x7f ? '?' : c);
    }
    ret[n] = '\0';
}

static void complain_unknown(struct walk *w, const char *section, struct str name, unsigned line)
{
    char near[CONFIG_PATH_SIZE];
    char shown[64];
    const char *dot = *section == '\0' ? "" : ".";
    show(name, shown);
    if (config_key_suggest(section, name, near)) {
        complain(w, line, "%s%s%s is not known; did you mean %s?", section, dot, shown, near);
    } else {
        complain(w, line, "%s%s%s is not known", section, dot, shown);
    }
}

/* ---- values ------------------------------------------------------------------------------------
 */

/* The text of a value that passed its check, or NULL. Owner: the caller. */
static char *read_value(struct walk *w, const struct config_key *k)
{
    char path[CONFIG_PATH_SIZE];
    char why[CONFIG_WHY_SIZE];
    const unsigned line = line_of(w);
    config_key_path(k, path);
    if (!is_scalar(w)) {
        if (w->event.type != YAML_ALIAS_EVENT) {
            complain(w, line, "%s must be one value (%s), no list or section", path, k->unit);
        }
        skip(w);
    } else if (is_null(w)) {
        complain(w, line, "%s has no value; give it one or leave it out", path);
    } else if (is_quoted(w) && (k->kind == CONFIG_INT || k->kind == CONFIG_BOOL)) {
        complain(w, line, "%s must be %s without quotes", path,
                 k->kind == CONFIG_INT ? "a number" : "true or false");
    } else if (!config_value_check(k, scalar_text(w), why)) {
        complain(w, line, "%s: %s", path, why);
    } else {
        return mem_copy(scalar_text(w));
    }
    return NULL;
}

/* A list of plain values; libcyaml keeps it. */
static void walk_list(struct walk *w, const struct config_key *k)
{
    char path[CONFIG_PATH_SIZE];
    char why[CONFIG_WHY_SIZE];
    config_key_path(k, path);
    if (is_null(w)) {
        return;
    }
    if (w->event.type != YAML_SEQUENCE_START_EVENT) {
        complain(w, line_of(w), "%s must be a list (%s), such as [a, b]", path, k->unit);
        skip(w);
        return;
    }
    for (advance(w); !w->broken && w->event.type != YAML_SEQUENCE_END_EVENT; advance(w)) {
        if (!is_scalar(w)) {
            complain(w, line_of(w), "%s: an entry must be one value", path);
            skip(w);
        } else if (!config_entry_check(k, scalar_text(w), why)) {
            complain(w, line_of(w), "%s: %s", path, why);
        }
    }
}

static void walk_address(struct walk *w)
{
    char why[CONFIG_WHY_SIZE];
    if (!is_scalar(w)) {
        complain(w, line_of(w), "listen: an address is HOST:PORT");
        skip(w);
        return;
    }
    if (!config_address_check(scalar_text(w), why)) {
        complain(w, line_of(w), "listen: %s", why);
        return;
    }
    for (size_t i = 0; i < w->listen_len; i++) {
        if (str_is(scalar_text(w), w->listen[i]) && !str_ends_with(scalar_text(w), STR(":0"))) {
            complain(w, line_of(w), "listen: %s is given twice", w->listen[i]);
            return;
        }
    }
    w->listen = mem_grow(w->listen, (w->listen_len + 1) * sizeof *w->listen);
    w->listen[w->listen_len++] = mem_copy(scalar_text(w));
}

static void walk_listen(struct walk *w)
{
    const unsigned line = line_of(w);
    size_t len = 0;
    if (is_null(w)) {
        return;
    }
    if (w->event.type != YAML_SEQUENCE_START_EVENT) {
        complain(w, line, "listen must be a list, such as [127.0.0.1:8189]");
        skip(w);
        return;
    }
    for (advance(w); !w->broken && w->event.type != YAML_SEQUENCE_END_EVENT; advance(w)) {
        walk_address(w);
        len++;
    }
    if (len == 0 && !w->broken) {
        complain(w, line, "listen must name at least one address");
    }
}

/* ---- backends ----------------------------------------------------------------------------------
 */

/* Relative to the directory of the configuration file. Owner: the caller. */
static char *beside(const char *config_path, const char *path)
{
    const char *slash = strrchr(config_path, '/');
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    if (*path != '/' && slash != NULL) {
        buf_add(&b, config_path, (size_t)(slash - config_path) + 1);
    }
    buf_add_text(&b, path);
    return buf_take(&b);
}

static void read_headers(struct walk *w, struct item *item, const char *path, unsigned line)
{
    char where[1024];
    (void)snprintf(where, sizeof where, "%s:%u: %s.headersFile", w->path, line, CONFIG_ITEM);
    item->b.headers_file = beside(w->path, path);
    w->good =
        config_headers_read(item->b.headers_file, where, &item->b.headers, w->errors) && w->good;
}

static void backend_member(struct walk *w, void *ctx, struct str name, unsigned line)
{
    struct item *item = ctx;
    const struct config_key *k = config_key_find(CONFIG_ITEM, name);
    char path[CONFIG_PATH_SIZE];
    if (k == NULL) {
        complain_unknown(w, CONFIG_ITEM, name, line);
        skip(w);
        return;
    }
    config_key_path(k, path);
    if (!is_first(w, &item->seen.keys[k - config_keys], path, line)) {
        skip(w);
        return;
    }
    if (config_key_is_list(k)) {
        walk_list(w, k);
        return;
    }
    const unsigned at = line_of(w);
    AUTO_FREE char *text = read_value(w, k);
    if (text != NULL && (k->kind == CONFIG_NAME || k->kind == CONFIG_URL)) {
        config_value_store(k, &item->b, text);
    } else if (text != NULL && k->kind == CONFIG_PATH) {
        read_headers(w, item, text, at);
    }
}

static void walk_backend(struct walk *w)
{
    const unsigned line = line_of(w);
    if (w->event.type != YAML_MAPPING_START_EVENT) {
        complain(w, line, "a backend must be a mapping, such as {url: http://127.0.0.1:8188}");
        skip(w);
        return;
    }
    w->items = mem_grow(w->items, (w->items_len + 1) * sizeof *w->items);
    struct item *item = &w->items[w->items_len++];
    *item = (struct item){0};
    walk_mapping(w, backend_member, item);
    if (item->seen.keys[config_key_find(CONFIG_ITEM, STR("url")) - config_keys] == 0 &&
        !w->broken) {
        complain(w, line, "a backend needs a url, such as http://127.0.0.1:8188");
    }
    AUTO_BUF struct buf where;
    buf_init(&where, BUF_NO_LIMIT);
    buf_printf(&where, "%s:%u", w->path, line);
    item->b.where = buf_take(&where);
    if (item->b.name == NULL && item->b.url != NULL) {
        item->b.name = config_backend_derive_name(item->b.url);
    }
}

static void walk_backends(struct walk *w)
{
    if (is_null(w)) {
        return;
    }
    if (w->event.type != YAML_SEQUENCE_START_EVENT) {
        complain(w, line_of(w), "backends must be a list: lines that begin with \"- url: ...\"");
        skip(w);
        return;
    }
    for (advance(w); !w->broken && w->event.type != YAML_SEQUENCE_END_EVENT; advance(w)) {
        walk_backend(w);
    }
}

/* Names and servers, of the backends that have them. */
static void check_backends(struct walk *w)
{
    struct config_backend *b = mem_zero(w->items_len + 1, sizeof *b);
    size_t len = 0;
    for (size_t i = 0; i < w->items_len; i++) {
        if (w->items[i].b.url != NULL) {
            b[len++] = w->items[i].b;
        }
    }
    w->good = config_backends_check(b, len, w->errors) && w->good;
    free(b);
}

/* ---- rules -------------------------------------------------------------------------------------
 */

static void rule_member(struct walk *w, void *ctx, struct str name, unsigned line)
{
    struct rule_item *item = ctx;
    const struct config_key *k = config_key_find(CONFIG_RULE, name);
    char path[CONFIG_PATH_SIZE];
    if (k == NULL) {
        complain_unknown(w, CONFIG_RULE, name, line);
        skip(w);
        return;
    }
    config_key_path(k, path);
    if (!is_first(w, &item->seen.keys[k - config_keys], path, line)) {
        skip(w);
    } else if (config_key_is_list(k)) {
        walk_list(w, k);
    } else {
        free(read_value(w, k));
    }
}

static bool rule_has(const struct rule_item *item, const char *name)
{
    return item->seen.keys[config_key_find(CONFIG_RULE, str_of(name)) - config_keys] != 0;
}

static void walk_rule(struct walk *w)
{
    const unsigned line = line_of(w);
    if (w->event.type != YAML_MAPPING_START_EVENT) {
        complain(w, line, "a rule must be a mapping, such as {metadata: team=blue, backends: [a]}");
        skip(w);
        return;
    }
    w->rules = mem_grow(w->rules, (w->rules_len + 1) * sizeof *w->rules);
    struct rule_item *item = &w->rules[w->rules_len++];
    memset(item, 0, sizeof *item);
    walk_mapping(w, rule_member, item);
    const int jobs = (rule_has(item, "workflowHash") ? 1 : 0) +
                     (rule_has(item, "metadata") ? 1 : 0) + (rule_has(item, "label") ? 1 : 0);
    if (jobs != 1 && !w->broken) {
        complain(w, line, "a rule has one of workflowHash, metadata and label");
    }
    if (!rule_has(item, "backends") && !w->broken) {
        complain(w, line, "a rule names its backends");
    }
}

static void walk_rules(struct walk *w)
{
    if (is_null(w)) {
        return;
    }
    if (w->event.type != YAML_SEQUENCE_START_EVENT) {
        complain(w, line_of(w), "routing.rules must be a list of mappings");
        skip(w);
        return;
    }
    for (advance(w); !w->broken && w->event.type != YAML_SEQUENCE_END_EVENT; advance(w)) {
        walk_rule(w);
    }
}

/* ---- sections and the top ----------------------------------------------------------------------
 */

static void walk_key(struct walk *w, const struct config_key *k, unsigned line)
{
    char path[CONFIG_PATH_SIZE];
    config_key_path(k, path);
    if (!is_first(w, &w->seen.keys[k - config_keys], path, line)) {
        skip(w);
    } else if (k->kind == CONFIG_ADDRESSES) {
        walk_listen(w);
    } else if (k->kind == CONFIG_BACKENDS) {
        walk_backends(w);
    } else if (k->kind == CONFIG_RULES) {
        walk_rules(w);
    } else if (config_key_is_list(k)) {
        walk_list(w, k);
    } else {
        free(read_value(w, k));
    }
}

static void section_member(struct walk *w, void *ctx, struct str name, unsigned line)
{
    const char *section = ctx;
    const struct config_key *k = config_key_find(section, name);
    if (k == NULL) {
        complain_unknown(w, section, name, line);
        skip(w);
        return;
    }
    walk_key(w, k, line);
}

static void walk_section(struct walk *w, size_t i, unsigned line)
{
    const char *section = config_sections[i];
    if (!is_first(w, &w->sections[i], section, line)) {
        skip(w);
    } else if (w->event.type == YAML_MAPPING_START_EVENT) {
        walk_mapping(w, section_member, (void *)(uintptr_t)section);
    } else if (!is_null(w)) {
        complain(w, line, "%s must be a section: its keys stand indented below it", section);
        skip(w);
    }
}

static void top_member(struct walk *w, void *ctx, struct str name, unsigned line)
{
    (void)ctx;
    for (size_t i = 0; i < CONFIG_SECTION_COUNT; i++) {
        if (str_is(name, config_sections[i])) {
            walk_section(w, i, line);
            return;
        }
    }
    section_member(w, (void *)(uintptr_t) "", name, line);
}

static void walk_document(struct walk *w)
{
    advance(w);
    if (w->broken || is_null(w)) {
        w->empty = true;
    } else if (w->event.type == YAML_MAPPING_START_EVENT) {
        walk_mapping(w, top_member, NULL);
    } else {
        complain(w, line_of(w), "the file must be a mapping: lines of KEY: VALUE");
        skip(w);
    }
    advance(w); /* document end */
    advance(w);
    if (w->event.type == YAML_DOCUMENT_START_EVENT) {
        complain(w, line_of(w), "only one document is read; remove what follows the ---");
    }
}

static void walk_file(struct walk *w)
{
    if (yaml_parser_initialize(&w->parser) == 0) {
        abort(); /* out of memory */
    }
    yaml_parser_set_input_string(&w->parser, (const unsigned char *)w->text.p, w->text.n);
    advance(w); /* stream start */
    advance(w);
    if (w->event.type == YAML_DOCUMENT_START_EVENT) {
        walk_document(w);
    } else {
        w->empty = true;
    }
    yaml_event_delete(&w->event);
    yaml_parser_delete(&w->parser);
    check_backends(w);
}

static void walk_done(struct walk *w)
{
    for (size_t i = 0; i < w->items_len; i++) {
        config_backend_done(&w->items[i].b);
    }
    free(w->items);
    free(w->rules);
    for (size_t i = 0; i < w->listen_len; i++) {
        free(w->listen[i]);
    }
    free(w->listen);
}

/* ---- libcyaml ----------------------------------------------------------------------------------
 */

/*
 * What libcyaml fills: top-level keys in flat, each section in a struct config of its own, so that
 * the offsets of the table hold for all of them and an empty section is a NULL.
 */
struct loaded {
    struct config flat;
    struct config *sections[CONFIG_SECTION_COUNT];
};

struct schema {
    cyaml_schema_value_t top;
    cyaml_schema_value_t text; /* an entry of a list */
    cyaml_schema_value_t item;
    cyaml_schema_value_t rule;
    cyaml_schema_field_t top_fields[CONFIG_KEY_COUNT + CONFIG_SECTION_COUNT + 1];
    cyaml_schema_field_t item_fields[CONFIG_KEY_COUNT + 1];
    cyaml_schema_field_t rule_fields[CONFIG_KEY_COUNT + 1];
    cyaml_schema_field_t section_fields[CONFIG_SECTION_COUNT][CONFIG_KEY_COUNT + 1];
};

static const cyaml_strval_t level_words[] = {
    {"error", LOG_ERROR},
    {"warning", LOG_WARN},
    {"info", LOG_INFO},
    {"debug", LOG_DEBUG},
};

static const cyaml_strval_t class_words[] = {
#define X(symbol, name, by_default) {name, 1 << symbol},
    RETRY_CLASS_TABLE(X)
#undef X
};

static const cyaml_strval_t event_words[] = {
#define X(symbol, name, durable, hook) {name, 1 << symbol},
    EVENT_TABLE(X)
#undef X
};

static const cyaml_strval_t keep_words[] = {{"none", CONFIG_KEEP_NONE}, {"copy", CONFIG_KEEP_COPY}};

static cyaml_schema_value_t scalar_schema(const struct config_key *k)
{
    cyaml_schema_value_t v = {.type = CYAML_STRING,
                              .flags = CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER,
                              .data_size = sizeof(char),
                              .string = {0, CYAML_UNLIMITED}};
    if (k->kind == CONFIG_INT) {
        v = (cyaml_schema_value_t){
            .type = CYAML_INT, .flags = CYAML_FLAG_OPTIONAL, .data_size = sizeof(int64_t)};
    } else if (k->kind == CONFIG_BOOL) {
        v = (cyaml_schema_value_t){
            .type = CYAML_BOOL, .flags = CYAML_FLAG_OPTIONAL, .data_size = sizeof(bool)};
    } else if (k->kind == CONFIG_LEVEL) {
        v = (cyaml_schema_value_t){
            .type = CYAML_ENUM,
            .flags = CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT,
            .data_size = sizeof(enum log_level),
            .enumeration = {level_words, sizeof level_words / sizeof *level_words}};
    } else if (k->kind == CONFIG_KEEP) {
        v = (cyaml_schema_value_t){.type = CYAML_ENUM,
                                   .flags = CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT,
                                   .data_size = sizeof(enum config_keep),
                                   .enumeration = {keep_words, COUNT(keep_words)}};
    } else if (config_key_is_mask(k)) {
        v = (cyaml_schema_value_t){.type = CYAML_FLAGS,
                                   .flags = CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT,
                                   .data_size = sizeof(unsigned),
                                   .enumeration = {class_words, COUNT(class_words)}};
        if (k->kind == CONFIG_EVENTS) {
            v.enumeration.strings = event_words;
            v.enumeration.count = COUNT(event_words);
        }
    }
    return v;
}

static cyaml_schema_field_t list_field(const struct config_key *k, size_t count_offset,
                                       const cyaml_schema_value_t *entry)
{
    return (cyaml_schema_field_t){
        .key = k->name,
        .data_offset = (uint32_t)k->offset,
        .count_offset = (uint32_t)count_offset,
        .count_size = sizeof(unsigned),
        .value = {.type = CYAML_SEQUENCE,
                  .flags = CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER_NULL_STR,
                  .data_size = (entry->flags & CYAML_FLAG_POINTER) != 0 ? (uint32_t)sizeof(void *)
                                                                        : entry->data_size,
                  .sequence = {entry, 0, CYAML_UNLIMITED}}};
}

static cyaml_schema_field_t key_field(const struct schema *s, const struct config_key *k)
{
    if (k->kind == CONFIG_ADDRESSES) {
        return list_field(k, offsetof(struct config, listen_len), &s->text);
    }
    if (config_key_is_list(k) && !config_key_is_mask(k)) {
        return list_field(k, k->offset + offsetof(struct config_list, len), &s->text);
    }
    if (k->kind == CONFIG_BACKENDS) {
        return list_field(k, offsetof(struct config, backends_len), &s->item);
    }
    if (k->kind == CONFIG_RULES) {
        return list_field(k, offsetof(struct config, routing_rules_len), &s->rule);
    }
    return (cyaml_schema_field_t){
        .key = k->name, .data_offset = (uint32_t)k->offset, .value = scalar_schema(k)};
}

/* The fields of one section of the table, "" included. Returns how many. */
static size_t add_fields(const struct schema *s, const char *section, cyaml_schema_field_t *ret)
{
    size_t len = 0;
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (strcmp(config_keys[i].section, section) == 0) {
            ret[len++] = key_field(s, &config_keys[i]);
        }
    }
    return len;
}

/* The schema points into itself: it must not move. Its arrays end with a zero key. */
static void build_schema(struct schema *s)
{
    *s = (struct schema){0};
    s->text = (cyaml_schema_value_t){.type = CYAML_STRING,
                                     .flags = CYAML_FLAG_POINTER,
                                     .data_size = sizeof(char),
                                     .string = {0, CYAML_UNLIMITED}};
    s->item = (cyaml_schema_value_t){.type = CYAML_MAPPING,
                                     .data_size = sizeof(struct config_backend),
                                     .mapping = {s->item_fields}};
    s->rule = (cyaml_schema_value_t){.type = CYAML_MAPPING,
                                     .data_size = sizeof(struct config_rule),
                                     .mapping = {s->rule_fields}};
    s->top = (cyaml_schema_value_t){.type = CYAML_MAPPING,
                                    .flags = CYAML_FLAG_POINTER,
                                    .data_size = sizeof(struct loaded),
                                    .mapping = {s->top_fields}};
    (void)add_fields(s, CONFIG_ITEM, s->item_fields);
    (void)add_fields(s, CONFIG_RULE, s->rule_fields);
    const size_t len = add_fields(s, "", s->top_fields);
    for (size_t i = 0; i < CONFIG_SECTION_COUNT; i++) {
        (void)add_fields(s, config_sections[i], s->section_fields[i]);
        s->top_fields[len + i] = (cyaml_schema_field_t){
            .key = config_sections[i],
            .data_offset = (uint32_t)(offsetof(struct loaded, sections) + i * sizeof(void *)),
            .value = {.type = CYAML_MAPPING,
                      .flags = CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER_NULL_STR,
                      .data_size = sizeof(struct config),
                      .mapping = {s->section_fields[i]}}};
    }
}

/* ---- from what was loaded to the configuration -------------------------------------------------
 */

static size_t value_size(enum config_kind kind)
{
    switch (kind) {
    case CONFIG_INT:
        return sizeof(int64_t);
    case CONFIG_BOOL:
        return sizeof(bool);
    case CONFIG_LEVEL:
        return sizeof(enum log_level);
    case CONFIG_KEEP:
        return sizeof(enum config_keep);
    case CONFIG_TEXT:
    case CONFIG_NAME:
    case CONFIG_URL:
    case CONFIG_PATH:
    case CONFIG_BESIDE:
    case CONFIG_GPU:
    case CONFIG_ENDPOINT:
    case CONFIG_HASH:
    case CONFIG_PAIR:
    case CONFIG_LABEL:
        return sizeof(char *);
    case CONFIG_CLASSES:
    case CONFIG_EVENTS:
        return sizeof(unsigned);
    case CONFIG_LABELS:
    case CONFIG_HOSTS:
    case CONFIG_ORIGINS:
    case CONFIG_RECEIVERS:
    case CONFIG_NETWORKS:
    case CONFIG_NAMES:
    case CONFIG_NODE_CLASSES:
    case CONFIG_INPUTS:
        return sizeof(struct config_list);
    case CONFIG_ADDRESSES:
    case CONFIG_BACKENDS:
    case CONFIG_RULES:
        break;
    }
    return 0;
}

/* Exchanges a value, so that each side frees what it then has. */
static void swap_value(const struct config_key *k, void *left, void *right)
{
    char a[sizeof(struct config_list)]; /* the largest one */
    const size_t n = value_size(k->kind);
    memcpy(a, (char *)left + k->offset, n);
    memcpy((char *)left + k->offset, (char *)right + k->offset, n);
    memcpy((char *)right + k->offset, a, n);
}

static struct config *source_of(struct loaded *l, const struct config_key *k)
{
    for (size_t i = 0; i < CONFIG_SECTION_COUNT; i++) {
        if (strcmp(k->section, config_sections[i]) == 0) {
            return l->sections[i];
        }
    }
    return &l->flat;
}

/* The path at *place becomes one that holds wherever the daemon runs. */
static void make_beside(const struct walk *w, void *place)
{
    char **path = place;
    char *full = beside(w->path, *path);
    free(*path);
    *path = full;
}

static void take_value(struct config *c, const struct walk *w, struct loaded *l,
                       const struct config_key *k)
{
    swap_value(k, c, source_of(l, k));
    if (k->kind == CONFIG_BESIDE) {
        make_beside(w, (char *)c + k->offset);
    }
}

static void take_values(struct config *c, const struct walk *w, struct loaded *l)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (w->seen.keys[i] != 0) {
            take_value(c, w, l, &config_keys[i]);
        }
    }
    if (l->flat.listen_len > 0 && c->listen_from <= CONFIG_FILE) {
        char **listen = c->listen;
        const unsigned len = c->listen_len;
        c->listen = l->flat.listen;
        c->listen_len = l->flat.listen_len;
        c->listen_from = CONFIG_FILE;
        l->flat.listen = listen;
        l->flat.listen_len = len;
    }
}

/* One backend: what the file says from libcyaml, the rest from the walk and the defaults. */
static void take_backend(const struct walk *w, struct config_backend *to, struct item *item,
                         struct config_backend *from)
{
    *to = (struct config_backend){0};
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *k = &config_keys[i];
        if (strcmp(k->section, CONFIG_ITEM) != 0 || k->kind == CONFIG_PATH) {
            continue;
        }
        if (item->seen.keys[i] != 0) {
            swap_value(k, to, from);
            if (k->kind == CONFIG_BESIDE) {
                make_beside(w, (char *)to + k->offset);
            }
        } else if (k->fallback != NULL) {
            config_value_store(k, to, k->fallback);
        }
    }
    if (to->name == NULL) {
        to->name = config_backend_derive_name(to->url);
    }
    to->headers_file = item->b.headers_file;
    to->headers = item->b.headers;
    to->where = item->b.where;
    item->b.headers_file = NULL;
    item->b.headers = NULL;
    item->b.where = NULL;
}

static void take_backends(struct config *c, struct walk *w, struct loaded *l)
{
    const struct config_key *key = config_key_find("", STR("backends"));
    if (w->seen.keys[key - config_keys] == 0 || c->backends_from > CONFIG_FILE) {
        return;
    }
    for (unsigned i = 0; i < c->backends_len; i++) {
        config_backend_done(&c->backends[i]);
    }
    free(c->backends);
    c->backends_len = l->flat.backends_len;
    c->backends = mem_zero(c->backends_len + 1U, sizeof *c->backends);
    c->backends_from = CONFIG_FILE;
    for (unsigned i = 0; i < c->backends_len; i++) {
        take_backend(w, &c->backends[i], &w->items[i], &l->flat.backends[i]);
    }
}

static void take_rule(struct config_rule *to, const struct rule_item *item,
                      struct config_rule *from)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (item->seen.keys[i] != 0) {
            swap_value(&config_keys[i], to, from);
        }
    }
}

static void take_rules(struct config *c, struct walk *w, struct loaded *l)
{
    const struct config_key *key = config_key_find("routing", STR("rules"));
    if (w->seen.keys[key - config_keys] == 0) {
        return;
    }
    struct config *from = source_of(l, key);
    for (unsigned i = 0; i < c->routing_rules_len; i++) {
        config_rule_done(&c->routing_rules[i]);
    }
    free(c->routing_rules);
    c->routing_rules_len = from->routing_rules_len;
    c->routing_rules = mem_zero(c->routing_rules_len + 1U, sizeof *c->routing_rules);
    for (unsigned i = 0; i < c->routing_rules_len; i++) {
        take_rule(&c->routing_rules[i], &w->rules[i], &from->routing_rules[i]);
    }
}

/* Silent: the walk has said everything; what is left is a disagreement between the two. */
static bool load(struct config *c, struct walk *w)
{
    static const cyaml_config_t settings = {
        .log_fn = NULL, .mem_fn = cyaml_mem, .flags = CYAML_CFG_NO_ALIAS};
    struct schema *schema = mem_zero(1, sizeof *schema);
    struct loaded *loaded = NULL;
    build_schema(schema);
    const cyaml_err_t e = cyaml_load_data((const uint8_t *)w->text.p, w->text.n, &settings,
                                          &schema->top, (cyaml_data_t **)(void *)&loaded, NULL);
    if (e != CYAML_OK) {
        complain(w, 1, "the file cannot be loaded: %s", cyaml_strerror(e));
    } else {
        take_values(c, w, loaded);
        take_backends(c, w, loaded);
        take_rules(c, w, loaded);
        (void)cyaml_free(&settings, &schema->top, loaded, 0);
    }
    free(schema);
    return w->good;
}

bool config_load_file(struct config *c, const char *path, struct buf *errors)
{
    char why[CONFIG_WHY_SIZE];
    AUTO_BUF struct buf text;
    buf_init(&text, BUF_NO_LIMIT);
    if (!config_file_read(path, MAX_FILE, &text, why)) {
        buf_printf(errors, "%s: %s\n", path, why);
        return false;
    }
    (void)buf_text(&text); /* an empty file has content to point to as well */
    struct walk w = {.path = path, .text = buf_str(&text), .errors = errors, .good = true};
    walk_file(&w);
    const bool good = w.good && (w.empty || load(c, &w));
    walk_done(&w);
    return good;
}
