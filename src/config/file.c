/*
 * The configuration file: one walk over its events, which checks each value against the table of
 * keys and stores it. Every error has its line. Values go into a separate configuration first, so
 * that a file with errors changes nothing. Cost: one pass over at most 1 MiB.
 */
#include <stdlib.h>
#include <string.h>

#include "inner.h"
#include "walk.h"

enum { MAX_FILE = 1 << 20 };

/* The line of each key in a mapping; 0: missing. */
struct seen {
    unsigned keys[CONFIG_KEYS_MOST];
};

/* The content of the file. Unnamed members of the configuration are zero. */
struct content {
    struct config config;
    struct seen seen;
    unsigned sections[CONFIG_SECTIONS_MOST]; /* the line of each; 0: missing */
};

/* A mapping: its section of keys, and the struct that their offsets refer to. */
struct scope {
    const char *section;
    void *base;
    struct seen *seen;
};

/* ---- names ----------------------------------------------------------------------------------- */

/* Notes a name; false after an error when it is a duplicate. */
static bool is_first(struct walk *w, unsigned *first, const char *path, unsigned line)
{
    if (*first != 0) {
        walk_complain(w, line, "%s is given twice (first in line %u)", path, *first);
        return false;
    }
    *first = line;
    return true;
}

/* Makes a name printable: short and without control characters. */
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
        walk_complain(w, line, "%s%s%s is not known; did you mean %s?", section, dot, shown, near);
    } else {
        walk_complain(w, line, "%s%s%s is not known", section, dot, shown);
    }
}

/* ---- values ---------------------------------------------------------------------------------- */

/* Stores the value of a key, whose first event is the current one, into the struct that the key's
   offset refers to. */
typedef void walk_fn(struct walk *w, const struct config_key *k, void *base);

/* Reads a value; false after an error. */
static bool read_value(struct walk *w, const struct config_key *k, void *base)
{
    char path[CONFIG_PATH_SIZE];
    char why[CONFIG_WHY_SIZE];
    const unsigned line = walk_line(w);
    const char *unquoted = config_kinds[k->kind].unquoted;
    config_key_path(k, path);
    if (!walk_is_scalar(w)) {
        if (w->event.type != YAML_ALIAS_EVENT) {
            walk_complain(w, line, "%s must be one value (%s), no list or section", path, k->unit);
        }
        walk_skip(w);
    } else if (walk_is_null(w)) {
        walk_complain(w, line, "%s has no value; give it one or leave it out", path);
    } else if (walk_is_quoted(w) && unquoted != NULL) {
        walk_complain(w, line, "%s must be %s without quotes", path, unquoted);
    } else if (!config_value_read(k, walk_text(w), config_place(k, base), why)) {
        walk_complain(w, line, "%s: %s", path, why);
    } else {
        return true;
    }
    return false;
}

static void walk_value(struct walk *w, const struct config_key *k, void *base)
{
    (void)read_value(w, k, base);
}

/* Resolves a path relative to the directory of the configuration file. Owner: the caller. */
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
    (void)snprintf(where, sizeof where, "%s:%u: %s", w->path, walk_line(w), path);
    if (read_beside(w, k, base)) {
        w->good = config_headers_read(b->headers_file, where, &b->headers, w->errors) && w->good;
    }
}

/* Reads a list of plain values. null counts as left out. */
static void walk_list(struct walk *w, const struct config_key *k, void *base)
{
    char path[CONFIG_PATH_SIZE];
    char why[CONFIG_WHY_SIZE];
    void *list = config_place(k, base);
    config_key_path(k, path);
    if (walk_is_null(w)) {
        config_value_reset(k, list);
        return;
    }
    if (w->event.type != YAML_SEQUENCE_START_EVENT) {
        walk_complain(w, walk_line(w), "%s must be a list (%s), such as [a, b]", path, k->unit);
        walk_skip(w);
        return;
    }
    while (walk_next_entry(w)) {
        if (!walk_is_scalar(w)) {
            walk_complain(w, walk_line(w), "%s: an entry must be one value", path);
            walk_skip(w);
        } else if (!config_value_read(k, walk_text(w), list, why)) {
            walk_complain(w, walk_line(w), "%s: %s", path, why);
        }
    }
}

