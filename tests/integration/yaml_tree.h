/*
 * A YAML file as a tree, read by libyaml: for tests that hold api/openapi.yaml against the program.
 * Plain enough for that file: no anchors, keys are words. A node lives as long as its tree.
 */
#ifndef COMFYPOOL_TESTS_YAML_TREE_H
#define COMFYPOOL_TESTS_YAML_TREE_H

#include <stdbool.h>
#include <stddef.h>

enum yaml_kind { YAML_TEXT, YAML_LIST, YAML_MAP };

struct yaml_tree {
    enum yaml_kind kind;
    unsigned line;
    bool quoted; /* of a text: "200", not 200 */
    char *text;
    size_t len;               /* of a list or map */
    struct yaml_tree **items; /* of a list, and the values of a map */
    char **keys;              /* of a map */
};

/* NULL after a line on stderr. Owner: the caller. */
struct yaml_tree *yaml_tree_load(const char *path);
void yaml_tree_free(struct yaml_tree *t);

/* The value of a key; NULL when there is none, t is no map or NULL. */
const struct yaml_tree *yaml_get(const struct yaml_tree *t, const char *key);
/* "components/schemas/Job"; a / in a key is written ~1. */
const struct yaml_tree *yaml_at(const struct yaml_tree *t, const char *path);
/* t itself, or what its $ref ("#/components/...") names in root; NULL when that is not there. */
const struct yaml_tree *yaml_resolve(const struct yaml_tree *root, const struct yaml_tree *t);
/* True when t is a list that has this text. */
bool yaml_has(const struct yaml_tree *t, const char *text);
bool yaml_is(const struct yaml_tree *t, const char *text);

#endif
