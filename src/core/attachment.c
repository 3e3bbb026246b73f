/* Reads and writes the files in a job's row; see the header. */
#include "comfypool/core/attachment.h"

#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/str.h"

void attachment_done(struct attachment *a)
{
    free(a->node_id);
    free(a->input);
    free(a->extension);
    free(a->part);
    free(a->data);
}

void attachment_write(struct js_out *o, const struct attachment *a)
{
    js_open(o, '{');
    js_member_string(o, "nodeId", a->node_id);
    js_member_string(o, "inputName", a->input);
    js_member_string(o, "sha256", a->sha256);
    js_member_string(o, "extension", a->extension);
    if (a->job_id[0] != '\0') {
        js_member_string(o, "job", a->job_id);
        js_member_int(o, "output", a->output);
    }
    js_close(o, '}');
}

void attachments_read(struct js_reader *r, const char *row)
{
    js_read_strict(r, str_of(row == NULL ? "[]" : row), JS_MAX_DEPTH);
    (void)js_next(r);
}

static void read_member(struct js_token key, struct js_token value, struct attachment *a)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    const struct str text = js_text(value, &scratch);
    if (js_is(key, "nodeId")) {
        a->node_id = mem_copy(text);
    } else if (js_is(key, "inputName")) {
        a->input = mem_copy(text);
    } else if (js_is(key, "extension")) {
        a->extension = mem_copy(text);
    } else if (js_is(key, "sha256")) {
        (void)snprintf(a->sha256, sizeof a->sha256, "%.*s", (int)text.n, text.p);
    } else if (js_is(key, "job")) {
        (void)snprintf(a->job_id, sizeof a->job_id, "%.*s", (int)text.n, text.p);
    } else if (js_is(key, "output")) {
        (void)js_int(value, &a->output);
    }
}

bool attachments_next(struct js_reader *r, struct attachment *ret)
{
    *ret = (struct attachment){.node_id = NULL};
    if (js_next(r).kind != JS_OBJECT) {
        return false;
    }
    for (struct js_token key = js_next(r); key.kind == JS_KEY; key = js_next(r)) {
        read_member(key, js_next(r), ret);
    }
    return true;
}
