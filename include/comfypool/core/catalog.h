/*
 * What servers know: node classes and, of their inputs, the lists that a server holds values
 * against. Read from /object_info and /node_replacements. Classes that are equal, text for text,
 * are kept once for all servers. Pure; a draft may be read on any thread, the rest belongs to one.
 *
 * Lists count only where a server surely refuses what is not in them: plain ones, as [[...], {}]
 * and as ["COMBO", {"options": [...]}]; not those of uploads, remote, dynamic and multiple ones.
 * Values that differ only by \ and / are one: a Windows server spells folders with the first.
 * Types of links count only where they are plain text: not "*" (under whose name custom classes
 * take and give anything, and have outputs that they do not list), lists, and what unfolds
 * (COMFY_...). Nor do those of custom classes, of which a server may have types that are equal to
 * others (IMAGE that takes LATENT), or VALIDATE_INPUTS that takes more.
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
    bool listed;   /* its values are held against the list */
    bool loose;    /* it unfolds, or takes several: nobody says what a server makes of a value */
    bool all_text; /* its list holds nothing but text */
    char **values; /* sorted, \ as / */
    size_t values_len;
    char *links_of;        /* types that may be linked to it, as "A,B"; NULL: nobody holds them */
    bool has_min, has_max; /* a number's */
    double min, max;
};

struct catalog_class {
    unsigned refs;
    char digest[DIGEST_HEX_SIZE]; /* of its text */
    char shape[DIGEST_HEX_SIZE];  /* of all but the values in its lists */
    char *name;
    bool is_output;
    bool is_custom;               /* none of ComfyUI's own */
    struct catalog_input *inputs; /* sorted by name */
    size_t inputs_len;
    size_t required_len; /* of these */
    char **outputs;      /* their types, in order; NULL: nobody holds links against it */
    size_t outputs_len;
    bool outputs_known; /* a server has these and no others */
};

/* Values are in the list, or nobody holds them against one. */
bool catalog_allows(const struct catalog_class *c, struct str input, struct str value);
/* How the server spells a value of its list, borrowed; NULL: it is in none. */
const char *catalog_spelling(const struct catalog_class *c, struct str input, struct str value);
/* Whether a server takes a link from an output of the first type to an input of the second: one of
   each is the same. NULL: anything. */
bool catalog_types_match(const char *from, const char *to);
/* NULL: the class has no such input. */
const struct catalog_input *catalog_input(const struct catalog_class *c, struct str input);
/* It has inputs that unfold into others, which nobody lists. */
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
/* After the last catalog. */
void catalog_pool_done(struct catalog_pool *p);

struct catalog {
    struct map classes;  /* by name */
    struct map replaced; /* names that the server replaces by classes it has */
};
void catalog_init(struct catalog *c);
void catalog_done(struct catalog *c, struct catalog_pool *p);
/* The server has these classes and no others. The draft is taken. True: something is different. */
bool catalog_replace(struct catalog *c, struct catalog_pool *p, struct catalog_draft *take);
/* The server has this class as the draft says (taken), or has it not when the draft is empty. */
bool catalog_update(struct catalog *c, struct catalog_pool *p, struct str name,
                    struct catalog_draft *take);
/* Reads an answer of /node_replacements: its keys count as known. True: something is different. */
bool catalog_read_replacements(struct catalog *c, struct str body);
/* NULL: the server has no such class. */
const struct catalog_class *catalog_find(const struct catalog *c, struct str name);
bool catalog_knows(const struct catalog *c, struct str name);

#endif
