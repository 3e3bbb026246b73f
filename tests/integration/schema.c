/* A small validator of JSON against api/openapi.yaml; see the header. A failed check leaves the
   JSON pointer of the first wrong value and what the file wants there. */
#include "schema.h"

#include <ctype.h>
#include <math.h>
#include <regex.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct schema {
    struct yaml_tree *root;
};

/* Where a check is: the pointer grows and shrinks with the depth. */
struct check {
    const struct schema *s;
    char pointer[512];
    char *why;
    size_t why_size;
};

__attribute__((format(printf, 2, 3))) static bool fail(struct check *c, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)snprintf(c->why, c->why_size, "%s: %s", *c->pointer == '\0' ? "/" : c->pointer, text);
    return false;
}

/* ---- keywords -------------------------------------------------------------------------------- */

static bool fits_type(const char *type, const json_t *v)
{
    if (strcmp(type, "integer") == 0) {
        return json_is_integer(v) ||
               (json_is_real(v) && floor(json_real_value(v)) == json_real_value(v));
    }
    return (strcmp(type, "object") == 0 && json_is_object(v)) ||
           (strcmp(type, "array") == 0 && json_is_array(v)) ||
           (strcmp(type, "string") == 0 && json_is_string(v)) ||
           (strcmp(type, "number") == 0 && json_is_number(v)) ||
           (strcmp(type, "boolean") == 0 && json_is_boolean(v)) ||
           (strcmp(type, "null") == 0 && json_is_null(v));
}

static bool check_type(struct check *c, const struct yaml_tree *want, const json_t *v)
{
    if (want->kind == YAML_TEXT) {
        return fits_type(want->text, v) || fail(c, "must be of type %s", want->text);
    }
    for (size_t i = 0; i < want->len; i++) {
        if (fits_type(want->items[i]->text, v)) {
            return true;
        }
    }
    return fail(c, "has none of its types (line %u)", want->line);
}

static bool check_enum(struct check *c, const struct yaml_tree *want, const json_t *v)
{
    const char *text = json_is_string(v)  ? json_string_value(v)
                       : json_is_true(v)  ? "true"
                       : json_is_false(v) ? "false"
                       : json_is_null(v)  ? "null"
                                          : NULL;
    if (text != NULL && yaml_has(want, text)) {
        return true;
    }
    return fail(c, "\"%s\" is not in the enum (line %u)", text == NULL ? "(no text)" : text,
                want->line);
}

static bool check_bound(struct check *c, const struct yaml_tree *want, const json_t *v, int sign)
{
    const double bound = strtod(want->text, NULL);
    const double have = json_number_value(v);
    if (!json_is_number(v) || (have - bound) * sign >= 0) {
        return true;
    }
    return fail(c, "%g is %s %s", have, sign > 0 ? "less than" : "more than", want->text);
}

static bool check_minimum(struct check *c, const struct yaml_tree *want, const json_t *v)
{
    return check_bound(c, want, v, 1);
}

static bool check_maximum(struct check *c, const struct yaml_tree *want, const json_t *v)
{
    return check_bound(c, want, v, -1);
}

static bool check_min_items(struct check *c, const struct yaml_tree *want, const json_t *v)
{
    return !json_is_array(v) || json_array_size(v) >= strtoul(want->text, NULL, 10) ||
           fail(c, "has fewer than %s items", want->text);
}

static bool check_max_items(struct check *c, const struct yaml_tree *want, const json_t *v)
{
    return !json_is_array(v) || json_array_size(v) <= strtoul(want->text, NULL, 10) ||
           fail(c, "has more than %s items", want->text);
}

/* In bytes: what the file bounds is ASCII. */
static bool check_min_length(struct check *c, const struct yaml_tree *want, const json_t *v)
{
    return !json_is_string(v) || json_string_length(v) >= strtoul(want->text, NULL, 10) ||
           fail(c, "is shorter than %s", want->text);
}

static bool check_max_length(struct check *c, const struct yaml_tree *want, const json_t *v)
{
    return !json_is_string(v) || json_string_length(v) <= strtoul(want->text, NULL, 10) ||
           fail(c, "is longer than %s", want->text);
}

