/*
 * Messages to frames, with the fast path for progress_state; see the header. It keeps of the last
 * progress_state: its text, where its entries lie, where its nodes end. The fast path relies on
 * three facts that are checked each time: the text before the first entry is the same (so is the
 * prompt), the text behind the nodes is the same, and the rest is read by the same reader.
 */
#include "comfypool/comfy/decoder.h"

#include <stdlib.h>

#include "frame_read.h"

struct decoder {
    struct frame frame;
    struct frame_store store;
    struct buf last; /* the last progress_state's text */
    struct entry_span *entries;
    size_t entries_len, entries_cap;
    size_t nodes_end; /* offset of the brace after the entries; 0: no last one */
    size_t prompt_at; /* offset of the prompt id in the text */
    size_t prompt_len;
    bool whole;
    struct decoder_stats stats;
};

struct decoder *decoder_new(void)
{
    struct decoder *d = mem_zero(1, sizeof *d);
    frame_store_init(&d->store);
    buf_init(&d->last, BUF_NO_LIMIT);
    return d;
}

void decoder_free(struct decoder *d)
{
    if (d == NULL) {
        return;
    }
    frame_store_done(&d->store);
    buf_done(&d->last);
    free(d->entries);
    free(d);
}

void decoder_set_whole(struct decoder *d, bool whole)
{
    d->whole = whole;
}

struct decoder_stats decoder_stats(const struct decoder *d)
{
    return d->stats;
}

/* Returns the length of the common prefix. */
static size_t common_prefix(const char *a, const char *b, size_t n)
{
    size_t i = 0;
    for (; i + 256 <= n; i += 256) {
        if (memcmp(a + i, b + i, 256) != 0) {
            break;
        }
    }
    while (i < n && a[i] == b[i]) {
        i++;
    }
    return i;
}

/* Adds the spans of the store's nodes after the first `keep` entries, shifted by `base`. */
static void keep_entries(struct decoder *d, size_t keep, size_t base)
{
    const size_t need = keep + d->store.nodes_len;
    if (need > d->entries_cap) {
        d->entries_cap = need * 2;
        d->entries = mem_grow(d->entries, d->entries_cap * sizeof *d->entries);
    }
    for (size_t i = 0; i < d->store.nodes_len; i++) {
        const struct entry_span s = d->store.spans[i];
        d->entries[keep + i] = (struct entry_span){s.from + base, s.to + base};
    }
    d->entries_len = need;
}

