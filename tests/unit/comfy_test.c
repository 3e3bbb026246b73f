/* The decoder of frames, WebSocket framing, HTTP answers and URLs of a backend. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/comfy/answers.h"
#include "comfypool/comfy/backend.h"
#include "comfypool/comfy/decoder.h"
#include "comfypool/comfy/interrupts.h"
#include "comfypool/loop/ws_frames.h"
#include "../../src/comfy/preview_read.h"
#include "suites.h"

/* ---- frames ---------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    enum frame_type type;
    const char *prompt_id; /* NULL: none */
    const char *node;      /* NULL: none */
    int64_t stamp_ms;
} frames[] = {
    {"{\"type\": \"execution_start\", \"data\": {\"prompt_id\": \"p\", \"timestamp\": "
     "1795347815897}}",
     FRAME_START, "p", NULL, 1795347815897},
    {"{\"data\":{\"node\":\"5\",\"prompt_id\":\"p\"},\"type\":\"executing\"}", FRAME_EXECUTING, "p",
     "5", 0},
    {"{\"type\": \"executing\", \"data\": {\"node\": null, \"prompt_id\": \"p\"}}", FRAME_EXECUTING,
     "p", NULL, 0},
    {"{\"type\": \"executing\", \"data\": {\"node\": \"3\"}}", FRAME_EXECUTING, NULL, "3", 0},
    {"{\"type\": \"executing\", \"data\": null}", FRAME_EXECUTING, NULL, NULL, 0},
    {"{\"type\": \"progress\", \"data\": {\"value\": NaN, \"max\": Infinity, \"prompt_id\": \"p\", "
     "\"node\": \"a\\u0000b\"}}",
     FRAME_PROGRESS, "p", "a", 0},
    {"{\"type\": \"execution_error\", \"data\": {\"prompt_id\": \"p\", \"node_id\": \"7\", "
     "\"exception_message\": \"\\ud800 broke\", \"current_inputs\": {\"x\": [NaN, -Infinity, "
     "1e999]}, "
     "\"traceback\": [\"a\"], \"exception_type\": \"RuntimeError\", \"timestamp\": 12}}",
     FRAME_ERROR, "p", "7", 12},
    {"{\"type\": \"execution_interrupted\", \"data\": {\"prompt_id\": \"p\", \"node_id\": 12}}",
     FRAME_INTERRUPTED, "p", "12", 0},
    {"{\"type\": \"execution_success\", \"data\": {\"prompt_id\": \"p\", \"timestamp\": \"x\"}}",
     FRAME_SUCCESS, "p", NULL, 0},
    {"{\"type\": \"crystools.monitor\", \"data\": {\"cpu\": 1}}", FRAME_MONITOR, NULL, NULL, 0},
    {"{\"type\": \"my.custom.event\", \"data\": {\"cpu\": 1, \"node\": \"3\", \"value\": 1, "
     "\"timestamp\": 5}}",
     FRAME_SIGN, NULL, NULL, 0},
    {"{\"data\": {\"x\": [{}], \"prompt_id\": \"p\"}, \"type\": \"progress_text\"}", FRAME_SIGN,
     "p", NULL, 0},
    {"{\"type\": \"VHS_latentpreview\", \"data\": [1]}", FRAME_SIGN, NULL, NULL, 0},
    {"{\"type\": \"VHS_latentpreview\"}", FRAME_SIGN, NULL, NULL, 0},
    {"{\"type\": \"VHS_latentpreview\", \"data\": {\"x\": }}", FRAME_OTHER, NULL, NULL, 0},
    {"{\"type\": \"feature_flags\", \"data\": {\"max_upload_size\": 1}}", FRAME_OTHER, NULL, NULL,
     0},
    {"{\"type\": \"cm-queue-status\", \"data\": {\"status\": \"done\"}}", FRAME_OTHER, NULL, NULL,
     0},
    {"{\"type\":", FRAME_OTHER, NULL, NULL, 0},
    {"[]", FRAME_OTHER, NULL, NULL, 0},
    {"null", FRAME_OTHER, NULL, NULL, 0},
    {"", FRAME_OTHER, NULL, NULL, 0},
    {"{\"type\": 5, \"data\": {}}", FRAME_OTHER, NULL, NULL, 0},
};

static const struct frame *decode(struct decoder *d, struct buf *message, const char *text)
{
    buf_clear(message);
    buf_add_text(message, text);
    return decoder_text(d, message);
}

START_TEST(frames_are_read_leniently)
{
    struct decoder *d = decoder_new();
    struct buf message;
    buf_init(&message, BUF_NO_LIMIT);
    const struct frame *f = decode(d, &message, frames[_i].text);
    ck_assert_msg(f->type == frames[_i].type, "%s: type %d", frames[_i].text, f->type);
    ck_assert((f->prompt_id.p != NULL) == (frames[_i].prompt_id != NULL));
    ck_assert((f->node.p != NULL) == (frames[_i].node != NULL));
    if (frames[_i].node != NULL) {
        ck_assert(strncmp(f->node.p, frames[_i].node, strlen(frames[_i].node)) == 0);
    }
    ck_assert_int_eq(f->stamp_ms, frames[_i].stamp_ms);
    ck_assert(f->value == 0 && f->max == 0);
    buf_done(&message);
    decoder_free(d);
}
END_TEST

