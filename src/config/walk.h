/*
 * A walk over the events of a YAML text. One event is the present one. A reader of a value starts
 * at its first event and stops at its last.
 */
#ifndef COMFYPOOL_SRC_CONFIG_WALK_H
#define COMFYPOOL_SRC_CONFIG_WALK_H

#include <stdbool.h>
#include <yaml.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/str.h"

/* The caller sets the first four members and zeroes the rest. */
struct walk {
    const char *path; /* for messages */
    struct str text;
    struct buf *errors;
    bool good;   /* nothing was complained about */
    bool broken; /* the text is no YAML from here on: no further event will come */
    yaml_parser_t parser;
    yaml_event_t event; /* the present one */
};

/* To the first document. False: there is none. Either way walk_end frees what the walk has. */
bool walk_begin(struct walk *w);
void walk_end(struct walk *w);

/* To the next event. A syntax error is complained about, and sets broken; the present event is then
   YAML_NO_EVENT. */
void walk_advance(struct walk *w);
/* To the last event of the present value. */
void walk_skip(struct walk *w);
/* In a sequence, to the next entry; false when there is none. */
bool walk_next_entry(struct walk *w);

/* Called at the first event of a member's value. The name lives until it returns. */
typedef void (*walk_member_fn)(struct walk *w, void *ctx, struct str name, unsigned line);
/* Calls fn for each member of the present mapping. */
void walk_mapping(struct walk *w, walk_member_fn fn, void *ctx);

/* Of the present event. */
unsigned walk_line(const struct walk *w);
bool walk_is_scalar(const struct walk *w);
bool walk_is_quoted(const struct walk *w);
/* Nothing at all, ~ or null. A list or a section that is null counts as left out. */
bool walk_is_null(const struct walk *w);
struct str walk_text(const struct walk *w);

/* Appends "PATH:LINE: ..." to errors. */
void walk_complain(struct walk *w, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
