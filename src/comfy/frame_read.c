/*
 * Reads the "data" of a message into a frame: one table of member names, one function a kind of
 * member. Unknown members are skipped, as are values of an unexpected kind.
 */
#include "frame_read.h"

#include <math.h>
#include <stdlib.h>

void frame_store_init(struct frame_store *s)
{
    *s = (struct frame_store){0};
    buf_init(&s->scratch, BUF_NO_LIMIT);
}

void frame_store_done(struct frame_store *s)
{
    free(s->ids);
    free(s->nodes);
    free(s->spans);
    free(s->gpus);
    buf_done(&s->scratch);
}

void frame_store_reset(struct frame_store *s, size_t text_len)
{
    s->ids_len = 0;
    s->nodes_len = 0;
    s->gpus_len = 0;
    s->text_len = text_len;
    buf_clear(&s->scratch);
}

struct str frame_store_text(struct frame_store *s, struct js_token t)
{
    if (!t.escaped) {
        return t.text;
    }
    if (s->scratch.len == 0) {
        /* Room for all strings of the message: none makes it move. */
        (void)buf_reserve(&s->scratch, s->text_len * 6);
    }
    const struct str text = js_text(t, &s->scratch);
    buf_add_char(&s->scratch, '\0'); /* keeps len above 0 */
    return text;
}

static const struct {
    const char *name;
    enum frame_type type;
} types[] = {
    {"progress_state", FRAME_STATE},
    {"progress", FRAME_PROGRESS},
    {"executing", FRAME_EXECUTING},
    {"executed", FRAME_EXECUTED},
    {"status", FRAME_STATUS},
    {"execution_start", FRAME_START},
    {"execution_cached", FRAME_CACHED},
    {"execution_success", FRAME_SUCCESS},
    {"execution_error", FRAME_ERROR},
    {"execution_interrupted", FRAME_INTERRUPTED},
    {"crystools.monitor", FRAME_MONITOR},
};

/* Beginnings of types that servers and their extensions broadcast whether or not a prompt runs: the
   server's own, its log, Crystools, the Manager, the search for models. */
static const struct str bystanders[] = {
    STR_INIT("feature_flags"), STR_INIT("logs"),    STR_INIT("crystools."),
    STR_INIT("cm-"),           STR_INIT("manager"), STR_INIT("assets."),
};

static bool is_bystander(struct js_token name)
{
    for (size_t i = 0; i < sizeof bystanders / sizeof *bystanders; i++) {
        const struct str b = bystanders[i];
        if (name.text.n >= b.n && memcmp(name.text.p, b.p, b.n) == 0) {
            return true;
        }
    }
    return false;
}

enum frame_type frame_type_from_name(struct js_token name)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (js_is(name, types[i].name)) {
            return types[i].type;
        }
    }
    return is_bystander(name) ? FRAME_OTHER : FRAME_SIGN;
}

/* Returns a string, or a number's digits; NULL for other kinds. */
static struct str text_or_number(struct frame_store *s, struct js_token t)
{
    if (t.kind == JS_STRING) {
        return frame_store_text(s, t);
    }
    return t.kind == JS_NUMBER ? t.text : (struct str){NULL, 0};
}

static double finite_number(struct js_token t)
{
    double v = 0;
    return js_double(t, &v) && isfinite(v) ? v : 0;
}

static void add_id(struct frame_store *s, struct str id)
{
    if (s->ids_len == s->ids_cap) {
        s->ids_cap = s->ids_cap == 0 ? 64 : s->ids_cap * 2;
        s->ids = mem_grow(s->ids, s->ids_cap * sizeof *s->ids);
    }
    s->ids[s->ids_len++] = id;
}

/* Reads a list of ids whose bracket was read. */
static bool read_ids(struct js_reader *r, struct frame_store *s)
{
    for (;;) {
        const struct js_token t = js_next(r);
        if (t.kind == JS_ARRAY_END) {
            return true;
        }
        const struct str id = text_or_number(s, t);
        if (id.p != NULL) {
            add_id(s, id);
        } else if (js_rest(r, t).n == 0) {
            return false;
        }
    }
}