/* Returns the last entry that begins at or before the offset. There is one. */
static size_t entry_at(const struct decoder *d, size_t offset)
{
    size_t low = 0;
    size_t high = d->entries_len;
    while (high - low > 1) {
        const size_t middle = (low + high) / 2;
        if (d->entries[middle].from <= offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool read_fast(struct decoder *d, const struct buf *message)
{
    if (d->whole || d->nodes_end == 0 || d->entries_len == 0) {
        return false;
    }
    const size_t shorter = message->len < d->last.len ? message->len : d->last.len;
    const size_t same = common_prefix(message->data, d->last.data, shorter);
    if (same < d->entries[0].from) {
        return false;
    }
    const size_t index = entry_at(d, same);
    const size_t from = d->entries[index].from;
    frame_store_reset(&d->store, message->len - from);
    struct js_reader r;
    js_read_members(&r, (struct str){message->data + from, message->len - from}, 64);
    if (!frame_read_entries(&r, &d->store)) {
        return false;
    }
    const size_t nodes_end = from + js_offset(&r) - 1;
    const size_t tail = message->len - nodes_end;
    if (tail != d->last.len - d->nodes_end ||
        memcmp(message->data + nodes_end, d->last.data + d->nodes_end, tail) != 0) {
        return false;
    }
    keep_entries(d, index, from);
    d->nodes_end = nodes_end;
    d->stats.fast++;
    d->stats.bytes_skipped += from;
    d->frame = (struct frame){
        .type = FRAME_STATE,
        .prompt_id = {message->data + d->prompt_at, d->prompt_len},
        .queue_remaining = -1,
        .nodes = d->store.nodes,
        .nodes_len = d->store.nodes_len,
    };
    return true;
}

/* Reads the whole message; false when it is none. */
static bool read_whole(struct decoder *d, const struct buf *message, size_t *ret_nodes_end)
{
    struct js_reader r;
    js_read_lenient(&r, buf_str(message), JS_MAX_DEPTH);
    if (js_next(&r).kind != JS_OBJECT) {
        return false;
    }
    bool typed = false;
    struct str data_before_type = {NULL, 0};
    struct js_token key = js_next(&r);
    for (; key.kind == JS_KEY; key = js_next(&r)) {
        const struct js_token v = js_next(&r);
        if (v.kind == JS_STRING && js_is(key, "type")) {
            d->frame.type = frame_type_from_name(v);
            typed = true;
            if (d->frame.type == FRAME_OTHER) {
                return true;
            }
            if (d->frame.type == FRAME_SIGN) {
                d->frame.name = frame_store_text(&d->store, v);
            }
        } else if (v.kind == JS_OBJECT && js_is(key, "data")) {
            if (!typed) {
                data_before_type = js_rest(&r, v);
            } else if (!frame_read_data(&r, &d->store, &d->frame, ret_nodes_end)) {
                return false;
            }
        } else if (js_rest(&r, v).n == 0) {
            return false;
        }
    }
    if (data_before_type.n > 0 && typed) {
        js_read_members(&r, (struct str){data_before_type.p + 1, data_before_type.n - 1},
                        JS_MAX_DEPTH);
        *ret_nodes_end = 0;
        size_t unused = 0;
        return frame_read_data(&r, &d->store, &d->frame, &unused);
    }
    return key.kind == JS_OBJECT_END && js_next(&r).kind == JS_END;
}

/* True if a progress_state has only its prompt and its nodes, as from real servers. */
static bool is_plain(const struct frame *f, const struct buf *message, size_t nodes_end)
{
    for (size_t i = nodes_end; i < message->len; i++) {
        if (memchr("} \n\r\t", message->data[i], 5) == NULL) {
            return false;
        }
    }
    return f->stamp_ms == 0 && f->value == 0 && f->max == 0 && f->ids_len == 0 &&
           f->node.p == NULL && f->display_node.p == NULL && f->message.p == NULL &&
           f->error_type.p == NULL && f->node_type.p == NULL && f->sid.p == NULL &&
           f->output.n == 0 && f->traceback.n == 0;
}

/* Keeps a progress_state to compare the next one with. */
static void keep_last(struct decoder *d, struct buf *message, size_t nodes_end)
{
    const char *prompt = d->frame.prompt_id.p;
    const bool inside = prompt >= message->data && prompt < message->data + message->len;
    d->nodes_end = 0;
    if (nodes_end == 0 || !inside || !is_plain(&d->frame, message, nodes_end)) {
        return;
    }
    keep_entries(d, 0, 0);
    d->prompt_at = (size_t)(prompt - message->data);
    d->prompt_len = d->frame.prompt_id.n;
    if (d->entries_len > 0 && d->prompt_at < d->entries[0].from) {
        d->nodes_end = nodes_end;
    }
}

static void exchange(struct buf *a, struct buf *b)
{
    const struct buf kept = *a;
    *a = *b;
    *b = kept;
    a->max = kept.max;
    b->max = BUF_NO_LIMIT;
}

const struct frame *decoder_text(struct decoder *d, struct buf *message)
{
    d->stats.messages++;
    d->stats.bytes += message->len;
    if (read_fast(d, message)) {
        exchange(message, &d->last);
        return &d->frame;
    }
    frame_store_reset(&d->store, message->len);
    d->frame = (struct frame){.queue_remaining = -1};
    size_t nodes_end = 0;
    if (message->len == 0 || !read_whole(d, message, &nodes_end)) {
        d->frame = (struct frame){.queue_remaining = -1};
        return &d->frame;
    }
    if (d->frame.type == FRAME_STATE) {
        keep_last(d, message, nodes_end);
        exchange(message, &d->last);
    }
    return &d->frame;
}
