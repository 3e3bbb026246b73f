/*
 * Labels of backends ("fast", "gpu=4090", "vram=24") and selectors of jobs: a plain label ("fast"),
 * or KEY, an operator and a value: = and != compare texts, or numbers where both are some; >=, <=,
 * > and < compare numbers ("vram>=24"). != also matches where the key is absent. Pure.
 */
#ifndef COMFYPOOL_CORE_LABEL_H
#define COMFYPOOL_CORE_LABEL_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/str.h"

/* A list of texts, owned. {0} is empty. */
struct names {
    char **list;
    size_t len;
};
void names_add(struct names *n, struct str text);
/* Adds the strings of a JSON array. */
void names_read(struct names *n, struct str array);
bool names_have(const struct names *n, const char *text);
void names_done(struct names *n);

/* True when text is a selector. */
bool label_is_selector(struct str text);
/* True if one of the labels matches the selector. */
bool label_is_met(struct str selector, const struct names *labels);

#endif
