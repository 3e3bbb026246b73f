/*
 * What a server is POSTed for an attempt: the workflow as it was submitted, with the changes of
 * this attempt spliced into it (seeds, files), and what the client wants to be passed on. Pure, but
 * for the random numbers.
 */
#ifndef COMFYPOOL_CORE_PROMPT_H
#define COMFYPOOL_CORE_PROMPT_H

#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/str.h"
#include "comfypool/core/catalog.h"
#include "comfypool/core/job_options.h"
#include "comfypool/core/splice.h"
#include "comfypool/core/workflow.h"

/* A random number for each node that wants one, within what its server's catalog allows (an empty
   one allows all). Appends {"NODE": N}. */
void prompt_choose_seeds(const struct workflow *w, struct str text, const struct catalog *c,
                         struct splices *changes, struct buf *chosen);
/* Files in folders are named with \ by a Windows server and with / by others: a value that is one
   of the server's list but for that becomes the server's. */
void prompt_spell_as_listed(const struct workflow *w, struct str text, const struct catalog *c,
                            struct splices *changes);

struct prompt {
    const struct workflow *workflow;
    struct str text; /* of the workflow, changed */
    const char *client_id;
    const char *prompt_id;
    const struct names *outputs; /* only these nodes are wanted; NULL: all */
    bool takes_targets;          /* the server can be told so; else it gets no other nodes */
    struct str extra_data;       /* with account keys; n == 0: none */
};
/* The body of POST /prompt. Appends. Returns its create_time (ms), which the client gave; 0: it has
   none. */
int64_t prompt_render(const struct prompt *p, struct buf *body);

#endif
