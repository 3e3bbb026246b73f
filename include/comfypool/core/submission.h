/*
 * A submission: one job, or a batch of jobs, as checked values. Texts (workflow, metadata, extra
 * data) are kept verbatim.
 */
#ifndef COMFYPOOL_CORE_SUBMISSION_H
#define COMFYPOOL_CORE_SUBMISSION_H

#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/digest.h"
#include "comfypool/base/time.h"
#include "comfypool/base/uuid.h"
#include "comfypool/core/attachment.h"
#include "comfypool/core/job.h"
#include "comfypool/core/job_options.h"
#include "comfypool/core/webhook.h"
#include "comfypool/core/workflow.h"

enum tristate { UNSET = -1, OFF = 0, ON = 1 };

enum { BATCH_MOST = 10000, AFTER_MOST = 100, ATTACHMENTS_MOST = 64 };

/* One job, or a batch of jobs. */
struct submission {
    char *workflow; /* the workflow's text, verbatim */
    size_t workflow_len;
    char *metadata;   /* JSON object as sent, or NULL */
    char *extra_data; /* JSON object as sent, or NULL */
    int priority;
    enum tristate profile;
    enum tristate keep;       /* copy its outputs */
    struct job_policy policy; /* POLICY_UNSET, RETRY_ON_UNSET: the default */
    struct webhook webhook;
    char *client;              /* or NULL */
    struct wall_us not_before; /* 0: at once */
    char *after;               /* JSON array of distinct job ids, or NULL */
    struct job_options spec;   /* its first variant is the workflow */
    struct attachment *attachments;
    size_t attachments_len;
    char *overrides;      /* of a batch: JSON array of objects as sent; the named inputs exist, as
                             spliced by override_apply */
    size_t overrides_len; /* 0: no batch */
    size_t nodes_total;
    char hash[DIGEST_HEX_SIZE];
    char cost_key[WORKFLOW_KEY_SIZE];
};

/* Frees everything s points to. */
void submission_done(struct submission *s);

#endif