START_TEST(an_error_keeps_its_parts)
{
    struct decoder *d = decoder_new();
    struct buf message;
    buf_init(&message, BUF_NO_LIMIT);
    const struct frame *f = decode(
        d, &message,
        "{\"type\": \"execution_error\", \"data\": {\"prompt_id\": \"p\", \"node_id\": \"2\", "
        "\"node_type\": \"T\", \"executed\": [\"1\", \"5\"], \"exception_message\": \"bad "
        "\\u2603\\n\", "
        "\"exception_type\": \"ExecutionBlocked\", \"traceback\": [\"line 1\", \"line 2\"]}}");
    ck_assert(str_is(f->message, "bad \xe2\x98\x83\n"));
    ck_assert(str_is(f->node_type, "T"));
    ck_assert_uint_eq(f->ids_len, 2);
    ck_assert(str_is(f->ids[1], "5"));
    ck_assert(str_is(f->traceback, "[\"line 1\", \"line 2\"]"));
    ck_assert(!frame_is_terminal(f));
    f = decode(d, &message,
               "{\"type\": \"status\", \"data\": {\"status\": {\"exec_info\": "
               "{\"queue_remaining\": 3}}, \"sid\": \"x\"}}");
    ck_assert_int_eq(f->queue_remaining, 3);
    ck_assert(str_is(f->sid, "x"));
    buf_done(&message);
    decoder_free(d);
}
END_TEST

#define ENTRY(id, state)                                                                           \
    "\"" id "\": {\"value\": 1, \"max\": 2, \"state\": \"" state "\", \"node_id\": \"" id          \
    "\", \"prompt_id\": \"p\", \"display_node_id\": \"" id "\", \"parent_node_id\": null}"
#define STATE(prompt, nodes)                                                                       \
    "{\"type\": \"progress_state\", \"data\": {\"prompt_id\": \"" prompt "\", \"nodes\": {" nodes  \
    "}}}"

/* Frames one after the other; how many entries the fast path reads of each (0: read whole). */
static const struct {
    const char *text;
    size_t entries;
    bool fast;
} states[] = {
    {STATE("p", ENTRY("1", "running")), 1, false},
    {STATE("p", ENTRY("1", "finished")), 1, true},
    {STATE("p", ENTRY("1", "finished") ", " ENTRY("2", "running")), 2, true},
    {STATE("p", ENTRY("1", "finished") ", " ENTRY("2", "finished")), 1, true},
    {STATE("p", ENTRY("1", "finished") ", " ENTRY("2", "finished")), 1, true},
    {STATE("p", ENTRY("1", "finished") ", " ENTRY("2", "finished") ", " ENTRY("3", "running")), 2,
     true},
    {STATE("p", ENTRY("1", "finished")), 1, true},
    {STATE("q", ENTRY("1", "running")), 1, false},
    {STATE("q", ""), 0, true},
    {STATE("q", ENTRY("1", "running")), 1, false},
    {STATE("q", ENTRY("1", "running") "}"), 0, false},
    {STATE("q", ENTRY("1", "finished")), 1, true},
};

START_TEST(progress_state_is_read_from_what_changed)
{
    struct decoder *d = decoder_new();
    struct buf message;
    buf_init(&message, BUF_NO_LIMIT);
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        const uint64_t fast = decoder_stats(d).fast;
        const struct frame *f = decode(d, &message, states[i].text);
        const bool took = decoder_stats(d).fast > fast;
        ck_assert_msg(f->nodes_len == states[i].entries, "frame %zu: %zu entries", i, f->nodes_len);
        ck_assert_msg(took == states[i].fast, "frame %zu: fast path %d", i, took);
    }
    buf_done(&message);
    decoder_free(d);
}
END_TEST

/* ---- WebSocket framing ----------------------------------------------------------------------- */

struct heard {
    struct buf log;
};

static bool on_message(void *ctx, bool binary, struct buf *message)
{
    struct heard *h = ctx;
    buf_printf(&h->log, "%s %zu;", binary ? "binary" : "text", message->len);
    return true;
}

static bool on_control(void *ctx, enum ws_opcode opcode, struct str payload)
{
    struct heard *h = ctx;
    buf_printf(&h->log, "control %d %zu;", opcode, payload.n);
    return opcode != WS_CLOSE;
}

static const struct ws_frames_events frames_events = {on_message, on_control};

/* A server's frame: first byte (0x100 is 0: 0 ends the list), then the payload's length (its bytes
   are zeros). */
struct sent {
    unsigned first;
    size_t n;
};

