/* HTTP answers of a ComfyUI server; see the header. */
#include "comfypool/comfy/answers.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "comfypool/base/json_write.h"

#include "frame_read.h"

static struct js_token open_object(struct js_reader *r, struct str text)
{
    js_read_lenient(r, text, JS_MAX_DEPTH);
    return js_next(r);
}

/* ---- POST /prompt ---------------------------------------------------------------------------- */

/* Limits of the message: each phrase is searched in all of it. */
enum { MAX_SENTENCE = 16384, MAX_PHRASES = 16 };

/* True if "a: b: c" has this phrase between its colons: servers repeat the prompt's message for its
   node. */
static bool has_phrase(struct str sentence, struct str phrase)
{
    const char *end = sentence.p + sentence.n;
    for (const char *at = sentence.p; at != NULL && at < end; at++) {
        at = memmem(at, (size_t)(end - at), phrase.p, phrase.n);
        if (at == NULL) {
            return false;
        }
        const char *behind = at + phrase.n;
        const bool begins =
            at == sentence.p || (at - sentence.p >= 2 && memcmp(at - 2, ": ", 2) == 0);
        const bool ends = behind == end || (end - behind >= 2 && memcmp(behind, ": ", 2) == 0);
        if (begins && ends) {
            return true;
        }
    }
    return false;
}

/* Appends a string token's text to the message unless it has it already. */
static void add_phrase(struct prompt_answer *a, struct js_token t)
{
    struct buf *to = &a->message;
    if (t.kind != JS_STRING || t.text.n == 0 || to->len > MAX_SENTENCE ||
        a->phrases == MAX_PHRASES) {
        return;
    }
    a->phrases++;
    const struct str phrase = js_text(t, &a->scratch);
    if (has_phrase(buf_str(to), phrase)) {
        return;
    }
    if (to->len > 0) {
        buf_add_text(to, ": ");
    }
    buf_add_str(to, phrase);
}

/* Reads extra_info of missing_node_type, which names the node: {node_id, class_type,
   node_title}. */
static void read_extra_info(struct str raw, struct prompt_answer *a)
{
    struct js_reader r;
    if (a->node_id.len > 0 || open_object(&r, raw).kind != JS_OBJECT) {
        return;
    }
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        const struct js_token v = js_next(&r);
        struct buf *to = js_is(key, "node_id")      ? &a->node_id
                         : js_is(key, "class_type") ? &a->node_type
                                                    : NULL;
        if (to != NULL && v.kind == JS_STRING) {
            buf_add_str(to, js_text(v, &a->scratch));
        }
        if (js_rest(&r, v).n == 0) {
            return;
        }
    }
}

/* Reads {type, message, details, ...} whose brace was read: its type, and, if `tell`, its message
   for people. */
static bool read_error(struct js_reader *r, struct prompt_answer *a, bool tell,
                       struct str *ret_type)
{
    struct js_token key = js_next(r);
    for (; key.kind == JS_KEY; key = js_next(r)) {
        const struct js_token v = js_next(r);
        if (js_is(key, "type") && v.kind == JS_STRING) {
            *ret_type = js_text(v, &a->scratch);
        } else if (tell && (js_is(key, "message") || js_is(key, "details"))) {
            add_phrase(a, v);
        }
        const struct str raw = js_rest(r, v);
        if (raw.n == 0) {
            return false;
        }
        if (tell && v.kind == JS_OBJECT && js_is(key, "extra_info")) {
            read_extra_info(raw, a);
        }
    }
    return key.kind == JS_OBJECT_END;
}

enum { MAX_NODE_ERRORS = 10000 };

static void add_error(struct prompt_answer *a, struct str node_id, struct str type)
{
    if (a->errors_len == MAX_NODE_ERRORS) {
        return;
    }
    if (a->errors_len == a->errors_cap) {
        a->errors_cap = a->errors_cap == 0 ? 8 : a->errors_cap * 2;
        a->errors = mem_grow(a->errors, a->errors_cap * sizeof *a->errors);
    }
    a->errors[a->errors_len++] = (struct verdict_error){node_id, type};
}

