/*
 * The configuration file: one walk over the events of libyaml, which checks each value against the
 * table of keys and stores it. Every error is told with its line. Values go into a configuration of
 * their own first, so that a file with errors changes nothing. The keys, the kinds of values and
 * every other source are in keys.c and kinds.c. Cost: one pass over at most 1 MiB.
 */
#include "comfypool/config/config.h"

#include <stdarg.h>
#include <stdlib.h>
#include <yaml.h>

#include "inner.h"

enum { MAX_FILE = 1 << 20 };

/* ---- the walk -------------------------------------------------------------------------------- */

/* The line of each key that a mapping has; 0: it has it not. */
struct seen {
    unsigned keys[CONFIG_KEY_COUNT];
};

struct walk {
    yaml_parser_t parser;
    yaml_event_t event; /* the present one */
    const char *path;
    struct str text;
    struct buf *errors;
    bool good;
    bool broken;        /* no further event will come */
    struct config read; /* what the file says; the rest of it is empty */
    struct seen seen;
    unsigned sections[CONFIG_SECTION_COUNT]; /* the line of each; 0: it is not there */
};

/* A mapping: which keys it may have, and where their values go. */
struct scope {
    const char *section;
    void *base;
    struct seen *seen;
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

/* ---- values ---------------------------------------------------------------------------------- */

/* Each stores the value of a key, whose first event is the present one, into the struct that the
   offset of the key counts from. */
typedef void walk_fn(struct walk *w, const struct config_key *k, void *base);

/* False after a complaint. */
static bool read_value(struct walk *w, const struct config_key *k, void *base)
{
    char path[CONFIG_PATH_SIZE];
    char why[CONFIG_WHY_SIZE];
    const unsigned line = line_of(w);
    const char *unquoted = config_kinds[k->kind].unquoted;
    config_key_path(k, path);
    if (!is_scalar(w)) {
        if (w->event.type != YAML_ALIAS_EVENT) {
            complain(w, line, "%s must be one value (%s), no list or section", path, k->unit);
        }
        skip(w);
    } else if (is_null(w)) {
        complain(w, line, "%s has no value; give it one or leave it out", path);
    } else if (is_quoted(w) && unquoted != NULL) {
        complain(w, line, "%s must be %s without quotes", path, unquoted);
    } else if (!config_value_read(k, scalar_text(w), config_place(k, base), why)) {
        complain(w, line, "%s: %s", path, why);
    } else {
        return true;
    }
    return false;
}

static void walk_value(struct walk *w, const struct config_key *k, void *base)
{
    (void)read_value(w, k, base);
}

/* A relative path is meant from the directory of the configuration file. Owner: the caller. */
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

static bool read_beside(struct walk *w, const struct config_key *k, void *base)
{
    char **path = config_place(k, base);
    if (!read_value(w, k, base)) {
        return false;
    }
    char *full = beside(w->path, *path);
    free(*path);
    *path = full;
    return true;
}

static void walk_beside(struct walk *w, const struct config_key *k, void *base)
{
    (void)read_beside(w, k, base);
}

static void walk_headers(struct walk *w, const struct config_key *k, void *base)
{
    struct config_backend *b = base;
    char path[CONFIG_PATH_SIZE];
    char where[1024];
    config_key_path(k, path);
    (void)snprintf(where, sizeof where, "%s:%u: %s", w->path, line_of(w), path);
    if (read_beside(w, k, base)) {
        w->good = config_headers_read(b->headers_file, where, &b->headers, w->errors) && w->good;
    }
}

/* A list of plain values. One that is null counts as left out. */
static void walk_list(struct walk *w, const struct config_key *k, void *base)
{
    char path[CONFIG_PATH_SIZE];
    char why[CONFIG_WHY_SIZE];
    void *list = config_place(k, base);
    config_key_path(k, path);
    if (is_null(w)) {
        config_value_reset(k, list);
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
        } else if (!config_value_read(k, scalar_text(w), list, why)) {
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
    } else if (!config_check_address(scalar_text(w), why)) {
        complain(w, line_of(w), "listen: %s", why);
    } else if (!config_listen_add(&w->read, scalar_text(w))) {
        complain(w, line_of(w), "listen: %s is given twice", w->event.data.scalar.value);
    }
}

static void walk_listen(struct walk *w, const struct config_key *k, void *base)
{
    const unsigned line = line_of(w);
    size_t len = 0;
    (void)k;
    (void)base;
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

/* ---- mappings -------------------------------------------------------------------------------- */

static walk_fn walk_backends, walk_rules;

static void walk_key(struct walk *w, const struct config_key *k, struct scope *scope)
{
    static walk_fn *const walks[CONFIG_KIND_COUNT] = {
        [CONFIG_BESIDE] = walk_beside,    [CONFIG_HEADERS] = walk_headers,
        [CONFIG_ADDRESSES] = walk_listen, [CONFIG_BACKENDS] = walk_backends,
        [CONFIG_RULES] = walk_rules,
    };
    walk_fn *walk = walks[k->kind];
    if (walk == NULL) {
        walk = config_kinds[k->kind].is_list ? walk_list : walk_value;
    }
    walk(w, k, scope->base);
}

/* ctx: the struct scope of the mapping. */
static void walk_member(struct walk *w, void *ctx, struct str name, unsigned line)
{
    struct scope *scope = ctx;
    const struct config_key *k = config_key_find(scope->section, name);
    char path[CONFIG_PATH_SIZE];
    if (k == NULL) {
        complain_unknown(w, scope->section, name, line);
        skip(w);
        return;
    }
    config_key_path(k, path);
    if (is_first(w, &scope->seen->keys[k - config_keys], path, line)) {
        walk_key(w, k, scope);
    } else {
        skip(w);
    }
}

static bool has(const struct scope *scope, const char *name)
{
    return scope->seen->keys[config_key_find(scope->section, str_of(name)) - config_keys] != 0;
}

/* What the entries of a list of mappings are. */
struct entries {
    const char *no_list;
    const char *no_mapping;
    void (*walk)(struct walk *w, unsigned line);
};

static void walk_entries(struct walk *w, const struct entries *kind)
{
    if (is_null(w)) {
        return;
    }
    if (w->event.type != YAML_SEQUENCE_START_EVENT) {
        complain(w, line_of(w), "%s", kind->no_list);
        skip(w);
        return;
    }
    for (advance(w); !w->broken && w->event.type != YAML_SEQUENCE_END_EVENT; advance(w)) {
        if (w->event.type == YAML_MAPPING_START_EVENT) {
            kind->walk(w, line_of(w));
        } else {
            complain(w, line_of(w), "%s", kind->no_mapping);
            skip(w);
        }
    }
}

static void walk_backend(struct walk *w, unsigned line)
{
    struct config_backend *b = config_backend_add(&w->read);
    struct seen seen = {{0}};
    struct scope scope = {CONFIG_ITEM, b, &seen};
    AUTO_BUF struct buf where;
    buf_init(&where, BUF_NO_LIMIT);
    buf_printf(&where, "%s:%u", w->path, line);
    b->where = buf_take(&where);
    walk_mapping(w, walk_member, &scope);
    if (!has(&scope, "url") && !w->broken) {
        complain(w, line, "a backend needs a url, such as http://127.0.0.1:8188");
    }
    if (b->name == NULL && b->url != NULL) {
        b->name = config_backend_derive_name(b->url);
    }
}

static void walk_backends(struct walk *w, const struct config_key *k, void *base)
{
    static const struct entries kind = {
        "backends must be a list: lines that begin with \"- url: ...\"",
        "a backend must be a mapping, such as {url: http://127.0.0.1:8188}", walk_backend};
    (void)k;
    (void)base;
    walk_entries(w, &kind);
}

static void walk_rule(struct walk *w, unsigned line)
{
    struct seen seen = {{0}};
    struct scope scope = {CONFIG_RULE, config_rule_add(&w->read), &seen};
    walk_mapping(w, walk_member, &scope);
    const int jobs = (has(&scope, "workflowHash") ? 1 : 0) + (has(&scope, "metadata") ? 1 : 0) +
                     (has(&scope, "label") ? 1 : 0);
    if (jobs != 1 && !w->broken) {
        complain(w, line, "a rule has one of workflowHash, metadata and label");
    }
    if (!has(&scope, "backends") && !w->broken) {
        complain(w, line, "a rule names its backends");
    }
}

static void walk_rules(struct walk *w, const struct config_key *k, void *base)
{
    static const struct entries kind = {
        "routing.rules must be a list of mappings",
        "a rule must be a mapping, such as {metadata: team=blue, backends: [a]}", walk_rule};
    (void)k;
    (void)base;
    walk_entries(w, &kind);
}

static void walk_section(struct walk *w, size_t i, unsigned line)
{
    struct scope scope = {config_sections[i], &w->read, &w->seen};
    if (!is_first(w, &w->sections[i], scope.section, line)) {
        skip(w);
    } else if (w->event.type == YAML_MAPPING_START_EVENT) {
        walk_mapping(w, walk_member, &scope);
    } else if (!is_null(w)) {
        complain(w, line, "%s must be a section: its keys stand indented below it", scope.section);
        skip(w);
    }
}

static void walk_top_member(struct walk *w, void *ctx, struct str name, unsigned line)
{
    for (size_t i = 0; i < CONFIG_SECTION_COUNT; i++) {
        if (str_is(name, config_sections[i])) {
            walk_section(w, i, line);
            return;
        }
    }
    walk_member(w, ctx, name, line);
}

static void walk_document(struct walk *w)
{
    struct scope top = {"", &w->read, &w->seen};
    advance(w);
    if (w->event.type == YAML_MAPPING_START_EVENT) {
        walk_mapping(w, walk_top_member, &top);
    } else if (!w->broken && !is_null(w)) {
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
    }
    yaml_event_delete(&w->event);
    yaml_parser_delete(&w->parser);
    w->good = config_backends_check(w->read.backends, w->read.backends_len, w->errors) && w->good;
}

/* ---- from what was read to the configuration ------------------------------------------------- */

static bool has_key(const struct walk *w, const char *section, struct str name)
{
    return w->seen.keys[config_key_find(section, name) - config_keys] != 0;
}

/* What c had goes to w->read, which is freed. */
static void take_lists(struct config *c, struct walk *w)
{
    const struct config had = *c;
    if (w->read.listen_len > 0 && had.listen_from <= CONFIG_FILE) {
        c->listen = w->read.listen;
        c->listen_len = w->read.listen_len;
        c->listen_from = CONFIG_FILE;
        w->read.listen = had.listen;
        w->read.listen_len = had.listen_len;
    }
    if (has_key(w, "", STR("backends")) && had.backends_from <= CONFIG_FILE) {
        c->backends = w->read.backends;
        c->backends_len = w->read.backends_len;
        c->backends_from = CONFIG_FILE;
        w->read.backends = had.backends;
        w->read.backends_len = had.backends_len;
    }
    if (has_key(w, "routing", STR("rules"))) {
        c->routing_rules = w->read.routing_rules;
        c->routing_rules_len = w->read.routing_rules_len;
        w->read.routing_rules = had.routing_rules;
        w->read.routing_rules_len = had.routing_rules_len;
    }
}

static void take(struct config *c, struct walk *w)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *k = &config_keys[i];
        if (w->seen.keys[i] != 0) {
            config_value_move(k, config_place(k, c), config_place(k, &w->read));
        }
    }
    take_lists(c, w);
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
    if (w.good) {
        take(c, &w);
    }
    config_done(&w.read);
    return w.good;
}