static const struct {
    const char *name;
    struct sent sent[5];
    const char *heard;
    bool good;
} framings[] = {
    {"a text", {{0x81, 5}}, "text 5;", true},
    {"an empty text", {{0x81, 0}}, "text 0;", true},
    {"126 bytes and 65536 bytes", {{0x81, 126}, {0x82, 65536}}, "text 126;binary 65536;", true},
    {"in three pieces, a ping between",
     {{0x01, 10}, {0x89, 4}, {0x100, 20}, {0x80, 30}},
     "control 9 4;text 60;",
     true},
    {"close", {{0x88, 2}}, "control 8 2;", false},
    {"over the cap", {{0x81, 100001}}, "", false},
    {"over the cap in pieces", {{0x01, 60000}, {0x80, 60000}}, "", false},
    {"reserved bits", {{0xc1, 5}}, "", false},
    {"a text inside another", {{0x01, 5}, {0x81, 5}}, "", false},
    {"a continuation of nothing", {{0x80, 5}}, "", false},
    {"a ping in pieces", {{0x09, 5}}, "", false},
    {"a ping of 126 bytes", {{0x89, 126}}, "", false},
    {"an unknown kind", {{0x83, 5}}, "", false},
};

static void write_frame(struct buf *out, struct sent s)
{
    buf_add_char(out, (char)s.first);
    if (s.n < 126) {
        buf_add_char(out, (char)s.n);
    } else if (s.n < 65536) {
        buf_add(out, "\x7e", 1);
        buf_add_char(out, (char)(s.n >> 8));
        buf_add_char(out, (char)(s.n & 255));
    } else {
        buf_add(out, "\x7f\0\0\0\0", 5);
        for (int shift = 24; shift >= 0; shift -= 8) {
            buf_add_char(out, (char)(s.n >> shift & 255));
        }
    }
    for (size_t i = 0; i < s.n; i++) {
        buf_add_char(out, '\0');
    }
}

START_TEST(framing_is_the_same_in_pieces_of_any_size)
{
    AUTO_BUF struct buf bytes;
    buf_init(&bytes, BUF_NO_LIMIT);
    for (const struct sent *s = framings[_i].sent; s->first != 0; s++) {
        write_frame(&bytes, *s);
    }
    static const size_t pieces[] = {1, 2, 3, 7, 1000, 1u << 20};
    for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++) {
        struct heard h;
        buf_init(&h.log, BUF_NO_LIMIT);
        struct ws_frames f;
        ws_frames_init(&f, 100000, &frames_events, &h);
        const char *why = NULL;
        for (size_t at = 0; at < bytes.len && why == NULL; at += pieces[k]) {
            const size_t left = bytes.len - at;
            why = ws_frames_feed(&f, bytes.data + at, left < pieces[k] ? left : pieces[k]);
        }
        ck_assert_msg((why == NULL) == framings[_i].good, "%s: %s", framings[_i].name,
                      why == NULL ? "taken" : why);
        ck_assert_msg(strcmp(buf_text(&h.log), framings[_i].heard) == 0, "%s in pieces of %zu: %s",
                      framings[_i].name, pieces[k], buf_text(&h.log));
        ws_frames_done(&f);
        buf_done(&h.log);
    }
}
END_TEST

START_TEST(what_we_send_is_masked)
{
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    uint32_t mask = 0;
    memcpy(&mask, "\x01\x02\x03\x04", 4);
    ws_frames_write(&out, WS_TEXT, STR("abcde"), mask);
    ck_assert(str_eq(buf_str(&out), STR("\x81\x85\x01\x02\x03\x04`` `d")) ||
              memcmp(out.data, "\x81\x85\x01\x02\x03\x04", 6) == 0);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_int_eq(out.data[6 + i] ^ (int)(1 + i % 4), "abcde"[i]);
    }
}
END_TEST

/* ---- HTTP answers ---------------------------------------------------------------------------- */

START_TEST(a_400_is_read_whole)
{
    struct prompt_answer a;
    ck_assert(prompt_answer_read(
        STR("{\"error\": {\"type\": \"prompt_outputs_failed_validation\", \"message\": \"Prompt "
            "outputs "
            "failed validation\", \"details\": \"\", \"extra_info\": {}}, \"node_errors\": {\"4\": "
            "{\"errors\": [{\"type\": \"required_input_missing\", \"message\": \"Required input is "
            "missing\", \"details\": \"ckpt_name\", \"extra_info\": {\"x\": NaN}}], "
            "\"dependent_outputs\": [\"9\"], \"class_type\": \"CheckpointLoaderSimple\"}}}"),
        &a));
    ck_assert(str_is(a.error_type, "prompt_outputs_failed_validation"));
    ck_assert_str_eq(buf_text(&a.node_id), "4");
    ck_assert_str_eq(buf_text(&a.node_type), "CheckpointLoaderSimple");
    ck_assert_str_eq(buf_text(&a.message),
                     "Prompt outputs failed validation: Required input is missing: ckpt_name");
    ck_assert_ptr_nonnull(strstr(buf_text(&a.node_errors), "\"x\":null"));
    prompt_answer_done(&a);
}
END_TEST