static enum node_state node_state(struct js_token t)
{
    if (js_is(t, "running")) {
        return NODE_STATE_RUNNING;
    }
    return js_is(t, "finished") ? NODE_STATE_FINISHED : NODE_STATE_OTHER;
}

/* Reads one entry whose brace was read. */
static bool read_entry(struct js_reader *r, struct frame_store *s, struct frame_node *n)
{
    struct js_token key = js_next(r);
    for (; key.kind == JS_KEY; key = js_next(r)) {
        const struct js_token v = js_next(r);
        if (v.kind == JS_OBJECT || v.kind == JS_ARRAY || v.kind == JS_ERROR) {
            if (js_rest(r, v).n == 0) {
                return false;
            }
        } else if (js_is(key, "value")) {
            n->value = finite_number(v);
        } else if (js_is(key, "max")) {
            n->max = finite_number(v);
        } else if (js_is(key, "state")) {
            n->state = node_state(v);
        } else if (js_is(key, "parent_node_id")) {
            n->parent = text_or_number(s, v);
        } else if (js_is(key, "display_node_id")) {
            n->display = text_or_number(s, v);
        }
    }
    return key.kind == JS_OBJECT_END;
}

static struct frame_node *add_node(struct frame_store *s)
{
    if (s->nodes_len == s->nodes_cap) {
        s->nodes_cap = s->nodes_cap == 0 ? 64 : s->nodes_cap * 2;
        s->nodes = mem_grow(s->nodes, s->nodes_cap * sizeof *s->nodes);
        s->spans = mem_grow(s->spans, s->nodes_cap * sizeof *s->spans);
    }
    return &s->nodes[s->nodes_len++];
}

bool frame_read_entries(struct js_reader *r, struct frame_store *s)
{
    struct js_token key = js_next(r);
    for (; key.kind == JS_KEY; key = js_next(r)) {
        const struct js_token v = js_next(r);
        if (v.kind != JS_OBJECT) {
            if (js_rest(r, v).n == 0) {
                return false;
            }
            continue;
        }
        struct frame_node *n = add_node(s);
        *n = (struct frame_node){.id = frame_store_text(s, key)};
        if (!read_entry(r, s, n)) {
            return false;
        }
        s->spans[s->nodes_len - 1] =
            (struct entry_span){(size_t)(key.text.p - 1 - r->start), js_offset(r)};
    }
    return key.kind == JS_OBJECT_END;
}

/* Reads {"status": {"exec_info": {"queue_remaining": N}}}, its outer brace read: finds N at any
   depth. */
static bool read_status(struct js_reader *r, struct frame *f)
{
    const unsigned outer = r->depth - 1;
    while (r->depth > outer) {
        const struct js_token t = js_next(r);
        if (t.kind == JS_ERROR) {
            return false;
        }
        if (t.kind == JS_KEY && js_is(t, "queue_remaining")) {
            const struct js_token v = js_next(r);
            if (!js_int(v, &f->queue_remaining) && js_rest(r, v).n == 0) {
                return false;
            }
        }
    }
    return true;
}

static void read_stamp(struct js_token v, struct frame *f)
{
    const double stamp = finite_number(v);
    f->stamp_ms = stamp > 0 && stamp < 1e15 ? (int64_t)stamp : 0;
}

/* ---- crystools.monitor ----------------------------------------------------------------------- */

enum { MAX_GPUS = 64 };

/* Returns NAN for -1, which crystools sends for unknown. */
static double known_number(struct js_token t)
{
    double v = 0;
    return js_double(t, &v) && isfinite(v) && v >= 0 ? v : NAN;
}

/* Reads one GPU whose brace was read. */
static bool read_gpu(struct js_reader *r, struct frame_gpu *g)
{
    struct js_token key = js_next(r);
    for (; key.kind == JS_KEY; key = js_next(r)) {
        const struct js_token v = js_next(r);
        double *to = js_is(key, "gpu_utilization")   ? &g->utilization
                     : js_is(key, "gpu_temperature") ? &g->temperature
                     : js_is(key, "vram_used")       ? &g->vram_used
                                                     : NULL;
        if (to != NULL) {
            *to = known_number(v);
        }
        if (js_rest(r, v).n == 0) {
            return false;
        }
    }
    return key.kind == JS_OBJECT_END;
}

