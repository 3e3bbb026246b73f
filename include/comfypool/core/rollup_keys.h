/*
 * Under which keys roll-ups are kept, and how many keys there may be. A kind of roll-ups is a
 * group, of everybody's runs or of those of single clients; its number is on disk. Keys are
 * bounded: what was least recently seen makes room, and is forgotten or goes into the key "other".
 * Pure.
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
/* The kind of the same clients in another group. */
int rollup_kind_beside(int kind, enum group_by group);
enum group_by rollup_group(int kind);
/* What is forgotten of this kind goes into "other". Elsewhere it would say nothing: nobody asks for
   the other estimates, or for the other workflows of a client. */
bool rollup_has_other(int kind);
/* How many keys of this kind there may be; nodes are bounded by workflow instead. */
int64_t rollup_most_keys(int kind);
/* How many nodes of one workflow there may be; the rest counts under its "HASH/other". */
enum { ROLLUP_MOST_NODES = 200 };

/* ---- keys ------------------------------------------------------------------------------------ */

/* Appends the key under which an observation of this key counts; client: n == 0: everybody's. */
void rollup_add_key(struct str client, struct str key, struct buf *out);
/* The workflow's part of a node's key, with its client if it has one. */
struct str rollup_workflow_of_node(struct str key);
/* Appends the key of a workflow's other nodes. */
void rollup_add_other_node(struct str workflow, struct buf *out);

/* Keys from `from` on and before `to`, in the order of their bytes. */
struct key_range {
    int kind;
    struct str from;
    struct str to;
};
/* All keys of a kind. */
struct key_range rollup_range_of_kind(int kind);
/* One key alone. The texts lie in b, which must live as long. */
struct key_range rollup_range_of_key(int kind, struct str key, struct buf *b);
/* All nodes of a workflow; workflow: with its client, where the kind has one. */
struct key_range rollup_range_of_nodes(int kind, struct str workflow, struct buf *b);

/* ---- questions ------------------------------------------------------------------------------- */

/* What a summary asks for. */
struct rollup_question {
    enum group_by group;
    const char *workflow_hash; /* "": all */
    const char *client;        /* NULL: everybody's */
};
/* The kind that answers it: of one workflow, classes are the labels of its nodes, and backends are
   the ends of its runs' keys. */
int rollup_kind_asked(const struct rollup_question *q);
/* Which of its keys are looked at; false: all of them. The texts lie in from and to. */
bool rollup_range_asked(const struct rollup_question *q, struct buf *from, struct buf *to);
/* Under which key of the answer a roll-up counts; n == 0: under none. */
struct str rollup_key_told(const struct rollup_question *q, struct str key, struct str label);

#endif
