/* Members of a JSON body, read by tables. */
#ifndef COMFYPOOL_SRC_API_BODY_MEMBERS_H
#define COMFYPOOL_SRC_API_BODY_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/err.h"
#include "comfypool/base/json_read.h"
#include "comfypool/base/str.h"
#include "comfypool/http/problem.h"

enum { BODY_DEPTH = 64 };

/* A member's value: its first token and its whole text. */
struct value {
    struct js_token token;
    struct str text;
    int bad; /* set by a reader: the wrong entry of a list; -1: the whole value */
};

struct member {
    const char *name;
    /* Stores the value in ret (often at offset); false for another shape. */
    bool (*read)(const struct member *m, struct value *v, void *ret);
    const char *shape; /* "NAME must be SHAPE"; NULL: a whole number from least to most */
    int64_t least;
    int64_t most;
    size_t offset;
    /* Replaces read for a value with members of its own: sets p, whose pointer names this member
       already. */
    bool (*read_inside)(struct value *v, void *ret, struct problem *p);
};

/* Checks that body is strict JSON and an object. */
bool members_check(struct str body, struct problem *p) MUST_CHECK;
/* Returns the index in the table; len: no such name. */
size_t members_find(const struct member *table, size_t len, struct js_token key);
/* Reads one value; on false p names the member. */
bool members_read_one(const struct member *m, struct js_token key, struct value *v, void *ret,
                      struct problem *p) MUST_CHECK;
/* Reads a checked object; refuses members that are not in the table. *ret_seen: set of 1u <<
   index. */
bool members_read(struct str body, const struct member *table, size_t len, void *ret,
                  unsigned *ret_seen, struct problem *p) MUST_CHECK;
bool members_refuse_key(struct js_token key, enum err code, const char *detail, struct problem *p);
/* Refuses an unknown key, with the nearest name of the table and of others (NULL at the end; or
   NULL), or all names. */
bool members_refuse_unknown(struct js_token key, const char *const *others,
                            const struct member *table, size_t len, struct problem *p);
/* Appends a name to the pointer of p. */
void members_point_at(struct problem *p, struct str name);

/* Readers: a copy of a string of 1 to `most` bytes without control characters; an int64_t; a
   priority as int; each string of an array (false ends it). */
enum { MEMBER_URL_MOST = 2000 };
bool member_text(const struct member *m, struct value *v, void *ret, size_t most);
bool member_int(const struct member *m, struct value *v, void *ret);
bool member_priority(const struct member *m, struct value *v, void *ret);
bool member_each_string(struct value *v, bool (*each)(void *ctx, struct str text), void *ctx);
extern const char member_priority_shape[];

#endif