static bool check_pattern(struct check *c, const struct yaml_tree *want, const json_t *v)
{
    regex_t re;
    if (!json_is_string(v)) {
        return true;
    }
    if (regcomp(&re, want->text, REG_EXTENDED | REG_NOSUB) != 0) {
        return fail(c, "line %u: this is no pattern", want->line);
    }
    const bool fits = regexec(&re, json_string_value(v), 0, NULL, 0) == 0;
    regfree(&re);
    return fits || fail(c, "is not like %s", want->text);
}

static bool check_unique_items(struct check *c, const struct yaml_tree *want, const json_t *v)
{
    (void)want;
    for (size_t i = 0; json_is_array(v) && i < json_array_size(v); i++) {
        for (size_t k = 0; k < i; k++) {
            if (json_equal(json_array_get(v, i), json_array_get(v, k)) != 0) {
                return fail(c, "has an item twice");
            }
        }
    }
    return true;
}

static bool check_min_properties(struct check *c, const struct yaml_tree *want, const json_t *v)
{
    return !json_is_object(v) || json_object_size(v) >= strtoul(want->text, NULL, 10) ||
           fail(c, "has fewer than %s members", want->text);
}

static bool check_required(struct check *c, const struct yaml_tree *want, const json_t *v)
{
    for (size_t i = 0; json_is_object(v) && i < want->len; i++) {
        if (json_object_get(v, want->items[i]->text) == NULL) {
            return fail(c, "the member %s is missing", want->items[i]->text);
        }
    }
    return true;
}

static bool check_value(struct check *c, const struct yaml_tree *schema, const json_t *v);

static bool check_items(struct check *c, const struct yaml_tree *want, const json_t *v)
{
    const size_t n = strlen(c->pointer);
    for (size_t i = 0; json_is_array(v) && i < json_array_size(v); i++) {
        (void)snprintf(c->pointer + n, sizeof c->pointer - n, "/%zu", i);
        if (!check_value(c, want, json_array_get(v, i))) {
            return false;
        }
    }
    c->pointer[n] = '\0';
    return true;
}

/* Exactly one. When none fits the reason of the one that fitted furthest is told. */
static bool check_one_of(struct check *c, const struct yaml_tree *want, const json_t *v)
{
    const size_t n = strlen(c->pointer);
    char best[512] = "";
    size_t furthest = 0;
    unsigned fits = 0;
    for (size_t i = 0; i < want->len; i++) {
        if (check_value(c, want->items[i], v)) {
            fits++;
        } else if (strlen(c->pointer) >= furthest) {
            furthest = strlen(c->pointer);
            (void)snprintf(best, sizeof best, "%s", c->why);
        }
        c->pointer[n] = '\0';
    }
    if (fits == 0) {
        (void)snprintf(c->why, c->why_size, "%s", best);
    }
    return fits == 1 || (fits == 0 ? false : fail(c, "fits more than one (line %u)", want->line));
}

static bool check_nothing(struct check *c, const struct yaml_tree *want, const json_t *v)
{
    (void)c;
    (void)want;
    (void)v;
    return true;
}

static const struct {
    const char *name;
    bool (*check)(struct check *c, const struct yaml_tree *want, const json_t *v);
} keywords[] = {
    {"type", check_type},
    {"enum", check_enum},
    {"minimum", check_minimum},
    {"maximum", check_maximum},
    {"minItems", check_min_items},
    {"maxItems", check_max_items},
    {"minLength", check_min_length},
    {"maxLength", check_max_length},
    {"pattern", check_pattern},
    {"uniqueItems", check_unique_items},
    {"minProperties", check_min_properties},
    {"required", check_required},
    {"items", check_items},
    {"oneOf", check_one_of},
    {"properties", check_nothing}, /* with additionalProperties, member by member */
    {"additionalProperties", check_nothing},
    {"description", check_nothing},
    {"format", check_nothing},
    {"default", check_nothing},
    {"example", check_nothing},
};

static bool check_members(struct check *c, const struct yaml_tree *schema, const json_t *v)
{
    const struct yaml_tree *known = yaml_get(schema, "properties");
    const struct yaml_tree *others = yaml_get(schema, "additionalProperties");
    const size_t n = strlen(c->pointer);
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)(size_t)v, name, member)
    {
        const struct yaml_tree *want = yaml_get(known, name);
        (void)snprintf(c->pointer + n, sizeof c->pointer - n, "/%s", name);
        if (want == NULL && yaml_is(others, "false")) {
            return fail(c, "this member is not in the schema (line %u)", schema->line);
        }
        want = want == NULL && others != NULL && others->kind == YAML_MAP ? others : want;
        if (want != NULL && !check_value(c, want, member)) {
            return false;
        }
    }
    c->pointer[n] = '\0';
    return true;
}

