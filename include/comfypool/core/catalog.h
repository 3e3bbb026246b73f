/*
 * Catalogs of servers: node classes and, for their inputs, the lists that a server checks values
 * against. Read from /object_info and /node_replacements. Classes with equal text are shared by all
 * servers. Pure; a draft may be read on any thread, the rest belongs to one.
 *
 * Lists count only where a server certainly refuses other values: plain ones, as [[...], {}] and as
 * ["COMBO", {"options": [...]}]; not those of uploads, remote, dynamic and multiple ones. Values
 * that differ only by \ and / are equal: a Windows server spells folders with \. Types of links
 * count only where they are plain text: not "*" (under whose name custom classes take and give
 * anything, and have unlisted outputs), lists, and types that unfold (COMFY_...). Nor do those of
 * custom classes: a server may have types equal to others (IMAGE that takes LATENT), or
 * VALIDATE_INPUTS that takes more.
 */
#ifndef COMFYPOOL_CORE_CATALOG_H
#define COMFYPOOL_CORE_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/digest.h"
#include "comfypool/base/err.h"
#include "comfypool/base/map.h"
#include "comfypool/base/str.h"

enum catalog_type { CATALOG_OTHER, CATALOG_INT, CATALOG_FLOAT };

struct catalog_input {
    char *name;
    enum catalog_type type;
    bool required; /* a prompt without it is refused */
    bool listed;   /* values are checked against the list */
    bool loose;    /* unfolds, or takes several: accepted values are unknown */
    bool all_text; /* the list holds only text */
    char **values; /* sorted, \ as / */
    size_t values_len;
    char *links_of;        /* accepted types of links, as "A,B"; NULL: not checked */
    bool has_min, has_max; /* of a number */
    double min, max;
};

struct catalog_class {
    unsigned refs;
    char digest[DIGEST_HEX_SIZE]; /* of its text */
    char shape[DIGEST_HEX_SIZE];  /* digest of all but the values in its lists */
    char *name;
    bool is_output;
    bool is_custom;               /* not one of ComfyUI's own */
    struct catalog_input *inputs; /* sorted by name */
    size_t inputs_len;
    size_t required_len; /* number of required inputs */
    char **outputs;      /* output types, in order; NULL: links are not checked */
    size_t outputs_len;
    bool outputs_known; /* the list of outputs is complete */
};

/* True if the value is listed, or the input is not checked. */
bool catalog_allows(const struct catalog_class *c, struct str input, struct str value);
/* Returns the server's spelling of a listed value, borrowed; NULL: not listed. */
const char *catalog_spelling(const struct catalog_class *c, struct str input, struct str value);
/* True if a server links an output of the first type to an input of the second: one type of each is
   equal. NULL: anything. */
bool catalog_types_match(const char *from, const char *to);
/* Finds an input; NULL: the class has none such. */
const struct catalog_input *catalog_input(const struct catalog_class *c, struct str input);
/* True if some inputs unfold into others that are not listed. */
bool catalog_unfolds(const struct catalog_class *c);

/* ---- drafts: what one answer said ------------------------------------------------------------ */

struct catalog_draft {
    struct catalog_class **classes; /* owned */
    size_t len;
};
/* Reads an answer of /object_info, or of /object_info/CLASS. False: it is none. */
bool catalog_draft_read(struct str body, struct catalog_draft *ret) MUST_CHECK;
void catalog_draft_done(struct catalog_draft *d);

/* ---- what all servers share, and what one knows ---------------------------------------------- */

struct catalog_pool {
    struct map classes; /* by digest */
};
void catalog_pool_init(struct catalog_pool *p);
/* Call after the last catalog_done. */
void catalog_pool_done(struct catalog_pool *p);

struct catalog {
    struct map classes;  /* by name */
    struct map replaced; /* names that the server replaces by known classes */
};
void catalog_init(struct catalog *c);
void catalog_done(struct catalog *c, struct catalog_pool *p);
/* Replaces all classes of the server by those of the draft (taken). True if anything changed. */
bool catalog_replace(struct catalog *c, struct catalog_pool *p, struct catalog_draft *take);
/* Updates one class from the draft (taken); an empty draft removes it. True if anything changed. */
bool catalog_update(struct catalog *c, struct catalog_pool *p, struct str name,
                    struct catalog_draft *take);
/* Reads an answer of /node_replacements: its keys count as known. True if anything changed. */
bool catalog_read_replacements(struct catalog *c, struct str body);
/* Finds a class; NULL: the server lacks it. */
const struct catalog_class *catalog_find(const struct catalog *c, struct str name);
bool catalog_knows(const struct catalog *c, struct str name);

#endif
