/*
 * What a submission asks beyond its policy about where and how its job runs: stored with the job as
 * one JSON text (job_options_write, job_options_read), NULL where nothing was asked. Pure.
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

/* Allowed backends: by name, and by label selectors (all must match). */
struct job_where {
    bool has_only; /* an empty `only` allows none */
    struct names only;
    struct names prefer;
    struct names exclude;
    struct names labels;
};

/* One of several alternative workflows. */
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
    bool skip_eligibility; /* ignores what backends are known to lack */
    struct names include_outputs;
    struct job_where where;
    struct job_variant *variants;
    size_t variants_len;
    char variants_key[DIGEST_HEX_SIZE]; /* set by job_options_read: equal for variants of equal
                                           cost; "": no variants */
};

void job_where_done(struct job_where *w);
void job_options_done(struct job_options *s);
/* True if nothing is asked. */
bool job_options_is_empty(const struct job_options *s);
/* Appends the JSON object. */
void job_options_write(const struct job_options *s, struct buf *out);
/* Reads what job_options_write wrote, ignoring anything else. Owner: the caller, by
   job_options_free. */
struct job_options *job_options_read(struct str json);
void job_options_free(struct job_options *s);

/* Returns the variant named by a placement (JSON, or NULL); NULL: none. */
const struct job_variant *job_options_chosen(const struct job_options *s, const char *placement,
                                             size_t *ret_place);

/* True if a backend of this name with these labels may be used. */
bool job_where_allows(const struct job_where *w, const char *name, const struct names *labels);

#endif