/* Reads a node's list of errors, whose bracket was read. */
static bool read_errors_of_node(struct js_reader *r, struct prompt_answer *a, struct str node_id)
{
    for (;;) {
        const struct js_token t = js_next(r);
        if (t.kind == JS_ARRAY_END) {
            return true;
        }
        if (t.kind != JS_OBJECT) {
            if (js_rest(r, t).n == 0) {
                return false;
            }
            continue;
        }
        struct str type = {"", 0};
        if (!read_error(r, a, a->errors_len == 0, &type)) {
            return false;
        }
        add_error(a, node_id, type);
    }
}

/* Reads {errors, class_type, ...} whose brace was read. */
static bool read_node(struct js_reader *r, struct prompt_answer *a, struct str node_id, bool first)
{
    struct js_token key = js_next(r);
    for (; key.kind == JS_KEY; key = js_next(r)) {
        const struct js_token v = js_next(r);
        if (js_is(key, "errors") && v.kind == JS_ARRAY) {
            if (!read_errors_of_node(r, a, node_id)) {
                return false;
            }
            continue;
        }
        if (first && js_is(key, "class_type") && v.kind == JS_STRING && a->node_type.len == 0) {
            buf_add_str(&a->node_type, js_text(v, &a->scratch));
        }
        if (js_rest(r, v).n == 0) {
            return false;
        }
    }
    return key.kind == JS_OBJECT_END;
}

/* Reads {nodeId: {errors: [{type, ...}], class_type}}: all types; the first node's message. */
static void read_node_errors(struct str text, struct prompt_answer *a)
{
    struct js_reader r;
    if (open_object(&r, text).kind != JS_OBJECT) {
        return;
    }
    const bool unnamed = a->node_id.len == 0;
    bool first = unnamed;
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        const struct str id = js_text(key, &a->scratch);
        if (first) {
            buf_add_str(&a->node_id, id);
        }
        const struct js_token v = js_next(&r);
        if (v.kind == JS_OBJECT ? !read_node(&r, a, id, first) : js_rest(&r, v).n == 0) {
            return;
        }
        first = false;
    }
}

bool prompt_answer_read(struct str text, struct prompt_answer *ret)
{
    *ret = (struct prompt_answer){0};
    buf_init(&ret->message, 65536);
    buf_init(&ret->node_errors, BUF_NO_LIMIT);
    buf_init(&ret->node_id, 65536);
    buf_init(&ret->node_type, 65536);
    buf_init(&ret->scratch, BUF_NO_LIMIT);
    (void)buf_reserve(&ret->scratch, text.n * 6); /* must not move */
    struct js_reader r;
    if (open_object(&r, text).kind != JS_OBJECT) {
        return false;
    }
    struct js_token key = js_next(&r);
    for (; key.kind == JS_KEY; key = js_next(&r)) {
        const struct js_token v = js_next(&r);
        if (js_is(key, "error") && v.kind == JS_OBJECT) {
            if (!read_error(&r, ret, true, &ret->error_type)) {
                return false;
            }
            continue;
        }
        if (js_is(key, "prompt_id") && v.kind == JS_STRING) {
            ret->prompt_id = js_text(v, &ret->scratch);
        } else if (js_is(key, "error")) {
            add_phrase(ret, v);
        }
        const struct str raw = js_rest(&r, v);
        if (raw.n == 0) {
            return false;
        }
        if (js_is(key, "node_errors") && v.kind == JS_OBJECT && raw.n > 2) {
            if (js_clean(raw, &ret->node_errors) && str_is(buf_str(&ret->node_errors), "{}")) {
                buf_clear(&ret->node_errors);
            }
            if (ret->node_errors.len > 0) {
                read_node_errors(raw, ret);
            }
        }
    }
    return key.kind == JS_OBJECT_END;
}

bool answer_is_page(const char *content_type, struct str body)
{
    static const char *const types[] = {"text/html", "application/xhtml+xml"};
    static const struct str marks[] = {STR_INIT("\xef\xbb\xbf"), STR_INIT("\xff\xfe"),
                                       STR_INIT("\xfe\xff")}; /* byte order marks */
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const size_t n = strlen(types[i]);
        if (strncasecmp(content_type, types[i], n) == 0 &&
            strchr("; \t", content_type[n]) != NULL) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        if (body.n >= marks[i].n && memcmp(body.p, marks[i].p, marks[i].n) == 0) {
            body.p += marks[i].n;
            body.n -= marks[i].n;
            break;
        }
    }
    while (body.n > 0 && (unsigned char)body.p[0] <= ' ') {
        body.p++;
        body.n--;
    }
    return body.n > 0 && body.p[0] == '<';
}

