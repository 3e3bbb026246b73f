/*
 * What a submission asks of where and how its job runs, beyond its policy: kept with the job as one
 * JSON text (job_options_write, job_options_read), NULL where nothing was asked. Pure.
 */
#ifndef COMFYPOOL_CORE_JOB_OPTIONS_H
#define COMFYPOOL_CORE_JOB_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/digest.h"
#include "comfypool/base/str.h"
#include "comfypool/core/label.h"
#include "comfypool/core/workflow.h"

enum { SPEC_NAMES_MOST = 64, SPEC_NAME_MOST = 256, SPEC_VARIANTS_MOST = 16 };

/* Which backends: by name, and by selectors of their labels (all must be met). */
struct job_where {
    bool has_only; /* an empty `only` is none at all */
    struct names only;
    struct names prefer;
    struct names exclude;
    struct names labels;
};

/* One of several workflows that would do. */
struct job_variant {
    char *workflow; /* text, verbatim */
    size_t workflow_len;
    size_t nodes_total;
    char hash[DIGEST_HEX_SIZE];
    char cost_key[WORKFLOW_KEY_SIZE];
    struct job_where where;
};

struct job_options {
    bool keep_seeds;       /* autoSeed: false */
    bool run_on_failure;   /* onFailure: run */
    bool skip_eligibility; /* what backends know is no reason to say no */
    struct names include_outputs;
    struct job_where where;
    struct job_variant *variants;
    size_t variants_len;
    char variants_key[DIGEST_HEX_SIZE]; /* by job_options_read: the same for the same variants, but
                                           for what does not count; "": there are none */
};

void job_where_done(struct job_where *w);
void job_options_done(struct job_options *s);
/* Nothing is asked. */
bool job_options_is_empty(const struct job_options *s);
/* Appends the JSON object. */
void job_options_write(const struct job_options *s, struct buf *out);
/* From what job_options_write wrote; anything else in it is left out. Owner: the caller, by
 * job_options_free. */
struct job_options *job_options_read(struct str json);
void job_options_free(struct job_options *s);

/* Which variant a placement (JSON, or NULL) names; NULL: none, or there are none. */
const struct job_variant *job_options_chosen(const struct job_options *s, const char *placement,
                                             size_t *ret_place);

/* True when a backend of this name with these labels may be used. */
bool job_where_allows(const struct job_where *w, const char *name, const struct names *labels);

#endif
