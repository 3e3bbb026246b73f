/* Streamed images; see the header. */
#include "streamed.h"

#include "comfypool/base/log.h"

#include "attempt.h"
#include "backends.h"
#include "jobs.h"
#include "state.h"

static const char own_class[] = "SaveImageWebsocket"; /* ComfyUI's */

static bool is_stream_class(const struct pool *p, struct str class_type)
{
    if (str_is(class_type, own_class)) {
        return true;
    }
    size_t i = 0;
    while (i < p->options.stream_classes_len && !str_is(class_type, p->options.stream_classes[i])) {
        i++;
    }
    return i < p->options.stream_classes_len;
}

/* Returns the node that sent the image: as named by the frame, else the running node. */
static struct str node_of(const struct attempt *a, const struct frame_preview *f)
{
    return f->node_id.p != NULL ? f->node_id : str_of(a->progress.node_id);
}

bool attempt_streams(const struct attempt *a, const struct frame_preview *f)
{
    const struct str id = node_of(a, f);
    const struct workflow_node *node = id.n == 0 ? NULL : workflow_find(a->workflow, id);
    return node != NULL && is_stream_class(a->backend->pool, node->class_type);
}

static void left_out(struct attempt *a, const char *why)
{
    if (attempt_leaves_out(a)) {
        LOG(LOG_WARN, why, LOG_S("job", a->job->r.id));
    }
}

static void image_written(void *ctx, const char *node_id, const char *why)
{
    struct attempt *a = ctx;
    if (why != NULL) {
        (void)attempt_leaves_out(a);
        LOG(LOG_ERROR, "an image that came over the WebSocket could not be kept",
            LOG_S("job", a->job->r.id), LOG_S("node", node_id), LOG_S("why", why));
    }
    if (attempt_is_over(&a->state) && a->streamed.pending == 0) {
        a->pool->ops->wrote_images(a);
    }
}

void attempt_init_streamed(struct attempt *a)
{
    streamed_init(&a->streamed, &a->pool->streamed_writes, image_written, a);
}

void attempt_take_streamed(struct attempt *a, const struct frame_preview *f)
{
    if (!streamed_add(&a->streamed, node_of(a, f), f->media_type, f->image)) {
        left_out(a, "images that came over the WebSocket are left out: there is no room");
    }
}

static bool has_run(const struct attempt *a, size_t node)
{
    const enum profile_status status = progress_status(&a->progress, node);
    const struct workflow_node *n = &a->workflow->nodes[node];
    return status == PROFILE_COMPLETED ||
           (status != PROFILE_CACHED && str_is(n->class_type, own_class) &&
            attempt_includes(a, n->id)); /* an output node always runs, seen or not */
}

/* True if a node ran, none of its images are here and frames were missed: its images are lost. */
static bool misses_some(const struct attempt *a, const struct map *sent)
{
    for (size_t i = 0; i < a->workflow->len; i++) {
        const struct workflow_node *n = &a->workflow->nodes[i];
        if (is_stream_class(a->backend->pool, n->class_type) && has_run(a, i) &&
            map_get(sent, n->id) == NULL) {
            return true;
        }
    }
    return false;
}

/* Collects what streamed_lists finds. */
struct found {
    struct attempt *attempt;
    struct map nodes;
};

static void add_list(void *ctx, struct str node_id, struct str list)
{
    struct found *f = ctx;
    (void)map_put(&f->nodes, node_id, f);
    attempt_add_streamed(f->attempt, node_id, list);
}

void attempt_end_streamed(struct attempt *a)
{
    struct found f = {.attempt = a};
    map_init(&f.nodes);
    streamed_lists(&a->streamed, add_list, &f);
    if (a->watch.missed && a->end.outcome == ATTEMPT_COMPLETED && a->post.node_errors == NULL &&
        misses_some(a, &f.nodes)) {
        left_out(a, "images that passed by over the WebSocket were missed: nobody listened");
    }
    map_done(&f.nodes);
}