void prompt_answer_done(struct prompt_answer *a)
{
    buf_done(&a->message);
    buf_done(&a->node_errors);
    buf_done(&a->node_id);
    buf_done(&a->node_type);
    buf_done(&a->scratch);
    free(a->errors);
}

/* ---- GET /queue ------------------------------------------------------------------------------ */

/* Searches a list of [number, id, ...] whose bracket was read. */
static bool find_in_list(struct js_reader *r, struct str prompt_id, bool *found, size_t *others)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    for (;;) {
        struct js_token t = js_next(r);
        if (t.kind == JS_ARRAY_END) {
            return true;
        }
        if (t.kind != JS_ARRAY) {
            if (js_rest(r, t).n == 0) {
                return false;
            }
            continue;
        }
        const unsigned level = r->depth;
        if (js_skip(r).n == 0) {
            return false;
        }
        t = js_next(r);
        buf_clear(&scratch);
        if (t.kind == JS_STRING && str_eq(js_text(t, &scratch), prompt_id)) {
            *found = true;
        } else {
            (*others)++;
        }
        while (r->depth >= level) {
            if (t.kind == JS_ERROR) {
                return false;
            }
            t = js_next(r);
        }
    }
}

enum queue_place queue_answer_find(struct str text, struct str prompt_id,
                                   struct queue_others *ret_others)
{
    struct js_reader r;
    *ret_others = (struct queue_others){0};
    if (open_object(&r, text).kind != JS_OBJECT) {
        return QUEUE_BROKEN;
    }
    bool running = false;
    bool pending = false;
    bool lists = false;
    struct js_token key = js_next(&r);
    for (; key.kind == JS_KEY; key = js_next(&r)) {
        const struct js_token v = js_next(&r);
        bool *which = js_is(key, "queue_running")   ? &running
                      : js_is(key, "queue_pending") ? &pending
                                                    : NULL;
        if (which == NULL || v.kind != JS_ARRAY) {
            if (js_rest(&r, v).n == 0) {
                return QUEUE_BROKEN;
            }
            continue;
        }
        lists = true;
        size_t *others = which == &running ? &ret_others->running : &ret_others->pending;
        if (!find_in_list(&r, prompt_id, which, others)) {
            return QUEUE_BROKEN;
        }
    }
    if (key.kind != JS_OBJECT_END || !lists) {
        return QUEUE_BROKEN;
    }
    return running ? QUEUE_RUNNING : pending ? QUEUE_PENDING : QUEUE_ABSENT;
}

/* ---- GET /history/{id} ----------------------------------------------------------------------- */

enum { MAX_MESSAGES = 1000 };

/* Each message has its own store: all frames must live at once. */
struct history_inner {
    struct frame_store *stores;
    size_t len, cap;
    size_t outputs_cap;
    struct buf scratch; /* ids of outputs */
};

/* Adds a message. Bounded against servers that invent messages without end: beyond the cap the
   newest replaces the one before, so that the end is always kept. */
static struct frame_store *add_message(struct history_answer *h)
{
    struct history_inner *in = h->inner;
    if (in->len == MAX_MESSAGES) {
        frame_store_done(&in->stores[in->len - 1]);
    } else {
        if (in->len == in->cap) {
            in->cap = in->cap == 0 ? 8 : in->cap * 2;
            in->stores = mem_grow(in->stores, in->cap * sizeof *in->stores);
            h->messages = mem_grow(h->messages, in->cap * sizeof *h->messages);
        }
        in->len++;
        h->messages_len = in->len;
    }
    frame_store_init(&in->stores[in->len - 1]);
    return &in->stores[in->len - 1];
}

