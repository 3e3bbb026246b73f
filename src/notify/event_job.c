/* A Job for events and webhooks; see webhooks.h. */
#include "comfypool/notify/events.h"
#include "comfypool/notify/webhooks.h"
#include "comfypool/render/render.h"

static void add_retry(const char *retry, struct buf *job)
{
    if (retry != NULL) {
        job->len--; /* the brace */
        buf_add_char(job, ',');
        buf_add_text(job, retry);
        buf_add_char(job, '}');
    }
}

void event_render_job(const struct job_record *r, const char *retry, struct buf *out)
{
    static const struct render_job_more whole = {.event = EVENT_JOB_WHOLE};
    static const struct render_job_more brief = {.event = EVENT_JOB_BRIEF};
    const size_t start = out->len;
    render_job_json(r, &whole, out);
    add_retry(retry, out);
    if (out->len - start > EVENT_DATA_MOST) { /* node errors may be of any size */
        out->len = start;
        render_job_json(r, &brief, out);
        add_retry(retry, out);
    }
}