START_TEST(a_missing_class_names_its_node)
{
    struct prompt_answer a;
    ck_assert(prompt_answer_read(
        STR("{\"error\": {\"type\": \"missing_node_type\", \"message\": \"Node 'X' not found\", "
            "\"details\": \"Node ID '#7'\", \"extra_info\": {\"node_id\": \"7\", "
            "\"class_type\": \"X\", \"node_title\": null}}, \"node_errors\": {}}"),
        &a));
    ck_assert_str_eq(buf_text(&a.node_id), "7");
    ck_assert_str_eq(buf_text(&a.node_type), "X");
    ck_assert_str_eq(buf_text(&a.message), "Node 'X' not found: Node ID '#7'");
    prompt_answer_done(&a);
}
END_TEST

static const struct {
    const char *type;
    const char *body;
    bool page;
} pages[] = {
    {"text/html", "no", true},
    {"text/html; charset=utf-8", "Please log in", true},
    {"Text/HTML;charset=utf-8", "{}", true},
    {"application/xhtml+xml", "no", true},
    {"text/html", "", true},
    {"", "", false},
    {"application/json", " \r\n", false},
    {"", "<html>", true},
    {"text/plain", " \n<!DOCTYPE html>", true},
    {"", "\xef\xbb\xbf<!DOCTYPE html>", true},
    {"", "\xef\xbb\xbf\n", false},
    {"", "\xff\xfe<", true},
    {"application/json", "{\"error\": 1}", false},
    {"application/json", "\xef\xbb\xbf{}", false},
    {"", "{\"prompt", false},
    {"text/plain; charset=utf-8", "500 Internal Server Error", false},
    {"text/htmlx", "no", false},
    {"text", "no", false},
};

START_TEST(pages_are_told_by_type_and_beginning)
{
    ck_assert_msg(answer_is_page(pages[_i].type, str_of(pages[_i].body)) == pages[_i].page,
                  "'%s' '%s'", pages[_i].type, pages[_i].body);
}
END_TEST

/* Servers say of the prompt and of its node what is the same. */
START_TEST(nothing_is_said_twice)
{
    struct prompt_answer a;
    ck_assert(prompt_answer_read(
        STR("{\"error\": {\"message\": \"Failed\", \"details\": \"Exception: tuple index\"}, "
            "\"node_errors\": {\"4\": {\"errors\": [{\"message\": \"Exception\", \"details\": "
            "\"tuple index\"}, {\"message\": \"x\"}], \"class_type\": \"C\"}}}"),
        &a));
    ck_assert_str_eq(buf_text(&a.message), "Failed: Exception: tuple index");
    prompt_answer_done(&a);
    ck_assert(
        prompt_answer_read(STR("{\"error\": {\"message\": \"index\", \"details\": \"in\"}}"), &a));
    ck_assert_msg(strcmp(buf_text(&a.message), "index: in") == 0, "a part of a word is another");
    prompt_answer_done(&a);
}
END_TEST

START_TEST(a_200_is_read)
{
    struct prompt_answer a;
    ck_assert(prompt_answer_read(
        STR("{\"prompt_id\": \"p\", \"number\": NaN, \"node_errors\": {}}"), &a));
    ck_assert(str_is(a.prompt_id, "p"));
    ck_assert_uint_eq(a.node_errors.len, 0);
    prompt_answer_done(&a);
    ck_assert(!prompt_answer_read(STR("<html>"), &a));
    prompt_answer_done(&a);
    ck_assert(!prompt_answer_read(STR(""), &a));
    prompt_answer_done(&a);
}
END_TEST

static const struct {
    const char *text;
    enum queue_place place;
    size_t others;
} queues[] = {
    {"{\"queue_running\": [], \"queue_pending\": []}", QUEUE_ABSENT, 0},
    {"{\"queue_running\": [[0, \"p\", {\"1\": {}}, {}, []]], \"queue_pending\": []}", QUEUE_RUNNING,
     0},
    {"{\"queue_running\": [[0, \"x\", {}, {}, []]], \"queue_pending\": [[NaN, \"y\", {}], [2, "
     "\"p\"]]}",
     QUEUE_PENDING, 2},
    {"{\"queue_running\": [[0, \"x\"], null, 5]}", QUEUE_ABSENT, 1},
    {"{}", QUEUE_BROKEN, 0},
    {"[]", QUEUE_BROKEN, 0},
    {"{\"queue_running\": [[0, \"x\"", QUEUE_BROKEN, 0},
};

START_TEST(queues_are_searched)
{
    struct queue_others others = {0};
    ck_assert_msg(queue_answer_find(str_of(queues[_i].text), STR("p"), &others) == queues[_i].place,
                  "%s", queues[_i].text);
    if (queues[_i].place != QUEUE_BROKEN) {
        ck_assert_uint_eq(others.running + others.pending, queues[_i].others);
    }
}
END_TEST

