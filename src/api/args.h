/* What the path, the query and the body of a request say, checked. */
#ifndef COMFYPOOL_SRC_API_ARGS_H
#define COMFYPOOL_SRC_API_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/digest.h"
#include "comfypool/base/text.h"
#include "comfypool/base/time.h"
#include "comfypool/base/uuid.h"
#include "comfypool/core/backend_change.h"
#include "comfypool/core/submission.h"
#include "comfypool/core/summary_group.h"
#include "comfypool/http/http.h"

struct api_args {
    /* The path. */
    char job_id[UUID_SIZE];           /* {id}, of a job or a batch: a canonical UUID */
    unsigned number;                  /* {n}: of an output, from 0, or an attempt, from 1 */
    char backend[TEXT_NAME_MOST + 1]; /* {name}, unescaped; or ?backend= */
    char delivery[UUID_SIZE];         /* {delivery} */
    char sha256[DIGEST_HEX_SIZE];     /* {sha256}; "": none */
    /* The query. */
    bool traceback;
    bool live;
    bool dry_run;
    char batch[UUID_SIZE];               /* "": not given */
    unsigned state_mask;                 /* 1u << state each; all when none was named */
    unsigned limit;                      /* 1 to 1000, default 50 */
    int64_t cursor;                      /* 0: from the newest */
    unsigned event_types;                /* 1u << event_type each */
    bool previews;                       /* of event streams */
    bool names_previews;                 /* ... among the types: who names them wants them */
    struct wall_us since;                /* 0: not given */
    struct wall_us until;                /* INT64_MAX: not given */
    char workflow_hash[DIGEST_HEX_SIZE]; /* "": not given */
    char base[UUID_SIZE];                /* of a comparison: a job, or "" for the baseline */
    char target[UUID_SIZE];
    unsigned runs; /* of a baseline: 1 to 100, default 20 */
    enum group_by group_by;
    unsigned delivery_states; /* 1u << state each; all when none was named */
    /* The body. */
    struct submission submission;         /* may be taken by clearing it */
    char body_digest[DIGEST_HEX_SIZE];    /* SHA-256 of what an Idempotency-Key stands for */
    struct backend_change backend_change; /* may be taken by clearing it */
    int priority;
};

void api_args_init(void *args);
void api_args_done(void *args);

static inline struct api_args *args_of(const struct http_request *rq)
{
    return rq->args;
}

#endif
