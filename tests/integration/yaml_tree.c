/* A YAML file as a tree; see the header. libyaml's document is copied, so that lookups are plain.
 */
#include "yaml_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

static void *or_abort(void *p)
{
    if (p == NULL) {
        abort();
    }
    return p;
}

static struct yaml_tree *copy(yaml_document_t *d, int index);

static void copy_map(yaml_document_t *d, const yaml_node_t *n, struct yaml_tree *t)
{
    const yaml_node_pair_t *first = n->data.mapping.pairs.start;
    t->kind = YAML_MAP;
    t->len = (size_t)(n->data.mapping.pairs.top - first);
    t->items = or_abort(calloc(t->len + 1, sizeof *t->items));
    t->keys = or_abort(calloc(t->len + 1, sizeof *t->keys));
    for (size_t i = 0; i < t->len; i++) {
        const yaml_node_t *key = yaml_document_get_node(d, first[i].key);
        const bool word = key->type == YAML_SCALAR_NODE;
        t->keys[i] = or_abort(strdup(word ? (const char *)key->data.scalar.value : ""));
        t->items[i] = copy(d, first[i].value);
    }
}

static void copy_list(yaml_document_t *d, const yaml_node_t *n, struct yaml_tree *t)
{
    const yaml_node_item_t *first = n->data.sequence.items.start;
    t->kind = YAML_LIST;
    t->len = (size_t)(n->data.sequence.items.top - first);
    t->items = or_abort(calloc(t->len + 1, sizeof *t->items));
    for (size_t i = 0; i < t->len; i++) {
        t->items[i] = copy(d, first[i]);
    }
}

static struct yaml_tree *copy(yaml_document_t *d, int index)
{
    const yaml_node_t *n = yaml_document_get_node(d, index);
    struct yaml_tree *t = or_abort(calloc(1, sizeof *t));
    t->line = (unsigned)n->start_mark.line + 1;
    if (n->type == YAML_MAPPING_NODE) {
        copy_map(d, n, t);
    } else if (n->type == YAML_SEQUENCE_NODE) {
        copy_list(d, n, t);
    } else {
        t->quoted = n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        t->text = or_abort(strdup((const char *)n->data.scalar.value));
    }
    return t;
}

struct yaml_tree *yaml_tree_load(const char *path)
{
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        perror(path);
        return NULL;
    }
    yaml_parser_t parser;
    yaml_document_t document;
    struct yaml_tree *t = NULL;
    (void)or_abort(yaml_parser_initialize(&parser) == 0 ? NULL : &parser);
    yaml_parser_set_input_file(&parser, f);
    if (yaml_parser_load(&parser, &document) == 0) {
        (void)fprintf(stderr, "%s:%zu: %s\n", path, parser.problem_mark.line + 1,
                      parser.problem == NULL ? "this is no YAML" : parser.problem);
    } else {
        if (yaml_document_get_root_node(&document) != NULL) {
            t = copy(&document, 1);
        }
        yaml_document_delete(&document);
    }
    yaml_parser_delete(&parser);
    (void)fclose(f);
    return t;
}

void yaml_tree_free(struct yaml_tree *t)
{
    if (t == NULL) {
        return;
    }
    for (size_t i = 0; i < t->len; i++) {
        yaml_tree_free(t->items[i]);
        if (t->keys != NULL) {
            free(t->keys[i]);
        }
    }
    free(t->items);
    free(t->keys);
    free(t->text);
    free(t);
}

const struct yaml_tree *yaml_get(const struct yaml_tree *t, const char *key)
{
    for (size_t i = 0; t != NULL && t->kind == YAML_MAP && i < t->len; i++) {
        if (strcmp(t->keys[i], key) == 0) {
            return t->items[i];
        }
    }
    return NULL;
}

const struct yaml_tree *yaml_at(const struct yaml_tree *t, const char *path)
{
    while (*path != '\0') {
        char key[128];
        size_t n = 0;
        for (; *path != '\0' && *path != '/' && n + 1 < sizeof key; path++) {
            const bool slash = path[0] == '~' && path[1] == '1';
            key[n++] = slash ? '/' : *path;
            path += slash;
        }
        key[n] = '\0';
        path += *path == '/';
        t = yaml_get(t, key);
    }
    return t;
}

const struct yaml_tree *yaml_resolve(const struct yaml_tree *root, const struct yaml_tree *t)
{
    for (int i = 0; i < 8; i++) {
        const struct yaml_tree *ref = yaml_get(t, "$ref");
        if (ref == NULL) {
            return t;
        }
        if (ref->text == NULL || strncmp(ref->text, "#/", 2) != 0) {
            return NULL;
        }
        t = yaml_at(root, ref->text + 2);
    }
    return NULL; /* in a circle */
}

bool yaml_is(const struct yaml_tree *t, const char *text)
{
    return t != NULL && t->kind == YAML_TEXT && strcmp(t->text, text) == 0;
}

bool yaml_has(const struct yaml_tree *t, const char *text)
{
    for (size_t i = 0; t != NULL && t->kind == YAML_LIST && i < t->len; i++) {
        if (yaml_is(t->items[i], text)) {
            return true;
        }
    }
    return false;
}