/* Reads a list of GPUs whose bracket was read. A non-object is an unknown GPU: the others keep
   their places. */
static bool read_gpus(struct js_reader *r, struct frame_store *s)
{
    s->gpus = s->gpus == NULL ? mem_alloc(MAX_GPUS * sizeof *s->gpus) : s->gpus;
    for (;;) {
        const struct js_token t = js_next(r);
        if (t.kind == JS_ARRAY_END) {
            return true;
        }
        struct frame_gpu g = {NAN, NAN, NAN};
        if (t.kind == JS_OBJECT ? !read_gpu(r, &g) : js_rest(r, t).n == 0) {
            return false;
        }
        if (s->gpus_len < MAX_GPUS) {
            s->gpus[s->gpus_len++] = g;
        }
    }
}

/* Finds the target of a member whose value is a string, or a number for an id. */
static struct str *text_member(struct frame *f, struct js_token key)
{
    const struct {
        const char *name;
        struct str *to;
    } members[] = {
        {"prompt_id", &f->prompt_id},
        {"node", &f->node},
        {"node_id", &f->node},
        {"display_node", &f->display_node},
        {"node_type", &f->node_type},
        {"exception_message", &f->message},
        {"exception_type", &f->error_type},
        {"sid", &f->sid},
    };
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (js_is(key, members[i].name)) {
            return members[i].to;
        }
    }
    return NULL;
}

/* Reads a member whose value is an object or a list that has begun. */
static bool read_structure(struct js_reader *r, struct frame_store *s, struct frame *f,
                           struct js_token key, struct js_token v, size_t *ret_nodes_end)
{
    if (v.kind == JS_OBJECT && f->type == FRAME_STATE && js_is(key, "nodes")) {
        const bool good = frame_read_entries(r, s);
        *ret_nodes_end = js_offset(r) - 1;
        return good;
    }
    if (v.kind == JS_ARRAY && f->type == FRAME_MONITOR && js_is(key, "gpus")) {
        return read_gpus(r, s);
    }
    if (v.kind == JS_ARRAY && (js_is(key, "nodes") || js_is(key, "executed"))) {
        return read_ids(r, s);
    }
    if (v.kind == JS_OBJECT && f->type == FRAME_STATUS && js_is(key, "status")) {
        return read_status(r, f);
    }
    const struct str raw = js_rest(r, v);
    if (js_is(key, "output")) {
        f->output = raw;
    } else if (js_is(key, "traceback")) {
        f->traceback = raw;
    }
    return raw.n > 0;
}

bool frame_read_data(struct js_reader *r, struct frame_store *s, struct frame *f,
                     size_t *ret_nodes_end)
{
    struct js_token key = js_next(r);
    for (; key.kind == JS_KEY; key = js_next(r)) {
        const struct js_token v = js_next(r);
        if (v.kind == JS_ERROR) {
            return false;
        }
        if (f->type == FRAME_SIGN && !js_is(key, "prompt_id")) {
            if (js_rest(r, v).n == 0) { /* a node's own member */
                return false;
            }
            continue;
        }
        if (v.kind == JS_OBJECT || v.kind == JS_ARRAY) {
            if (!read_structure(r, s, f, key, v, ret_nodes_end)) {
                return false;
            }
            continue;
        }
        struct str *text = text_member(f, key);
        if (text != NULL) {
            *text = text_or_number(s, v);
        } else if (js_is(key, "timestamp")) {
            read_stamp(v, f);
        } else if (js_is(key, "value")) {
            f->value = finite_number(v);
        } else if (js_is(key, "max")) {
            f->max = finite_number(v);
        } else if (f->type == FRAME_MONITOR && js_is(key, "ram_used")) {
            f->ram_used = known_number(v);
        }
    }
    f->gpus = s->gpus;
    f->gpus_len = s->gpus_len;
    f->ids = s->ids;
    f->ids_len = s->ids_len;
    f->nodes = s->nodes;
    f->nodes_len = s->nodes_len;
    return key.kind == JS_OBJECT_END;
}
