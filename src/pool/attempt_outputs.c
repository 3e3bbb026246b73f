/*
 * The outputs of an attempt: the last one of each node, in the order of arrival. Invariant:
 * together they have at most MAX_OUTPUTS bytes. Lookup is O(1).
 */
#include "attempt_outputs.h"

#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/base/json_write.h"
#include "comfypool/base/log.h"
#include "comfypool/render/render.h"

#include "attempt.h"
#include "event_publish.h"
#include "jobs.h"

struct output {
    char *json;
    size_t bytes; /* as received */
    size_t files; /* listed files and texts */
    char node_id[];
};

/* A node's output, or all of them, may be text; beyond this they are no outputs any more. */
enum { MAX_OUTPUTS = 16 << 20 };

/* If the job names its outputs, only those count, and outputs inside expanded nodes. */
bool attempt_includes(const struct attempt *a, struct str node_id)
{
    const struct job_options *s = a->job->spec;
    if (s == NULL || s->include_outputs.len == 0 || workflow_find(a->workflow, node_id) == NULL) {
        return true;
    }
    AUTO_FREE char *id = mem_copy(node_id);
    return names_have(&s->include_outputs, id);
}

bool attempt_leaves_out(struct attempt *a)
{
    const bool first = !a->outputs.truncated;
    a->outputs.truncated = true;
    return first;
}

static struct output *add_output(struct attempt *a, struct str node_id)
{
    struct output *o = mem_zero(1, sizeof *o + node_id.n + 1);
    memcpy(o->node_id, node_id.p, node_id.n);
    if (a->outputs.len == a->outputs.cap) {
        a->outputs.cap = a->outputs.cap == 0 ? 8 : a->outputs.cap * 2;
        a->outputs.list = mem_grow(a->outputs.list, a->outputs.cap * sizeof(struct output *));
    }
    a->outputs.list[a->outputs.len++] = o;
    (void)map_put(&a->outputs.by_id, (struct str){o->node_id, node_id.n}, o);
    return o;
}

/* of: the node's earlier output, which is replaced; or NULL. */
static bool has_room_for(struct attempt *a, const struct output *of, size_t bytes)
{
    const size_t others = a->outputs.bytes - (of == NULL ? 0 : of->bytes);
    if (bytes <= MAX_OUTPUTS && others + bytes <= MAX_OUTPUTS) {
        return true;
    }
    LOG(LOG_WARN, "an output is left out: outputs of a job may have 16 MiB in all",
        LOG_S("job", a->job->r.id), LOG_I("bytes", bytes));
    (void)attempt_leaves_out(a);
    return false;
}

/* Counts files for the limit of listed outputs; files beyond it are stored but not listed. */
static void count_files(struct attempt *a, struct output *of, size_t files)
{
    a->outputs.files += files - of->files;
    of->files = files;
    if (a->outputs.files > RENDER_OUTPUTS_MOST && attempt_leaves_out(a)) {
        LOG(LOG_WARN, "a job has more outputs than are listed", LOG_S("job", a->job->r.id),
            LOG_I("listed", RENDER_OUTPUTS_MOST));
    }
}

void attempt_add_output(struct attempt *a, struct str node_id, struct str ui)
{
    struct output *to = map_get(&a->outputs.by_id, node_id);
    if (ui.n == 0 || !attempt_includes(a, node_id) || !has_room_for(a, to, ui.n)) {
        return;
    }
    AUTO_BUF struct buf clean;
    buf_init(&clean, BUF_NO_LIMIT);
    if (!js_clean(ui, &clean) || (to != NULL && str_is(buf_str(&clean), to->json))) {
        return; /* repeated, or also told by /history */
    }
    const size_t files = publish_output(a, node_id, buf_str(&clean));
    if (to == NULL) {
        to = add_output(a, node_id);
    }
    count_files(a, to, files);
    free(to->json);
    to->json = buf_take(&clean);
    a->outputs.bytes += ui.n - to->bytes;
    to->bytes = ui.n;
}

/* Copies the members of an output except `streamed`. */
static void copy_members(struct str ui, struct js_out *to)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    struct js_reader r;
    js_read_checked(&r, ui);
    (void)js_next(&r);
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        const struct str value = js_skip(&r);
        if (!js_is(key, "streamed")) {
            buf_clear(&scratch);
            js_key_str(to, js_text(key, &scratch));
            js_raw(to, value);
        }
    }
}

void attempt_add_streamed(struct attempt *a, struct str node_id, struct str list)
{
    const struct output *o = map_get(&a->outputs.by_id, node_id);
    AUTO_BUF struct buf ui;
    buf_init(&ui, BUF_NO_LIMIT);
    struct js_out to = js_out_to(&ui);
    js_open(&to, '{');
    js_member_raw(&to, "streamed", list);
    if (o != NULL) {
        copy_members(str_of(o->json), &to);
    }
    js_close(&to, '}');
    attempt_add_output(a, node_id, buf_str(&ui));
}

/* Returns {nodeId: ui} in the order of the workflow, then expanded nodes in order of arrival; NULL:
   none. */
char *attempt_render_outputs(const struct attempt *a)
{
    if (a->outputs.len == 0) {
        return NULL;
    }
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    struct js_out o = js_out_to(&b);
    js_open(&o, '{');
    for (size_t i = 0; i < a->workflow->len; i++) {
        const struct output *of = map_get(&a->outputs.by_id, a->workflow->nodes[i].id);
        if (of != NULL) {
            js_member_raw(&o, of->node_id, str_of(of->json));
        }
    }
    for (size_t i = 0; i < a->outputs.len; i++) {
        const struct output *of = a->outputs.list[i];
        if (workflow_find(a->workflow, str_of(of->node_id)) == NULL) {
            js_member_raw(&o, of->node_id, str_of(of->json));
        }
    }
    js_close(&o, '}');
    return buf_take(&b);
}

void attempt_outputs_done(struct attempt_outputs *o)
{
    for (size_t i = 0; i < o->len; i++) {
        free(o->list[i]->json);
        free(o->list[i]);
    }
    free(o->list);
    map_done(&o->by_id);
}
