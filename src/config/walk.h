/*
 * A walk over the events of a YAML text. One event is current. A reader of a value starts at its
 * first event and stops at its last.
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
    bool good;   /* no errors so far */
    bool broken; /* invalid YAML from here on: no more events */
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
};

/* Moves to the first document. False: none. Either way walk_end frees the walk's data. */
bool walk_begin(struct walk *w);
void walk_end(struct walk *w);

/* Moves to the next event. A syntax error is reported, and sets broken; the current event is then
   YAML_NO_EVENT. */
void walk_advance(struct walk *w);
/* Moves to the last event of the current value. */
void walk_skip(struct walk *w);
/* Moves to the next entry of a sequence; false: none. */
bool walk_next_entry(struct walk *w);

/* Called at the first event of a member's value. The name lives until it returns. */
typedef void (*walk_member_fn)(struct walk *w, void *ctx, struct str name, unsigned line);
/* Calls fn for each member of the current mapping. */
void walk_mapping(struct walk *w, walk_member_fn fn, void *ctx);

/* About the current event: */
unsigned walk_line(const struct walk *w);
bool walk_is_scalar(const struct walk *w);
bool walk_is_quoted(const struct walk *w);
/* True for nothing at all, ~ or null. A null list or section counts as left out. */
bool walk_is_null(const struct walk *w);
struct str walk_text(const struct walk *w);

/* Appends "PATH:LINE: ..." to errors. */
void walk_complain(struct walk *w, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
