/*
 * The body POSTed for an attempt: the submitted workflow with this attempt's changes spliced in
 * (seeds, files), and the client's extra data. Pure, but for the random numbers.
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

/* Chooses a random number for each node that wants one, within the server's catalog (an empty one
   allows all). Appends {"NODE": N}. */
void prompt_choose_seeds(const struct workflow *w, struct str text, const struct catalog *c,
                         struct splices *changes, struct buf *chosen);
/* Respells paths: a Windows server uses \ in them, others /. A value that differs from a listed one
   only by that becomes the listed one. */
void prompt_spell_as_listed(const struct workflow *w, struct str text, const struct catalog *c,
                            struct splices *changes);

struct prompt {
    const struct workflow *workflow;
    struct str text; /* the workflow's, changed */
    const char *client_id;
    const char *prompt_id;
    const struct names *outputs; /* the only wanted nodes; NULL: all */
    bool takes_targets;          /* the server accepts targets; else other nodes are removed */
    struct str extra_data;       /* with account keys; n == 0: none */
};
/* Appends the body of POST /prompt. Returns its create_time (ms), which the client gave; 0:
   none. */
int64_t prompt_render(const struct prompt *p, struct buf *body);

#endif