static bool check_keyword(struct check *c, const char *name, const struct yaml_tree *want,
                          const json_t *v)
{
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
        if (strcmp(keywords[i].name, name) == 0) {
            return keywords[i].check(c, want, v);
        }
    }
    return fail(c, "line %u: the keyword %s is not known to this validator", want->line, name);
}

static bool check_value(struct check *c, const struct yaml_tree *schema, const json_t *v)
{
    const struct yaml_tree *s = yaml_resolve(c->s->root, schema);
    if (s == NULL) {
        return fail(c, "line %u: this $ref leads nowhere", schema->line);
    }
    for (size_t i = 0; i < s->len; i++) {
        if (!check_keyword(c, s->keys[i], s->items[i], v)) {
            return false;
        }
    }
    return !json_is_object(v) || check_members(c, s, v);
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Segment by segment; {name} is any one. A query is not looked at. */
static bool path_fits(const char *template, const char *path)
{
    while (*template != '\0' && *path != '\0' && *path != '?') {
        if (*template == '{') {
            template += strcspn(template, "/");
            path += strcspn(path, "/?");
        } else if (*template ++ != *path++) {
            return false;
        }
    }
    return *template == '\0' && (*path == '\0' || *path == '?');
}

static const struct yaml_tree *find_operation(const struct schema *s, const char *method,
                                              const char *path)
{
    const struct yaml_tree *paths = yaml_get(s->root, "paths");
    char word[16];
    size_t n = 0;
    for (; method[n] != '\0' && n + 1 < sizeof word; n++) {
        word[n] = (char)tolower((unsigned char)method[n]);
    }
    word[n] = '\0';
    for (size_t i = 0; paths != NULL && i < paths->len; i++) {
        const struct yaml_tree *op =
            yaml_get(paths->items[i], strcmp(word, "head") == 0 ? "get" : word);
        if (op != NULL && path_fits(paths->keys[i], path)) {
            return op;
        }
    }
    return NULL;
}

/* The schema of a JSON body; NULL when the response has none. */
static const struct yaml_tree *json_schema(const struct yaml_tree *response)
{
    const struct yaml_tree *content = yaml_get(response, "content");
    for (size_t i = 0; content != NULL && i < content->len; i++) {
        if (strstr(content->keys[i], "json") != NULL) {
            return yaml_get(content->items[i], "schema");
        }
    }
    return NULL;
}

bool schema_check(const struct schema *s, const char *method, const char *path, unsigned status,
                  const json_t *answer, char *why, size_t why_size)
{
    const struct yaml_tree *operation = find_operation(s, method, path);
    const struct yaml_tree *responses = yaml_get(operation, "responses");
    if (operation == NULL) {
        (void)snprintf(why, why_size, "%s %s is not in the file", method, path);
        return false;
    }
    char word[16];
    (void)snprintf(word, sizeof word, "%u", status);
    const struct yaml_tree *response = yaml_get(responses, word);
    if (response == NULL && status >= 400) {
        response = yaml_get(responses, "default");
    }
    response = yaml_resolve(s->root, response);
    if (response == NULL) {
        (void)snprintf(why, why_size, "%s %s: the file has no answer %u", method, path, status);
        return false;
    }
    if (answer == NULL) {
        return true;
    }
    const struct yaml_tree *schema = json_schema(response);
    if (schema == NULL) {
        (void)snprintf(why, why_size, "%s %s %u: the file has no JSON here", method, path, status);
        return false;
    }
    return schema_check_value(s, schema, answer, why, why_size);
}

bool schema_check_value(const struct schema *s, const struct yaml_tree *schema, const json_t *value,
                        char *why, size_t why_size)
{
    struct check c = {.s = s, .why = why, .why_size = why_size};
    return check_value(&c, schema, value);
}

struct schema *schema_load(const char *path)
{
    struct yaml_tree *root = yaml_tree_load(path);
    if (root == NULL) {
        return NULL;
    }
    struct schema *s = calloc(1, sizeof *s);
    if (s == NULL) {
        abort();
    }
    s->root = root;
    return s;
}

void schema_free(struct schema *s)
{
    if (s != NULL) {
        yaml_tree_free(s->root);
        free(s);
    }
}

const struct yaml_tree *schema_root(const struct schema *s)
{
    return s->root;
}
