/*
 * A profile in the file format of speedscope.app: a frame a node, an evented profile a lane, in
 * whole microseconds since the job was queued. All profiles are as long as the attempt, so that
 * they line up. At one instant closing comes before opening; only a slice without length is closed
 * where it was opened.
 */
#include <stdlib.h>

#include "formats.h"
#include "profile_lanes.h"

/* Frames: the phases first, then every node with slices. */
struct frames {
    const struct lane_item *phases;
    size_t phases_len;
    const struct stored_profile *p;
    size_t *of_node;
    size_t len;
};

static void add_frame(struct js_out *o, struct str name)
{
    js_open(o, '{');
    js_member_str(o, "name", name);
    js_close(o, '}');
}

static void add_frames(struct js_out *o, struct frames *f)
{
    AUTO_BUF struct buf label;
    buf_init(&label, BUF_NO_LIMIT);
    js_key(o, "shared");
    js_open(o, '{');
    js_key(o, "frames");
    js_open(o, '[');
    for (; f->len < f->phases_len; f->len++) {
        add_frame(o, str_of(f->phases[f->len].phase));
    }
    for (size_t i = 0; i < f->p->nodes_len; i++) {
        if (f->p->nodes[i].slices_len > 0) {
            buf_clear(&label);
            add_node_label(&label, &f->p->nodes[i]);
            add_frame(o, buf_str(&label));
            f->of_node[i] = f->len++;
        }
    }
    js_close(o, ']');
    js_close(o, '}');
}

static size_t frame_of(const struct frames *f, const struct lane_item *s)
{
    return s->node == NULL ? (size_t)(s - f->phases) : f->of_node[s->node - f->p->nodes];
}

static void add_event(struct js_out *o, const char *type, size_t frame, struct dur_us at)
{
    js_open(o, '{');
    js_member_string(o, "type", type);
    js_member_int(o, "frame", (int64_t)frame);
    js_member_int(o, "at", at.us);
    js_close(o, '}');
}

static void add_close(struct js_out *o, const struct frames *f, const struct lane_item *s)
{
    add_event(o, "C", frame_of(f, s), s->to);
}

static void add_events(struct js_out *o, const struct frames *f, const struct lane_item *items,
                       size_t len)
{
    size_t *open = mem_alloc(len * sizeof *open); /* outermost first */
    size_t depth = 0;
    for (size_t i = 0; i < len; i++) {
        for (; depth > 0 && items[open[depth - 1]].to.us <= items[i].from.us; depth--) {
            add_close(o, f, &items[open[depth - 1]]);
        }
        add_event(o, "O", frame_of(f, &items[i]), items[i].from);
        open[depth++] = i;
    }
    for (; depth > 0; depth--) {
        add_close(o, f, &items[open[depth - 1]]);
    }
    free(open);
}

static void add_lane(struct js_out *o, const struct frames *f, const struct lanes *l, size_t lane)
{
    char name[LANE_NAME_SIZE];
    lane_name(lane, name);
    js_open(o, '{');
    js_member_string(o, "type", "evented");
    js_member_string(o, "name", name);
    js_member_string(o, "unit", "microseconds");
    js_member_int(o, "startValue", 0);
    js_member_int(o, "endValue", f->p->end.us);
    js_key(o, "events");
    js_open(o, '[');
    add_events(o, f, l->items + l->first[lane], l->first[lane + 1] - l->first[lane]);
    js_close(o, ']');
    js_close(o, '}');
}

static void add_name(struct js_out *o, const struct stored_profile *p)
{
    AUTO_BUF struct buf name;
    buf_init(&name, BUF_NO_LIMIT);
    buf_add_text(&name, "job ");
    buf_add_str(&name, text_of(p->json, "jobId"));
    js_member_str(o, "name", buf_str(&name));
}

void profile_speedscope(const struct stored_profile *p, struct buf *out)
{
    AUTO_LANES struct lanes lanes;
    lanes_make(p, &lanes);
    struct frames frames = {
        .phases = lanes.items,
        .phases_len = lanes.first[1],
        .p = p,
        .of_node = mem_zero(p->nodes_len, sizeof *frames.of_node),
    };
    struct js_out o = js_out_to(out);
    js_open(&o, '{');
    js_member_string(&o, "$schema", "https://www.speedscope.app/file-format-schema.json");
    js_member_string(&o, "exporter", "comfypoold");
    add_name(&o, p);
    js_member_int(&o, "activeProfileIndex", lanes.len > 1 ? 1 : 0);
    add_frames(&o, &frames);
    js_key(&o, "profiles");
    js_open(&o, '[');
    for (size_t i = 0; i < lanes.len; i++) {
        add_lane(&o, &frames, &lanes, i);
    }
    js_close(&o, ']');
    js_close(&o, '}');
    free(frames.of_node);
}