START_TEST(history_tells_messages_and_outputs)
{
    struct history_answer h;
    ck_assert(history_answer_read(
        STR("{\"p\": {\"prompt\": [0, \"p\", {}], \"outputs\": {\"9\": {\"images\": []}, "
            "\"\\u0041\": "
            "{\"text\": [NaN]}}, \"status\": {\"status_str\": \"error\", \"completed\": false, "
            "\"messages\": [[\"execution_start\", {\"prompt_id\": \"p\", \"timestamp\": 10}], "
            "[\"execution_cached\", {\"nodes\": [\"4\", \"5\"], \"timestamp\": 11}], "
            "[\"execution_error\", {\"node_id\": \"3\", \"exception_message\": \"m\", "
            "\"executed\": [\"6\"], \"timestamp\": 20}]]}, \"meta\": {}}}"),
        STR("p"), &h));
    ck_assert(h.found && !h.success);
    ck_assert_uint_eq(h.messages_len, 3);
    ck_assert_int_eq(h.messages[0].type, FRAME_START);
    ck_assert_int_eq(h.messages[0].stamp_ms, 10);
    ck_assert_uint_eq(h.messages[1].ids_len, 2);
    ck_assert(str_is(h.messages[1].ids[1], "5"));
    ck_assert(frame_is_terminal(&h.messages[2]));
    ck_assert(str_is(h.messages[2].ids[0], "6"));
    ck_assert_uint_eq(h.outputs_len, 2);
    ck_assert(str_is(h.outputs[1].node_id, "A"));
    ck_assert(str_is(h.outputs[1].ui, "{\"text\": [NaN]}"));
    history_answer_done(&h);
    ck_assert(history_answer_read(STR("{}"), STR("p"), &h));
    ck_assert(!h.found);
    history_answer_done(&h);
    ck_assert(!history_answer_read(STR("500 Internal Server Error"), STR("p"), &h));
    history_answer_done(&h);
}
END_TEST

START_TEST(a_history_without_end_is_not_followed)
{
    struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    buf_add_text(&b, "{\"p\":{\"status\":{\"messages\":[");
    for (int i = 0; i < 20000; i++) {
        buf_add_text(&b, "[\"execution_cached\",{\"nodes\":[\"\\n\"]}],");
    }
    buf_add_text(&b, "[\"execution_success\",{\"timestamp\":7}]]}}}");
    struct history_answer h;
    ck_assert(history_answer_read(buf_str(&b), STR("p"), &h));
    ck_assert_uint_eq(h.messages_len, 1000);
    ck_assert_int_eq(h.messages[999].type, FRAME_SUCCESS);
    ck_assert_int_eq(h.messages[999].stamp_ms, 7);
    ck_assert(str_is(h.messages[0].ids[0], "\n"));
    history_answer_done(&h);
    buf_done(&b);
}
END_TEST

/* ---- monitor frames and previews ------------------------------------------------------------- */

/* "RAM; UTILIZATION TEMPERATURE VRAM" of each GPU; ? is unknown. */
static const struct {
    const char *data;
    const char *want;
} monitors[] = {
    {"{\"cpu_utilization\": 12.5, \"ram_used\": 21474836480, \"device_type\": \"cuda\", \"gpus\": "
     "[{\"gpu_utilization\": 80, \"gpu_temperature\": 60.5, \"vram_total\": 1, \"vram_used\": "
     "6442450944, \"vram_used_percent\": 9}]}",
     "21474836480; 80 60.5 6442450944"},
    {"{\"gpus\": [{\"gpu_utilization\": -1, \"gpu_temperature\": -1, \"vram_used\": -1}, {}, null, "
     "5, "
     "{\"gpu_utilization\": 0}]}",
     "?; ? ? ?; ? ? ?; ? ? ?; ? ? ?; 0 ? ?"},
    {"{\"ram_used\": \"y\", \"gpus\": [{\"gpu_utilization\": \"NaN\", \"vram_used\": 1e400}]}",
     "?; ? ? ?"},
    {"{\"ram_used\": NaN, \"gpus\": [{\"gpu_utilization\": NaN, \"vram_used\": [1]}]}", "?; ? ? ?"},
    {"{\"gpus\": \"x\"}", "?"},
    {"{\"gpus\": null, \"ram_used\": 5}", "5"},
    {"{}", "?"},
    {"null", "?"},
    {"[]", "?"},
};

static void write_known(struct buf *out, double v)
{
    if (isnan(v)) {
        buf_add_text(out, "?");
    } else {
        buf_printf(out, "%.15g", v);
    }
}

