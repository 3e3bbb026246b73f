/*
 * What a submission asks of where and how its job runs, beyond its policy: kept with the job as one
 * JSON text (spec_write, spec_read), NULL where nothing was asked. Pure.
 */
#ifndef COMFYPOOL_CORE_SPEC_H
#define COMFYPOOL_CORE_SPEC_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/digest.h"
#include "comfypool/base/str.h"
#include "comfypool/core/label.h"
#include "comfypool/core/workflow.h"

enum { SPEC_NAMES_MOST = 64, SPEC_NAME_MOST = 256, SPEC_VARIANTS_MOST = 16 };

/* Which backends: by name, and by selectors of their labels (all must be met). */
struct spec_where {
    bool has_only; /* an empty `only` is none at all */
    struct names only;
    struct names prefer;
    struct names exclude;
    struct names labels;
};

/* One of several workflows that would do. */
struct spec_variant {
    char *workflow; /* text, verbatim */
    size_t workflow_len;
    size_t nodes_total;
    char hash[DIGEST_HEX_SIZE];
    char cost_key[WORKFLOW_KEY_SIZE];
    struct spec_where where;
};

struct spec {
    bool keep_seeds;       /* autoSeed: false */
    bool run_on_failure;   /* onFailure: run */
    bool skip_eligibility; /* what backends know is no reason to say no */
    struct names include_outputs;
    struct spec_where where;
    struct spec_variant *variants;
    size_t variants_len;
    char variants_key[DIGEST_HEX_SIZE]; /* by spec_read: the same for the same variants, but for
                                           what does not count; "": there are none */
};

void spec_where_done(struct spec_where *w);
void spec_done(struct spec *s);
/* Nothing is asked. */
bool spec_is_empty(const struct spec *s);
/* Appends the JSON object. */
void spec_write(const struct spec *s, struct buf *out);
/* From what spec_write wrote; anything else in it is left out. Owner: the caller, by spec_free. */
struct spec *spec_read(struct str json);
void spec_free(struct spec *s);

/* Which variant a placement (JSON, or NULL) names; NULL: none, or there are none. */
const struct spec_variant *spec_chosen(const struct spec *s, const char *placement,
                                       size_t *ret_place);

/* True when a backend of this name with these labels may be used. */
bool spec_where_allows(const struct spec_where *w, const char *name, const struct names *labels);

#endif
