/*
 * A stored profile, decoded once: the input of all formats but JSON. Points in time are whole
 * microseconds since the job was queued, so that sums and nesting are exact. Members missing when
 * the profile was stored are absent here too; ids, types, titles and messages are whatever clients
 * and servers sent. Used by the files of this room only.
 */
#ifndef COMFYPOOL_RENDER_PROFILE_READ_H
#define COMFYPOOL_RENDER_PROFILE_READ_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/json_write.h"
#include "comfypool/base/map.h"
#include "comfypool/base/str.h"
#include "comfypool/base/time.h"

/* ---- members of a JSON object ---------------------------------------------------------------- */

/* p == NULL: absent, or no string. May contain NUL. Lives as long as the object. */
struct str text_of(const json_t *o, const char *key);
/* 0: absent, or no number. */
double number_of(const json_t *o, const char *key);
/* NULL: absent, or no number. */
const json_t *known_number(const json_t *o, const char *key);
/* Converts milliseconds to whole microseconds; a double holds those of this millennium exactly. */
int64_t us_of(double ms);
/* Reads a span in milliseconds; false when absent. */
bool span_of(const json_t *o, const char *key, struct dur_us *ret);
size_t sizes_of(const json_t *o, const char *key);

/* Writes the value as JSON text, where a value is due. */
void js_value(struct js_out *o, const json_t *value);
/* Copies the member of that name from `from`, unless absent or null. */
void js_member_of(struct js_out *o, const char *name, const json_t *from);
/* Adds a number with the fewest digits that reproduce it. */
void add_number(struct buf *out, double value);

/* ---- the profile ----------------------------------------------------------------------------- */

struct stored_slice {
    struct dur_us from;
    struct dur_us to;
};

struct stored_node {
    const json_t *json;
    struct str id;
    struct str type;  /* p == NULL: absent */
    struct str title; /* p == NULL: absent */
    struct str status;
    struct stored_node *parent; /* NULL: none, or not in the profile; never a cycle */
    bool cached;
    bool has_start;
    bool has_end;
    bool open; /* running when the profile of a running attempt was made; slices end there */
    struct dur_us start;
    struct dur_us end;
    const struct stored_slice *slices; /* none: pending, cached, or unknown times */
    size_t slices_len;
    struct dur_us busy; /* sum of its slices */
    size_t walk;        /* for the search of cycles */
};

struct stored_profile {
    json_t *json;
    bool live; /* its attempt was still running */
    struct wall_us queued;
    bool has_start;
    struct dur_us start; /* of the execution */
    struct dur_us end;   /* of the attempt, as far as known; nothing lies behind it */
    struct stored_node *nodes;
    size_t nodes_len;
    struct stored_slice *slices;
    size_t slices_len;
};

/* Reads a profile. False when it is none; *ret is then empty. Owner of *ret: the caller, by
   profile_read_done. */
bool profile_read(struct str profile_json, struct stored_profile *ret);
/* Maps nodes by id, if they have one. Owner: the caller (map_done); its keys live as the profile
   does. */
void stored_nodes_by_id(const struct stored_profile *p, struct map *ret);
void profile_read_done(struct stored_profile *p);
#define AUTO_PROFILE __attribute__((cleanup(profile_read_done)))

/* Reads a point in time since the job was queued, at least 0; false when absent. */
bool point_of(const struct stored_profile *p, const json_t *o, const char *key, struct dur_us *ret);

static inline struct wall_us stored_wall(const struct stored_profile *p, struct dur_us since_queued)
{
    return (struct wall_us){p->queued.us + since_queued.us};
}

/* A phase of the attempt; parts of the queue follow it. */
struct stored_phase {
    const char *name;
    bool part; /* part of the last phase that is none */
    struct dur_us from;
    struct dur_us to;
};

enum { STORED_PHASES_MAX = 6 };

/* Lists phases in order of time; the queue always, others when they took any. Returns how many. */
size_t stored_phases(const struct stored_profile *p, struct stored_phase ret[STORED_PHASES_MAX]);

/* ---- names ----------------------------------------------------------------------------------- */

/* Adds a node's name for people: its title, else its type, else "node", with the id behind it:
   "Load Checkpoint [4]". On one line, cut when long, and its first character is no blank. */
void add_node_label(struct buf *out, const struct stored_node *n);
/* Adds at most `max` characters of s, ".." for the rest; blanks for what would spoil the line. */
void add_plain(struct buf *out, struct str s, size_t max);

#endif