START_TEST(monitor_frames_are_read)
{
    struct decoder *d = decoder_new();
    struct buf message;
    buf_init(&message, BUF_NO_LIMIT);
    AUTO_BUF struct buf text;
    AUTO_BUF struct buf out;
    buf_init(&text, BUF_NO_LIMIT);
    buf_init(&out, BUF_NO_LIMIT);
    buf_printf(&text, "{\"type\": \"crystools.monitor\", \"data\": %s}", monitors[_i].data);
    const struct frame *f = decode(d, &message, buf_text(&text));
    ck_assert_int_eq(f->type, FRAME_MONITOR);
    write_known(&out, f->ram_used > 0 ? f->ram_used : NAN);
    for (size_t i = 0; i < f->gpus_len; i++) {
        buf_add_text(&out, "; ");
        write_known(&out, f->gpus[i].utilization);
        buf_add_char(&out, ' ');
        write_known(&out, f->gpus[i].temperature);
        buf_add_char(&out, ' ');
        write_known(&out, f->gpus[i].vram_used);
    }
    ck_assert_str_eq(buf_text(&out), monitors[_i].want);
    buf_done(&message);
    decoder_free(d);
}
END_TEST

#define METADATA "{\"node_id\": \"3\", \"prompt_id\": \"p\", \"image_type\": \"image/png\"}"

static const struct {
    const char *name;
    struct str message;
    const char *want; /* NULL: none */
} previews[] = {
    {"an image without metadata: JPEG", STR_INIT("\0\0\0\1\0\0\0\1abc"), "- - image/jpeg abc"},
    {"an image without metadata: PNG", STR_INIT("\0\0\0\1\0\0\0\2abc"), "- - image/png abc"},
    {"with metadata", STR_INIT("\0\0\0\4\0\0\0\x3d" METADATA "abc"), "p 3 image/png abc"},
    {"metadata that is none", STR_INIT("\0\0\0\4\0\0\0\2{]abc"), NULL},
    {"metadata that is longer than the message", STR_INIT("\0\0\0\4\0\0\0\x7f{}abc"), NULL},
    {"a text",
     STR_INIT("\0\0\0\3\0\0\0\1"
              "3abc"),
     NULL},
    {"another type", STR_INIT("\0\0\0\x9\1\2\3\4"), NULL},
    {"too short", STR_INIT("\0\0"), NULL},
    {"nothing behind the head", STR_INIT("\0\0\0\1\0\0\0\1"), NULL},
};

START_TEST(previews_are_read)
{
    struct frame_preview f;
    AUTO_BUF struct buf scratch;
    AUTO_BUF struct buf out;
    buf_init(&scratch, BUF_NO_LIMIT);
    buf_init(&out, BUF_NO_LIMIT);
    const bool good = preview_read(previews[_i].message, &f, &scratch);
    ck_assert_msg(good == (previews[_i].want != NULL), "%s", previews[_i].name);
    if (good) {
        buf_add_str(&out, f.prompt_id.p == NULL ? STR("-") : f.prompt_id);
        buf_add_char(&out, ' ');
        buf_add_str(&out, f.node_id.p == NULL ? STR("-") : f.node_id);
        buf_printf(&out, " %s ", f.media_type);
        buf_add_str(&out, f.image);
        ck_assert_msg(strcmp(buf_text(&out), previews[_i].want) == 0, "%s: %s", previews[_i].name,
                      buf_text(&out));
    }
}
END_TEST

START_TEST(stats_tell_memory)
{
    struct stats_answer s;
    ck_assert(stats_answer_read(
        STR("{\"system\": {\"ram_total\": 64, \"ram_free\": 24, \"argv\": [\"main.py\", "
            "\"--cuda-device\", \"2\"]}, \"devices\": [{\"type\": \"cpu\", \"index\": null, "
            "\"vram_total\": 10, \"vram_free\": 1}, {\"type\": \"cuda\", \"index\": 1, "
            "\"vram_total\": "
            "30, \"vram_free\": 10}, {\"vram_total\": 5, \"vram_free\": NaN}]}"),
        &s));
    ck_assert(s.ram_used == 40 && s.cuda_device == 2 && s.list_len == 3);
    ck_assert(s.list[0].is_cpu && s.list[0].index == -1 && s.list[0].vram_used == 9);
    ck_assert(!s.list[1].is_cpu && s.list[1].index == 1 && s.list[1].vram_used == 20);
    ck_assert(isnan(s.list[2].vram_used));
    stats_answer_done(&s);
    static const struct {
        const char *argv;
        int64_t device;
    } arguments[] = {{"\"--cuda-device=0\"", 0},       {"\"--cuda-device\",\"0,1\"", -1},
                     {"\"--cuda-device\"", -1},        {"\"--cuda-device\",7", -1},
                     {"\"--cuda-devices\",\"1\"", -1}, {"[\"--cuda-device\",\"1\"]", -1}};
    for (size_t i = 0; i < sizeof arguments / sizeof *arguments; i++) {
        AUTO_BUF struct buf text;
        buf_init(&text, BUF_NO_LIMIT);
        buf_printf(&text, "{\"system\":{\"argv\":[%s]}}", arguments[i].argv);
        ck_assert(stats_answer_read(buf_str(&text), &s));
        ck_assert_msg(s.cuda_device == arguments[i].device && isnan(s.ram_used), "%s",
                      arguments[i].argv);
        stats_answer_done(&s);
    }
}
END_TEST

