/* The prompt of an attempt, made from its job and for its backend. */
#include "attempt_prompt.h"

#include <stdlib.h>

#include "comfypool/core/credentials.h"
#include "comfypool/core/prompt.h"

#include "attempt.h"
#include "backends.h"
#include "batches.h"
#include "jobs.h"

static struct str workflow_of(const struct job *j)
{
    return (struct str){j->texts.workflow, j->texts.workflow_len};
}

void attempt_prepare_prompt(struct attempt *a)
{
    struct job *j = a->job;
    const struct catalog *c = &a->backend->knows.catalog;
    prompt_spell_as_listed(a->workflow, workflow_of(j), c, &a->splices);
    free(j->r.auto_seeds);
    j->r.auto_seeds = NULL;
    if (a->workflow->seeds_len > 0 && (j->spec == NULL || !j->spec->keep_seeds)) {
        AUTO_BUF struct buf chosen;
        buf_init(&chosen, BUF_NO_LIMIT);
        prompt_choose_seeds(a->workflow, workflow_of(j), c, &a->splices, &chosen);
        j->r.auto_seeds = buf_take(&chosen);
    }
}

/* Servers run only what partial_execution_targets names since 0.3.48. */
static bool takes_targets(const struct backend *b)
{
    static const unsigned long since[] = {0, 3, 48};
    const char *p = b->said.version == NULL ? "" : b->said.version;
    for (size_t i = 0; i < sizeof since / sizeof *since; i++) {
        char *end = NULL;
        const unsigned long n = strtoul(p, &end, 10);
        if (end == p || n != since[i]) {
            return end != p && n > since[i];
        }
        p = *end == '.' ? end + 1 : end;
    }
    return true;
}

/* Appends the client's extra_data verbatim, with the account keys put back. */
static void add_extra_data(const struct job *j, struct buf *out)
{
    const char *keys = j->texts.credentials != NULL ? j->texts.credentials
                       : j->batch != NULL           ? j->batch->credentials
                                                    : NULL;
    credentials_join(str_of(j->texts.extra_data), str_of(keys), out);
}

int64_t attempt_render_prompt(struct attempt *a, struct buf *body)
{
    const struct job *j = a->job;
    AUTO_BUF struct buf text;
    AUTO_BUF struct buf extra;
    buf_init(&text, BUF_NO_LIMIT);
    buf_init(&extra, BUF_NO_LIMIT);
    splices_apply(&a->splices, workflow_of(j), &text);
    add_extra_data(j, &extra);
    const bool has_all = j->spec == NULL || j->spec->include_outputs.len == 0;
    const struct prompt p = {
        .workflow = a->workflow,
        .text = buf_str(&text),
        .client_id = a->r.client_id,
        .prompt_id = a->r.prompt_id,
        .outputs = has_all ? NULL : &j->spec->include_outputs,
        .takes_targets = takes_targets(a->backend),
        .extra_data = buf_str(&extra),
    };
    return prompt_render(&p, body);
}