/* Reads ["execution_start", {...}] whose bracket was read. */
static bool read_message(struct js_reader *r, struct history_answer *h)
{
    const unsigned level = r->depth;
    const struct js_token name = js_next(r);
    const struct js_token data = js_next(r);
    if (name.kind == JS_STRING && data.kind == JS_OBJECT) {
        const struct str raw = js_rest(r, data);
        if (raw.n == 0) {
            return false;
        }
        struct frame_store *store = add_message(h);
        struct frame *f = &h->messages[h->messages_len - 1];
        frame_store_reset(store, raw.n);
        *f = (struct frame){.type = frame_type_from_name(name), .queue_remaining = -1};
        struct js_reader inside;
        js_read_members(&inside, (struct str){raw.p + 1, raw.n - 1}, JS_MAX_DEPTH);
        size_t unused = 0;
        if (!frame_read_data(&inside, store, f, &unused)) {
            return false;
        }
    }
    while (r->depth >= level) {
        if (js_next(r).kind == JS_ERROR) {
            return false;
        }
    }
    return true;
}

static bool read_messages(struct js_reader *r, struct history_answer *h)
{
    for (;;) {
        const struct js_token t = js_next(r);
        if (t.kind == JS_ARRAY_END) {
            return true;
        }
        if (t.kind == JS_ARRAY ? !read_message(r, h) : js_rest(r, t).n == 0) {
            return false;
        }
    }
}

/* Reads the status object whose brace was read. */
static bool read_history_status(struct js_reader *r, struct history_answer *h)
{
    struct js_token key = js_next(r);
    for (; key.kind == JS_KEY; key = js_next(r)) {
        const struct js_token v = js_next(r);
        if (js_is(key, "messages") && v.kind == JS_ARRAY) {
            if (!read_messages(r, h)) {
                return false;
            }
            continue;
        }
        if (js_is(key, "status_str")) {
            h->success = js_is(v, "success");
        }
        if (js_rest(r, v).n == 0) {
            return false;
        }
    }
    return key.kind == JS_OBJECT_END;
}

/* Reads the outputs object whose brace was read. */
static bool read_outputs(struct js_reader *r, struct history_answer *h)
{
    struct history_inner *in = h->inner;
    struct js_token key = js_next(r);
    for (; key.kind == JS_KEY; key = js_next(r)) {
        const struct js_token v = js_next(r);
        const struct str raw = js_rest(r, v);
        if (raw.n == 0) {
            return false;
        }
        if (v.kind != JS_OBJECT) {
            continue;
        }
        if (h->outputs_len == in->outputs_cap) {
            in->outputs_cap = in->outputs_cap == 0 ? 8 : in->outputs_cap * 2;
            h->outputs = mem_grow(h->outputs, in->outputs_cap * sizeof *h->outputs);
        }
        h->outputs[h->outputs_len++] = (struct history_output){js_text(key, &in->scratch), raw};
    }
    return key.kind == JS_OBJECT_END;
}

/* Reads extra_data, whose brace was read. */
static bool read_extra_data(struct js_reader *r, struct history_answer *h)
{
    struct js_token key = js_next(r);
    for (; key.kind == JS_KEY; key = js_next(r)) {
        const struct js_token v = js_next(r);
        int64_t ms = 0;
        if (js_is(key, "create_time") && js_int(v, &ms) && ms > 0 && ms < INT64_MAX / 2000) {
            h->created_ms = ms;
        }
        if (js_rest(r, v).n == 0) {
            return false;
        }
    }
    return key.kind == JS_OBJECT_END;
}

/* Reads [number, id, graph, extra_data, outputs], whose bracket was read. */
static bool read_history_prompt(struct js_reader *r, struct history_answer *h)
{
    enum { EXTRA_DATA = 3 };
    for (int i = 0;; i++) {
        const struct js_token t = js_next(r);
        if (t.kind == JS_ARRAY_END) {
            return true;
        }
        const bool extra = i == EXTRA_DATA && t.kind == JS_OBJECT;
        if (extra ? !read_extra_data(r, h) : js_rest(r, t).n == 0) {
            return false;
        }
    }
}

static bool read_history_entry(struct js_reader *r, struct history_answer *h)
{
    struct js_token key = js_next(r);
    for (; key.kind == JS_KEY; key = js_next(r)) {
        const struct js_token v = js_next(r);
        bool good;
        if (js_is(key, "status") && v.kind == JS_OBJECT) {
            good = read_history_status(r, h);
        } else if (js_is(key, "outputs") && v.kind == JS_OBJECT) {
            good = read_outputs(r, h);
        } else if (js_is(key, "prompt") && v.kind == JS_ARRAY) {
            good = read_history_prompt(r, h);
        } else {
            good = js_rest(r, v).n > 0;
        }
        if (!good) {
            return false;
        }
    }
    return key.kind == JS_OBJECT_END;
}