START_TEST(stats_tell_version_and_devices)
{
    struct stats_answer s;
    ck_assert(stats_answer_read(
        STR("{\"system\": {\"comfyui_version\": \"0.28.0\", \"argv\": [\"main.py\"]}, \"devices\": "
            "[{\"name\": \"cuda:0\", \"vram_total\": 25757220864}]}"),
        &s));
    ck_assert_str_eq(buf_text(&s.version), "0.28.0");
    ck_assert_str_eq(buf_text(&s.devices), "[{\"name\":\"cuda:0\",\"vram_total\":25757220864}]");
    stats_answer_done(&s);
    ck_assert(!stats_answer_read(
        STR("{\"system\": {\"comfyui_version\": \"x\"}, \"devices\": [{}]"), &s));
    stats_answer_done(&s);
    /* However many there are, what is kept is JSON, and all of them count. */
    AUTO_BUF struct buf many;
    buf_init(&many, BUF_NO_LIMIT);
    buf_add_text(&many, "{\"devices\": [");
    for (int i = 0; i < 6000; i++) {
        buf_printf(&many, "%s{\"name\": \"cuda:%d\", \"vram_total\": %s}", i == 0 ? "" : ", ", i,
                   i == 1 ? "9e18" : "1000");
    }
    buf_add_text(&many, "]}");
    ck_assert(stats_answer_read(buf_str(&many), &s));
    size_t offset = 0;
    const char *why = NULL;
    ck_assert(js_check(buf_str(&s.devices), JS_MAX_DEPTH, &offset, &why));
    ck_assert(s.devices.len > STATS_DEVICES_BYTES / 2 && s.devices.len <= STATS_DEVICES_BYTES);
    ck_assert_int_eq(s.vram, 5999000);
    stats_answer_done(&s);
    ck_assert(cancel_answer_read(STR("{\"cancelled\": true}")));
    ck_assert(!cancel_answer_read(STR("{\"cancelled\": false}")));
    ck_assert(!cancel_answer_read(STR("404: Not Found")));
}
END_TEST

/* ---- URLs ------------------------------------------------------------------------------------ */

static const struct {
    const char *url;
    const char *clean; /* NULL: refused */
    const char *name;
} urls[] = {
    {"http://127.0.0.1:8188", "http://127.0.0.1:8188", "127.0.0.1:8188"},
    {"http://host", "http://host:80", "host:80"},
    {"https://user:se%40cret@host/comfy/", "https://host:443/comfy", "host:443/comfy"},
    {"http://[::1]:8188/", "http://[::1]:8188", "[::1]:8188"},
    {"ftp://host", NULL, NULL},
    {"host:8188", NULL, NULL},
    {"http://", NULL, NULL},
    {"http://host:99999", NULL, NULL},
    {"http://host/?a=1", NULL, NULL},
    {"", NULL, NULL},
};

START_TEST(urls_are_checked_and_cleaned)
{
    char why[128] = "";
    const bool good = comfy_url_check(urls[_i].url, why, sizeof why);
    ck_assert_msg(good == (urls[_i].clean != NULL), "%s: %s", urls[_i].url, why);
    if (!good) {
        ck_assert_str_ne(why, "");
        return;
    }
    AUTO_BUF struct buf clean;
    AUTO_BUF struct buf name;
    buf_init(&clean, 1000);
    buf_init(&name, 1000);
    comfy_url_clean(urls[_i].url, &clean, &name);
    ck_assert_str_eq(buf_text(&clean), urls[_i].clean);
    ck_assert_str_eq(buf_text(&name), urls[_i].name);
}
END_TEST

/* ---- our own interrupts ---------------------------------------------------------------------- */

enum step { SENT, ANSWERED, CUT_OFF, HIT };

