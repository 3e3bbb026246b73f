/* The POST of an attempt; see the header. attempt_begin.c judges the answer. */
#include "attempt_post.h"

#include "comfypool/base/pending.h"

#include "attempt.h"
#include "attempt_prompt.h"
#include "backends.h"
#include "state.h"

void attempt_send_post(struct attempt *a, comfy_submit_fn answered)
{
    AUTO_BUF struct buf body;
    buf_init(&body, BUF_NO_LIMIT);
    a->post.created_ms = attempt_render_prompt(a, &body);
    a->post.at = time_mono();
    a->timeline.posted = (struct time_mark){.set = true, .received = a->post.at};
    pending_add(&a->backend->pool->pending);
    a->post.call = comfy_submit(a->backend->comfy, buf_str(&body), answered, a);
}

void attempt_keep_answer(struct attempt *a, struct comfy_submit_answer *answer)
{
    a->post.call = NULL;
    if (answer->result == COMFY_AMBIGUOUS) {
        a->post.status = answer->status;
        a->post.page = answer->is_page;
    } else if (answer->result == COMFY_ACCEPTED && answer->answer.node_errors.len > 0) {
        a->post.node_errors = buf_take(&answer->answer.node_errors);
    }
}

void attempt_cancel_post(struct attempt *a)
{
    if (a->post.call != NULL) {
        http_call_cancel(a->post.call);
        a->post.call = NULL;
        pending_remove(&a->pool->pending);
    }
}

void attempt_was_posted(struct attempt *a, struct mono_us at)
{
    a->post.at = at;
}