bool history_answer_read(struct str text, struct str prompt_id, struct history_answer *ret)
{
    *ret = (struct history_answer){0};
    struct history_inner *in = mem_zero(1, sizeof *in);
    ret->inner = in;
    buf_init(&in->scratch, BUF_NO_LIMIT);
    (void)buf_reserve(&in->scratch, text.n * 6); /* must not move */
    struct js_reader r;
    if (open_object(&r, text).kind != JS_OBJECT) {
        return false;
    }
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    struct js_token key = js_next(&r);
    for (; key.kind == JS_KEY; key = js_next(&r)) {
        const struct js_token v = js_next(&r);
        buf_clear(&scratch);
        if (v.kind == JS_OBJECT && str_eq(js_text(key, &scratch), prompt_id)) {
            ret->found = true;
            if (!read_history_entry(&r, ret)) {
                return false;
            }
        } else if (js_rest(&r, v).n == 0) {
            return false;
        }
    }
    return key.kind == JS_OBJECT_END;
}

void history_answer_done(struct history_answer *h)
{
    struct history_inner *in = h->inner;
    if (in != NULL) {
        for (size_t i = 0; i < in->len; i++) {
            frame_store_done(&in->stores[i]);
        }
        free(in->stores);
        buf_done(&in->scratch);
        free(in);
    }
    free(h->messages);
    free(h->outputs);
    *h = (struct history_answer){0};
}

/* ---- GET /system_stats, cancel --------------------------------------------------------------- */

/* Reads one device whose brace was read, and adds its memory to *vram. */
static bool read_device(struct js_reader *r, struct stats_device *d, int64_t *vram)
{
    double total = NAN;
    double free_bytes = NAN;
    struct js_token key = js_next(r);
    for (; key.kind == JS_KEY; key = js_next(r)) {
        const struct js_token v = js_next(r);
        if (js_is(key, "vram_total")) {
            (void)js_double(v, &total);
        } else if (js_is(key, "vram_free")) {
            (void)js_double(v, &free_bytes);
        } else if (js_is(key, "index")) {
            (void)js_int(v, &d->index);
        } else if (js_is(key, "type")) {
            d->is_cpu = v.kind == JS_STRING && js_is(v, "cpu");
        }
        if (js_rest(r, v).n == 0) {
            return false;
        }
    }
    /* Ignores infinite and impossible sizes. */
    const double used = total - free_bytes;
    d->vram_used = isfinite(used) && used >= 0 ? used : NAN;
    const double most = (double)(INT64_MAX / 2 - *vram);
    *vram += isfinite(total) && total > 0 && total < most ? (int64_t)total : 0;
    return key.kind == JS_OBJECT_END;
}

/* Keeps a device whole or not at all: JSON is never cut. */
static void keep_device(struct str raw, struct buf *kept)
{
    AUTO_BUF struct buf clean;
    buf_init(&clean, BUF_NO_LIMIT);
    if (raw.n <= STATS_DEVICES_BYTES && js_clean(raw, &clean) &&
        kept->len + clean.len + 2 <= STATS_DEVICES_BYTES) {
        buf_add_text(kept, kept->len > 1 ? "," : "");
        buf_add_str(kept, buf_str(&clean));
    }
}

static void read_devices(struct str raw, struct stats_answer *ret)
{
    struct js_reader r;
    js_read_lenient(&r, raw, JS_MAX_DEPTH);
    if (js_next(&r).kind != JS_ARRAY) {
        return;
    }
    buf_add_char(&ret->devices, '[');
    for (struct js_token t = js_next(&r); t.kind == JS_OBJECT; t = js_next(&r)) {
        struct stats_device d = {.index = -1, .vram_used = NAN};
        const char *from = t.text.p;
        if (!read_device(&r, &d, &ret->vram)) {
            break;
        }
        keep_device((struct str){from, js_offset(&r) - (size_t)(from - raw.p)}, &ret->devices);
        if (ret->list_len < STATS_DEVICES) {
            ret->list[ret->list_len++] = d;
        }
    }
    buf_add_char(&ret->devices, ']');
}

