/* Frees the texts of a submission. */
#include "comfypool/core/submission.h"

#include <stdlib.h>

void submission_done(struct submission *s)
{
    free(s->workflow);
    free(s->metadata);
    free(s->extra_data);
    free(s->client);
    free(s->after);
    free(s->overrides);
    for (size_t i = 0; i < s->attachments_len; i++) {
        attachment_done(&s->attachments[i]);
    }
    free(s->attachments);
    job_options_done(&s->spec);
    webhook_done(&s->webhook);
    *s = (struct submission){0};
}
