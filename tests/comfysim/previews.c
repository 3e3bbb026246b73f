/*
 * Frames of previews. See previews.h.
 *
 * An image's comment holds two counters: its number within the node, from 1, and within the
 * server's life.
 */
#include "previews.h"

#include "jpeg.h"
#include "sim.h"

enum { TYPE_IMAGE = 1, TYPE_IMAGE_WITH_METADATA = 4, FORMAT_JPEG = 1 };

static void add_u32(struct text *t, uint32_t value)
{
    const char bytes[4] = {(char)(value >> 24), (char)(value >> 16), (char)(value >> 8),
                           (char)value};
    text_add(t, bytes, sizeof(bytes));
}

static void add_metadata(struct text *t, const struct job *job, const struct node *node)
{
    text_printf(t, "{\"node_id\": %s, \"prompt_id\": %s, \"display_node_id\": %s, ", node->id_json,
                job->id_json, node->display->id_json);
    text_printf(t, "\"parent_node_id\": %s, \"real_node_id\": %s, \"image_type\": \"image/jpeg\"}",
                node->parent ? node->parent->id_json : "null", node->display->id_json);
}

static void add_head(struct executor *x, const struct node *node, bool with_metadata)
{
    struct text *frame = &x->frame;
    text_clear(frame);
    if (!with_metadata) {
        add_u32(frame, TYPE_IMAGE);
        add_u32(frame, FORMAT_JPEG);
        return;
    }
    struct text *json = &x->data;
    text_clear(json);
    add_metadata(json, x->job, node);
    add_u32(frame, TYPE_IMAGE_WITH_METADATA);
    add_u32(frame, (uint32_t)json->len);
    text_add(frame, json->data, json->len);
}

/* How many there were once that step is done: they are spread evenly over the steps. */
static uint32_t shown_by(const struct node *node, int step)
{
    return (uint32_t)((int64_t)node->previews * step / node->steps);
}

void previews_send(struct executor *x, const struct node *node, bool with_metadata)
{
    const struct server *server = &x->sim->server;
    const char *sid = x->job->client_id;
    if (node->previews == 0 || !server_reaches(server, sid) ||
        server_takes_metadata(server, sid) != with_metadata) {
        return;
    }
    const uint32_t last = shown_by(node, x->step);
    for (uint32_t number = shown_by(node, x->step - 1) + 1; number <= last; number++) {
        add_head(x, node, with_metadata);
        text_clear(&x->data);
        jpeg_add(&x->data, node->preview_bytes, number, ++x->previews);
        exec_send(x, x->frame.data, x->frame.len, x->data.data, x->data.len, true, true);
    }
}