/* Reads --cuda-device N, or --cuda-device=N; a list of several is ignored. */
static void read_argument(struct str text, bool *is_next, struct stats_answer *ret)
{
    static const struct str flag = STR_INIT("--cuda-device");
    int64_t n = -1;
    if (*is_next) {
        ret->cuda_device = str_to_int64(text, &n) && n >= 0 ? n : -1;
        *is_next = false;
    } else if (str_eq(text, flag)) {
        *is_next = true;
    } else if (text.n > flag.n && memcmp(text.p, flag.p, flag.n) == 0 && text.p[flag.n] == '=') {
        *is_next = true;
        read_argument((struct str){text.p + flag.n + 1, text.n - flag.n - 1}, is_next, ret);
    }
}

static bool read_arguments(struct js_reader *r, struct stats_answer *ret)
{
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    bool is_next = false;
    struct js_token t = js_next(r);
    for (; t.kind != JS_ARRAY_END && t.kind != JS_ERROR; t = js_next(r)) {
        buf_clear(&scratch);
        if (t.kind == JS_STRING) {
            read_argument(js_text(t, &scratch), &is_next, ret);
        } else if (js_rest(r, t).n == 0) {
            return false;
        }
    }
    return t.kind == JS_ARRAY_END;
}

/* Reads the "system" object, whose brace was read. */
static bool read_system(struct js_reader *r, struct stats_answer *ret)
{
    double total = NAN;
    double free_bytes = NAN;
    struct js_token key = js_next(r);
    for (; key.kind == JS_KEY; key = js_next(r)) {
        const struct js_token v = js_next(r);
        if (v.kind == JS_STRING && js_is(key, "comfyui_version") && ret->version.len == 0) {
            AUTO_BUF struct buf scratch;
            buf_init(&scratch, BUF_NO_LIMIT);
            buf_add_str(&ret->version, js_text(v, &scratch));
        } else if (js_is(key, "ram_total")) {
            (void)js_double(v, &total);
        } else if (js_is(key, "ram_free")) {
            (void)js_double(v, &free_bytes);
        } else if (v.kind == JS_ARRAY && js_is(key, "argv")) {
            if (!read_arguments(r, ret)) {
                return false;
            }
            continue;
        }
        if (js_rest(r, v).n == 0) {
            return false;
        }
    }
    const double used = total - free_bytes;
    ret->ram_used = isfinite(used) && used >= 0 ? used : NAN;
    return key.kind == JS_OBJECT_END;
}

bool stats_answer_read(struct str text, struct stats_answer *ret)
{
    *ret = (struct stats_answer){.ram_used = NAN, .cuda_device = -1};
    buf_init(&ret->version, 256);
    buf_init(&ret->devices, BUF_NO_LIMIT);
    struct js_reader r;
    bool good = open_object(&r, text).kind == JS_OBJECT;
    struct js_token key = good ? js_next(&r) : (struct js_token){.kind = JS_ERROR};
    for (; good && key.kind == JS_KEY; key = js_next(&r)) {
        const struct js_token v = js_next(&r);
        if (v.kind == JS_OBJECT && js_is(key, "system")) {
            good = read_system(&r, ret);
            continue;
        }
        const struct str raw = js_rest(&r, v);
        good = raw.n > 0;
        if (v.kind == JS_ARRAY && js_is(key, "devices") && ret->devices.len == 0) {
            read_devices(raw, ret);
        }
    }
    if (ret->devices.len == 0) {
        buf_add_text(&ret->devices, "[]");
    }
    return good && key.kind == JS_OBJECT_END;
}

void stats_answer_done(struct stats_answer *s)
{
    buf_done(&s->version);
    buf_done(&s->devices);
}

bool cancel_answer_read(struct str text)
{
    struct js_reader r;
    if (open_object(&r, text).kind != JS_OBJECT) {
        return false;
    }
    for (struct js_token key = js_next(&r); key.kind == JS_KEY; key = js_next(&r)) {
        const struct js_token v = js_next(&r);
        if (js_is(key, "cancelled")) {
            return v.kind == JS_TRUE;
        }
        (void)js_rest(&r, v);
    }
    return false;
}
