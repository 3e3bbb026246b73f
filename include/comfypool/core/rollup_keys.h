/*
 * Under which keys roll-ups are kept, and how many keys there may be. A kind of roll-ups is a
 * group, of all runs or of those of single clients; its number is on disk. Keys are bounded: the
 * least recently seen is forgotten or merged into the key "other". Pure.
 */
#ifndef COMFYPOOL_CORE_ROLLUP_KEYS_H
#define COMFYPOOL_CORE_ROLLUP_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/str.h"
#include "comfypool/core/summary_group.h"

enum { ROLLUP_KIND_COUNT = GROUP_OF_CLIENT + GROUP_COUNT };

#define ROLLUP_OTHER "other"

/* ---- kinds ----------------------------------------------------------------------------------- */

int rollup_kind(enum group_by group, bool of_clients);
/* Returns the kind of another group with the same clients. */
int rollup_kind_beside(int kind, enum group_by group);
enum group_by rollup_group(int kind);
/* True if forgotten keys of this kind merge into "other". Elsewhere it would be useless: no one
   asks for the other estimates, or for the other workflows of a client. */
bool rollup_has_other(int kind);
/* Returns the limit of keys of this kind; nodes are limited by workflow instead. */
int64_t rollup_most_keys(int kind);
/* Limit of nodes of one workflow; more count under "HASH/other". */
enum { ROLLUP_MOST_NODES = 200 };

/* ---- keys ------------------------------------------------------------------------------------ */

/* Appends the stored key of an observation; client: n == 0: all. */
void rollup_add_key(struct str client, struct str key, struct buf *out);
/* Returns the workflow's part of a node's key, with its client if any. */
struct str rollup_workflow_of_node(struct str key);
/* Appends the "other" key of a workflow. */
void rollup_add_other_node(struct str workflow, struct buf *out);

/* Keys from `from` up to but not including `to`, in byte order. */
struct key_range {
    int kind;
    struct str from;
    struct str to;
};
/* Returns the range of all keys of a kind. */
struct key_range rollup_range_of_kind(int kind);
/* Returns the range of one key. The texts are in b, which must live as long. */
struct key_range rollup_range_of_key(int kind, struct str key, struct buf *b);
/* Returns the range of a workflow's nodes; workflow: with its client, where the kind has one. */
struct key_range rollup_range_of_nodes(int kind, struct str workflow, struct buf *b);

/* ---- questions ------------------------------------------------------------------------------- */

/* The query of a summary. */
struct rollup_question {
    enum group_by group;
    const char *workflow_hash; /* "": all */
    const char *client;        /* NULL: all */
};
/* Returns the kind that answers it: of one workflow, classes are the labels of its nodes, and
   backends the suffixes of its runs' keys. */
int rollup_kind_asked(const struct rollup_question *q);
/* Limits the keys to look at; false: all. The texts are in from and to. */
bool rollup_range_asked(const struct rollup_question *q, struct buf *from, struct buf *to);
/* Returns the answer's key for a roll-up; n == 0: not in the answer. */
struct str rollup_key_told(const struct rollup_question *q, struct str key, struct str label);

#endif