/* Of prompts "a", "b"...; at: seconds. */
static const struct {
    const char *name;
    struct {
        enum step step;
        const char *prompt;
        int at;
    } steps[12];
    size_t len;
    const char *prompt;
    int began; /* seconds */
    bool reached;
} reaches[] = {
    {"nothing was sent", {{SENT, "", 0}}, 0, "b", 1, false},
    {"it is under way", {{SENT, "a", 10}}, 1, "b", 5, true},
    {"it is under way for long", {{SENT, "a", 10}}, 1, "b", 100, true},
    {"it was its own", {{SENT, "b", 10}, {ANSWERED, "b", 11}}, 2, "b", 5, false},
    {"it ran when it was answered", {{SENT, "a", 10}, {ANSWERED, "a", 11}}, 2, "b", 5, true},
    {"it began with the answer", {{SENT, "a", 10}, {ANSWERED, "a", 11}}, 2, "b", 12, true},
    {"it began behind it", {{SENT, "a", 10}, {ANSWERED, "a", 11}}, 2, "b", 14, false},
    {"it was cut off", {{SENT, "a", 10}, {CUT_OFF, "a", 20}}, 2, "b", 40, true},
    {"it was cut off long ago", {{SENT, "a", 10}, {CUT_OFF, "a", 20}}, 2, "b", 60, false},
    {"it hit whom it was meant for",
     {{SENT, "a", 10}, {ANSWERED, "a", 11}, {HIT, "a", 12}},
     3,
     "b",
     11,
     false},
    {"it did, and another one is under way",
     {{SENT, "a", 10}, {ANSWERED, "a", 11}, {SENT, "a", 12}, {HIT, "a", 12}},
     4,
     "b",
     13,
     true},
    {"another one was hit",
     {{SENT, "a", 10}, {ANSWERED, "a", 11}, {HIT, "c", 12}},
     3,
     "b",
     11,
     true},
    {"there were many since",
     {{SENT, "a", 10},
      {ANSWERED, "a", 11},
      {SENT, "b", 12},
      {SENT, "b", 12},
      {SENT, "b", 12},
      {SENT, "b", 12},
      {SENT, "b", 12},
      {SENT, "b", 12},
      {SENT, "b", 12},
      {SENT, "b", 12}},
     10,
     "b",
     11,
     false},
};

START_TEST(interrupts_reach_what_ran)
{
    struct interrupts all = {.next = 0};
    int open = 0; /* not answered: it may strike at any time */
    for (size_t i = 0; i < reaches[_i].len; i++) {
        const struct mono_us at = {reaches[_i].steps[i].at * (int64_t)1000000};
        const char *prompt = reaches[_i].steps[i].prompt;
        switch (reaches[_i].steps[i].step) {
        case SENT:
            interrupts_sent(&all, prompt);
            open++;
            break;
        case ANSWERED:
        case CUT_OFF:
            interrupts_over(&all, prompt, at, reaches[_i].steps[i].step == ANSWERED);
            open--;
            break;
        case HIT:
            interrupts_hit(&all, prompt);
            break;
        }
    }
    const struct mono_us began = {reaches[_i].began * (int64_t)1000000};
    const struct mono_us soon = {began.us + 1000000};
    ck_assert_msg(interrupts_reach(&all, reaches[_i].prompt, began, soon) == reaches[_i].reached,
                  "%s", reaches[_i].name);
    const struct mono_us later = {began.us + INT64_C(3600) * 1000000};
    ck_assert_msg(open > 0 || !interrupts_reach(&all, reaches[_i].prompt, began, later),
                  "%s, an hour later", reaches[_i].name);
}
END_TEST

static const struct {
    const char *version;
    bool global;
} versions[] = {
    {"", true},       {"0.3.45", true},  {"0.3.56", true},  {"0.3.57", false}, {"0.3.64", false},
    {"0.2.99", true}, {"0.12.2", false}, {"0.28.0", false}, {"1.0.0", false},  {"nightly", true},
};

START_TEST(old_interrupts_are_global)
{
    ck_assert_msg(interrupts_are_global(versions[_i].version) == versions[_i].global, "%s",
                  versions[_i].version);
}
END_TEST

Suite *comfy_suite(void)
{
    Suite *s = suite_create("comfy");
    TCase *c = tcase_create("comfy");
    tcase_add_loop_test(c, frames_are_read_leniently, 0, sizeof frames / sizeof *frames);
    tcase_add_test(c, an_error_keeps_its_parts);
    tcase_add_test(c, progress_state_is_read_from_what_changed);
    tcase_add_loop_test(c, framing_is_the_same_in_pieces_of_any_size, 0,
                        sizeof framings / sizeof *framings);
    tcase_add_test(c, what_we_send_is_masked);
    tcase_add_test(c, a_400_is_read_whole);
    tcase_add_test(c, a_missing_class_names_its_node);
    tcase_add_test(c, a_200_is_read);
    tcase_add_test(c, nothing_is_said_twice);
    tcase_add_loop_test(c, pages_are_told_by_type_and_beginning, 0, sizeof pages / sizeof *pages);
    tcase_add_loop_test(c, queues_are_searched, 0, sizeof queues / sizeof *queues);
    tcase_add_test(c, history_tells_messages_and_outputs);
    tcase_add_test(c, a_history_without_end_is_not_followed);
    tcase_add_test(c, stats_tell_version_and_devices);
    tcase_add_test(c, stats_tell_memory);
    tcase_add_loop_test(c, monitor_frames_are_read, 0, sizeof monitors / sizeof *monitors);
    tcase_add_loop_test(c, previews_are_read, 0, sizeof previews / sizeof *previews);
    tcase_add_loop_test(c, interrupts_reach_what_ran, 0, sizeof reaches / sizeof *reaches);
    tcase_add_loop_test(c, old_interrupts_are_global, 0, sizeof versions / sizeof *versions);
    tcase_add_loop_test(c, urls_are_checked_and_cleaned, 0, sizeof urls / sizeof *urls);
    suite_add_tcase(s, c);
    return s;
}