static void walk_address(struct walk *w, struct config *c)
{
    char why[CONFIG_WHY_SIZE];
    if (!walk_is_scalar(w)) {
        walk_complain(w, walk_line(w), "listen: an address is HOST:PORT");
        walk_skip(w);
    } else if (!config_check_address(walk_text(w), why)) {
        walk_complain(w, walk_line(w), "listen: %s", why);
    } else if (!config_listen_add(c, walk_text(w))) {
        walk_complain(w, walk_line(w), "listen: %s is given twice", w->event.data.scalar.value);
    }
}

static void walk_listen(struct walk *w, const struct config_key *k, void *base)
{
    const unsigned line = walk_line(w);
    size_t len = 0;
    (void)k;
    if (walk_is_null(w)) {
        return;
    }
    if (w->event.type != YAML_SEQUENCE_START_EVENT) {
        walk_complain(w, line, "listen must be a list, such as [127.0.0.1:8189]");
        walk_skip(w);
        return;
    }
    while (walk_next_entry(w)) {
        walk_address(w, base);
        len++;
    }
    if (len == 0 && !w->broken) {
        walk_complain(w, line, "listen must name at least one address");
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

/* Reads a member. ctx: the struct scope of the mapping. */
static void walk_member(struct walk *w, void *ctx, struct str name, unsigned line)
{
    struct scope *scope = ctx;
    const struct config_key *k = config_key_find(scope->section, name);
    char path[CONFIG_PATH_SIZE];
    if (k == NULL) {
        complain_unknown(w, scope->section, name, line);
        walk_skip(w);
        return;
    }
    config_key_path(k, path);
    if (is_first(w, &scope->seen->keys[k - config_keys], path, line)) {
        walk_key(w, k, scope);
    } else {
        walk_skip(w);
    }
}

static bool has(const struct scope *scope, const char *name)
{
    return scope->seen->keys[config_key_find(scope->section, str_of(name)) - config_keys] != 0;
}

/* A kind of entries in a list of mappings. */
struct entries {
    const char *no_list;
    const char *no_mapping;
    void (*walk)(struct walk *w, struct config *c, unsigned line);
};

static void walk_entries(struct walk *w, const struct entries *kind, struct config *c)
{
    if (walk_is_null(w)) {
        return;
    }
    if (w->event.type != YAML_SEQUENCE_START_EVENT) {
        walk_complain(w, walk_line(w), "%s", kind->no_list);
        walk_skip(w);
        return;
    }
    while (walk_next_entry(w)) {
        if (w->event.type == YAML_MAPPING_START_EVENT) {
            kind->walk(w, c, walk_line(w));
        } else {
            walk_complain(w, walk_line(w), "%s", kind->no_mapping);
            walk_skip(w);
        }
    }
}

static void walk_backend(struct walk *w, struct config *c, unsigned line)
{
    struct config_backend *b = config_backend_add(c);
    struct seen seen = {{0}};
    struct scope scope = {CONFIG_ITEM, b, &seen};
    AUTO_BUF struct buf where;
    buf_init(&where, BUF_NO_LIMIT);
    buf_printf(&where, "%s:%u", w->path, line);
    b->where = buf_take(&where);
    walk_mapping(w, walk_member, &scope);
    if (!has(&scope, "url") && !w->broken) {
        walk_complain(w, line, "a backend needs a url, such as http://127.0.0.1:8188");
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
    walk_entries(w, &kind, base);
}

static void walk_rule(struct walk *w, struct config *c, unsigned line)
{
    struct seen seen = {{0}};
    struct scope scope = {CONFIG_RULE, config_rule_add(c), &seen};
    walk_mapping(w, walk_member, &scope);
    const int jobs = (has(&scope, "workflowHash") ? 1 : 0) + (has(&scope, "metadata") ? 1 : 0) +
                     (has(&scope, "label") ? 1 : 0);
    if (jobs != 1 && !w->broken) {
        walk_complain(w, line, "a rule has one of workflowHash, metadata and label");
    }
    if (!has(&scope, "backends") && !w->broken) {
        walk_complain(w, line, "a rule names its backends");
    }
}

static void walk_rules(struct walk *w, const struct config_key *k, void *base)
{
    static const struct entries kind = {
        "routing.rules must be a list of mappings",
        "a rule must be a mapping, such as {metadata: team=blue, backends: [a]}", walk_rule};
    (void)k;
    walk_entries(w, &kind, base);
}

static void walk_section(struct walk *w, struct content *content, size_t i, unsigned line)
{
    struct scope scope = {config_sections[i], &content->config, &content->seen};
    if (!is_first(w, &content->sections[i], scope.section, line)) {
        walk_skip(w);
    } else if (w->event.type == YAML_MAPPING_START_EVENT) {
        walk_mapping(w, walk_member, &scope);
    } else if (!walk_is_null(w)) {
        walk_complain(w, line, "%s must be a section: its keys stand indented below it",
                      scope.section);
        walk_skip(w);
    }
}

/* Reads a top-level member. ctx: the struct content. */
static void walk_top_member(struct walk *w, void *ctx, struct str name, unsigned line)
{
    struct content *content = ctx;
    struct scope top = {"", &content->config, &content->seen};
    for (size_t i = 0; i < config_sections_len; i++) {
        if (str_is(name, config_sections[i])) {
            walk_section(w, content, i, line);
            return;
        }
    }
    walk_member(w, &top, name, line);
}

static void walk_document(struct walk *w, struct content *content)
{
    walk_advance(w);
    if (w->event.type == YAML_MAPPING_START_EVENT) {
        walk_mapping(w, walk_top_member, content);
    } else if (!w->broken && !walk_is_null(w)) {
        walk_complain(w, walk_line(w), "the file must be a mapping: lines of KEY: VALUE");
        walk_skip(w);
    }
    walk_advance(w); /* document end */
    walk_advance(w);
    if (w->event.type == YAML_DOCUMENT_START_EVENT) {
        walk_complain(w, walk_line(w), "only one document is read; remove what follows the ---");
    }
}

/* ---- from the content to the configuration --------------------------------------------------- */

static bool has_key(const struct content *content, const char *section, struct str name)
{
    return content->seen.keys[config_key_find(section, name) - config_keys] != 0;
}

/* Moves lists to c; the replaced ones go to the content, which is freed. */
static void take_lists(struct config *c, struct content *content)
{
    const struct config had = *c;
    struct config *has = &content->config;
    if (has->listen_len > 0 && had.listen_from <= CONFIG_FILE) {
        c->listen = has->listen;
        c->listen_len = has->listen_len;
        c->listen_from = CONFIG_FILE;
        has->listen = had.listen;
        has->listen_len = had.listen_len;
    }
    if (has_key(content, "", STR("backends")) && had.backends_from <= CONFIG_FILE) {
        c->backends = has->backends;
        c->backends_len = has->backends_len;
        c->backends_from = CONFIG_FILE;
        has->backends = had.backends;
        has->backends_len = had.backends_len;
    }
    if (has_key(content, "routing", STR("rules"))) {
        c->routing_rules = has->routing_rules;
        c->routing_rules_len = has->routing_rules_len;
        has->routing_rules = had.routing_rules;
        has->routing_rules_len = had.routing_rules_len;
    }
}

static void take(struct config *c, struct content *content)
{
    for (size_t i = 0; i < config_keys_len; i++) {
        const struct config_key *k = &config_keys[i];
        if (content->seen.keys[i] != 0) {
            config_value_move(k, config_place(k, c), config_place(k, &content->config));
        }
    }
    take_lists(c, content);
}

/* False with lines in errors. The content must be freed either way. */
static bool read_content(const char *path, struct str text, struct content *ret, struct buf *errors)
{
    struct walk w = {.path = path, .text = text, .errors = errors, .good = true};
    if (walk_begin(&w)) {
        walk_document(&w, ret);
    }
    walk_end(&w);
    return config_backends_check(ret->config.backends, ret->config.backends_len, errors) && w.good;
}

bool config_load_file(struct config *c, const char *path, struct buf *errors)
{
    char why[CONFIG_WHY_SIZE];
    AUTO_BUF struct buf text;
    struct content content = {.sections = {0}};
    buf_init(&text, BUF_NO_LIMIT);
    if (!config_file_read(path, MAX_FILE, &text, why)) {
        return config_complain(errors, path, why);
    }
    (void)buf_text(&text); /* an empty file must not be NULL */
    const bool good = read_content(path, buf_str(&text), &content, errors);
    if (good) {
        take(c, &content);
    }
    config_done(&content.config);
    return good;
}
