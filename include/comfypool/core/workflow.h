/*
 * A workflow in ComfyUI's API format: {nodeId: {"class_type"?, "inputs", "_meta"?: {"title"?}}}.
 * The text is authoritative (it is stored, returned and POSTed verbatim); this is an index into it:
 * ids, classes, titles, links, and the structural hash.
 */
#ifndef COMFYPOOL_CORE_WORKFLOW_H
#define COMFYPOOL_CORE_WORKFLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/digest.h"
#include "comfypool/base/err.h"
#include "comfypool/base/map.h"
#include "comfypool/base/str.h"

struct workflow_node {
    struct str id;
    struct str class_type; /* p == NULL: absent */
    struct str title;      /* p == NULL: absent */
    uint32_t first_dep;    /* into workflow.deps */
    uint32_t deps;         /* number of distinct nodes it links to, in order of its inputs */
    bool dangling;         /* links to a missing node */
    bool names_model;      /* an input names a model, as the hash defines it */
    size_t inputs_at;      /* offset of its inputs object in the parsed text: "{...}" */
    size_t inputs_len;
};

/* A seed of -1: chosen for each attempt. */
struct workflow_seed {
    uint32_t node;     /* into workflow.nodes */
    const char *input; /* "seed" or "noise_seed" */
};

/* A string input. */
struct workflow_value {
    uint32_t node; /* into workflow.nodes */
    struct str input;
    struct str value;
};

/*
 * The cost key groups runs of equal cost: the beginning of the structural hash, and a hash of the
 * numbers among the inputs (steps, sizes, batches) but seeds. All keys of a structure share the
 * first WORKFLOW_KEY_PREFIX characters.
 */
enum { WORKFLOW_KEY_PREFIX = 32, WORKFLOW_KEY_SIZE = WORKFLOW_KEY_PREFIX + 1 + 16 + 1 };

struct workflow {
    struct workflow_node *nodes; /* in the order of the text */
    size_t len;
    uint32_t *deps; /* indices of nodes; links to missing nodes are left out */
    size_t deps_len;
    struct workflow_seed *seeds; /* seeds of -1, in the order of the text */
    size_t seeds_len;
    struct workflow_value *models; /* values that name a model, as the hash defines it; in order */
    size_t models_len;
    struct workflow_value *paths; /* other values with a / or \; in order */
    size_t paths_len;
    struct map by_id;           /* id -> &nodes[i] */
    char hash[DIGEST_HEX_SIZE]; /* "": not computed */
    char cost_key[WORKFLOW_KEY_SIZE];
    char *texts; /* storage of all strs */
};

/* An error in a workflow. */
struct workflow_problem {
    enum err code;      /* ERR_WORKFLOW_INVALID or ERR_WORKFLOW_FORMAT_UI */
    struct buf pointer; /* JSON pointer below the workflow: "" or "/3/inputs" */
    const char *detail; /* for people; static */
};

/*
 * Reads a workflow from JSON text that js_check has accepted. Returns false with the problem set
 * (its pointer is then the caller's to buf_done) when it has no nodes, a node is no object, has no
 * `inputs` object (the API format asks for one), or a class_type that is no string. Links to
 * missing nodes and cycles are the backend's to judge. Owner of *ret: the caller, by workflow_free.
 * Independent of `text` after the call. Cost: O(length + nodes log nodes).
 */
bool workflow_parse(struct str text, struct workflow **ret,
                    struct workflow_problem *problem) MUST_CHECK;
/* Parses a text that was parsed before, without computing its hashes. NULL: no workflow. */
struct workflow *workflow_reparse(struct str text);
void workflow_free(struct workflow *w);

/* The node with this id, or NULL. */
const struct workflow_node *workflow_find(const struct workflow *w, struct str id);

/* Marks all nodes (one bool each) that marked ones depend on. O(nodes + links). */
void workflow_mark_needed(const struct workflow *w, bool *marks);

/* True if an input with this value (JSON text) names a model, as the hash defines it. */
bool workflow_names_model(struct str input, struct str value);

/* True if an input with this value (JSON text) is a seed to be chosen: -1. */
bool workflow_seed_is_open(struct str input, struct str value);

/* True if text looks like an API-format graph: an object whose members all are objects with a
   class_type. Tells a bare graph from a wrapped one. js_check has accepted the text. */
bool workflow_is_bare_graph(struct str text);
/* True if text, checked as above, looks like the editor's format: "nodes" and "links" arrays. */
bool workflow_is_ui_format(struct str text);

/* Appends "/" and name, escaped as RFC 6901 says. */
void json_pointer_add(struct buf *pointer, struct str name);

#endif
