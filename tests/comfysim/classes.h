/*
 * The node classes that comfysim knows: how long they typically take, what they give, what
 * /object_info says of them. A class that is not in the table is unknown to the server, as a custom
 * node that is not installed.
 */
#ifndef COMFYSIM_CLASSES_H
#define COMFYSIM_CLASSES_H

#include "text.h"

#include <stdbool.h>

struct node_class {
    const char *name;
    const char *category;
    double ms; /* typical time; of one step where steps > 0 */
    int steps; /* typical progress steps; the `steps` input overrides */
    bool is_output;
    const char *returns;  /* "MODEL CLIP VAE": one type a socket */
    const char *required; /* JSON members of input.required, without braces */
    const char *optional;
};

/* NULL when the table has no such class. Cost: one binary search. */
const struct node_class *class_find(const char *name);
/* How many sockets a class gives, and the type of one. */
int class_sockets(const struct node_class *class);
/* Appends `"Name": {...}` as in GET /object_info; $MODELS and $IMAGES stand for the lists given. */
void class_describe(const struct node_class *class, const json_t *models, const json_t *images,
                    struct text *out);
size_t class_count(void);
const struct node_class *class_at(size_t index);

#endif
