/*
 * A prompt as a graph: its nodes, their links, what each does when it runs, and its cache key.
 *
 * graph_read turns the prompt of a POST into a graph; graph_validate says what a real server's
 * validation says (PROTOCOL 6). The graph borrows from the prompt's json_t, which must outlive it.
 * Executor fields are the executor's. Nodes live in the graph's arena and never move.
 */
#ifndef COMFYSIM_GRAPH_H
#define COMFYSIM_GRAPH_H

#include "classes.h"

struct node;
struct async_wait;

struct link {
    struct node *from; /* NULL: there is no such node in the prompt */
    const char *from_id;
    int64_t socket;
    const char *input;
    const json_t *value;
};

struct edge {
    struct edge *next;
    struct node *to;
};

enum check { CHECK_NEW, CHECK_BUSY, CHECK_GOOD, CHECK_BAD };
enum block { BLOCK_NONE, BLOCK_SILENT, BLOCK_MESSAGE };
enum resume { RESUME_NOT, RESUME_LAZY, RESUME_ASYNC, RESUME_SUBGRAPH };

/* What a node uses while it runs: bytes, per cent, bytes, degrees. NaN: the server's default; < 0:
   unavailable. */
struct usage {
    double vram, gpu, ram, temp;
};

struct cache_key {
    uint64_t a, b;
};

struct node {
    const char *id;
    const char *id_json; /* quoted and escaped */
    size_t id_json_len;
    const char *type;
    const struct node_class *class;
    const json_t *value;  /* the node's object */
    const json_t *inputs; /* NULL when the node has none */
    struct link *links;
    int n_links;
    bool is_output;

    /* What it does, from its `_` inputs and the table. */
    double ms; /* of all steps together */
    int steps;
    const char *error;     /* fails with that message */
    const char *exception; /* fails with "type: message" */
    double text_ms;        /* > 0: a progress text each */
    double async_ms;       /* < 0: not async */
    int expand;
    double child_ms;
    int child_steps;
    bool child_output;
    const char *child_error;
    bool lazy;
    const char *block_message; /* its result is a blocker; "" is a silent one */
    double gap_ms;
    bool uninterruptible;
    const json_t *ui;
    const char *file;
    bool said_cached;
    bool invalid;
    const char *lacks;
    struct usage usage;
    int previews;
    size_t preview_bytes;

    struct cache_key key;
    bool has_key;

    /* Validation. */
    enum check check;
    json_t *errors; /* array, owned */
    json_t *dependents;

    /* Executor. */
    struct node *parent; /* of an expanded node: the node that made it */
    struct node *display;
    bool pending;
    bool done;
    bool listed; /* in execution_cached */
    bool validated;
    int block_count;
    struct edge *blocking;
    enum resume resume;
    struct async_wait *async; /* executor's */
    enum block blocked;       /* its result is a blocker */
    const char *blocked_by;   /* message of the blocker it gives to the next */
    int state;                /* index of its progress_state entry, -1: none */
    bool gap_done;
    int truth; /* index of its open truth slice, -1: none */
};

struct graph {
    struct node **nodes;
    int n_nodes;
    int cap;
    int n_prompt_nodes; /* without expanded ones */
    struct node **outputs;
    int n_outputs;
    const char *tag; /* first _tag, borrowed */
    bool measured;   /* a node has a `usage` */
    struct arena_chunk *chunk;
};

/* What of this server validation depends on. */
struct known {
    json_t *missing; /* classes that it does not know; array or NULL */
    json_t *models;  /* checkpoints that it has; array, NULL: every one */
    bool (*has_image)(void *owner, const char *name);
    void *owner;
    bool v028;
    bool no_times; /* --zero */
    double speed;
    double node_ms; /* < 0: the table's */
    double slow;    /* every time is so many times as long; 0: 1 */
    bool secret;    /* /object_info is 404 */
    bool lenient;   /* checkpoints are not held against their list */
};

void *graph_alloc(struct graph *graph, size_t size);
struct node *graph_add_node(struct graph *graph, const char *id);

/*
 * Reads and validates. Returns the graph, or NULL with *ret_error a whole answer body (400), or
 * NULL with *ret_error empty: the server got itself in trouble (500). *ret_node_errors is what a
 * 200 says in node_errors ("{}" or more).
 */
struct graph *graph_read(const json_t *prompt, const json_t *targets, const struct known *known,
                         struct text *ret_node_errors, struct text *ret_error);
void graph_free(struct graph *graph);

/* An error body without node errors. */
void graph_error(struct text *out, const char *type, const char *message, const char *details,
                 const char *extra_info);

#endif
