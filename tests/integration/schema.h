/*
 * Holds real answers against api/openapi.yaml: the JSON-Schema keywords that file uses, and no
 * others (one that is not known here fails the check, so that no promise goes untested).
 */
#ifndef COMFYPOOL_TESTS_SCHEMA_H
#define COMFYPOOL_TESTS_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "yaml_tree.h"

struct schema;

/* NULL after a line on stderr. Owner: the caller. */
struct schema *schema_load(const char *path);
void schema_free(struct schema *s);

/* The whole file. */
const struct yaml_tree *schema_root(const struct schema *s);

/*
 * True when `answer` is what the file says for this method, path and status. path: a template
 * ("/jobs/{id}") or a real path, with or without a query. answer: NULL for an answer that is no
 * JSON or has no body. HEAD counts as GET without a body. Else why says where and what.
 */
bool schema_check(const struct schema *s, const char *method, const char *path, unsigned status,
                  const json_t *answer, char *why, size_t why_size);

/* One value against one schema of the file. */
bool schema_check_value(const struct schema *s, const struct yaml_tree *schema, const json_t *value,
                        char *why, size_t why_size);

#endif
