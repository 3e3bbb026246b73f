/*
 * Reading a trace and playing one prompt of it. See replay.h.
 *
 * Chosen frames: all that name the recorded prompt id, on any socket of the client that got its
 * execution_start; status and binary frames between its first and last one. The status frames
 * before execution_start are our own (put and get), and so is the count in the one that follows
 * the end. A binary frame's recording is cut short: it is filled up with zeros to its length.
 */
#include "replay.h"

#include "sim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct played {
    double t; /* seconds since the first played frame */
    double unix_ms;
    bool binary;
    bool is_status;
    char *bytes;
    size_t len;
};

struct replay {
    struct played *frames;
    size_t n_frames, cap;
    char *refusal;
    char *node_errors;
    char *id; /* the recorded prompt id */
    double speed;
};

struct reader {
    json_t *lines; /* all lines of the trace */
    json_t *posts; /* [{"id": prompt id or null, "status": n, "body": ...}] in order of POST */
};

static const char *member(const json_t *line, const char *key)
{
    const char *s = json_string_value(json_object_get(line, key));
    return s ? s : "";
}

static json_t *read_lines(const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        return NULL;
    }
    json_t *lines = json_array();
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, file)) > 0) {
        json_t *value = text_json_load(line, (size_t)n);
        if (json_is_object(value)) {
            json_array_append(lines, value);
        }
        json_decref(value);
    }
    free(line);
    fclose(file);
    return lines;
}

/* The answers to POST /prompt, in order of the requests. */
static json_t *read_posts(const json_t *lines)
{
    json_t *posts = json_array();
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *request = json_array_get(lines, i);
        if (strcmp(member(request, "dir"), "http-req") ||
            strcmp(member(request, "method"), "POST") ||
            strcmp(member(request, "path"), "/prompt")) {
            continue;
        }
        json_t *found = json_object();
        for (size_t k = i + 1; k < json_array_size(lines); k++) {
            json_t *answer = json_array_get(lines, k);
            if (!strcmp(member(answer, "dir"), "http-resp") &&
                !strcmp(member(answer, "id"), member(request, "id"))) {
                json_object_set(found, "answer", answer);
                break;
            }
        }
        json_array_append_new(posts, found);
    }
    return posts;
}

static const char *posted_id(const json_t *posts, size_t index)
{
    const json_t *answer = json_object_get(json_array_get(posts, index), "answer");
    return member(json_object_get(answer, "body"), "prompt_id");
}

static bool names(const json_t *line, const char *type, const char *id)
{
    const char *text = member(line, "text");
    return !strcmp(member(line, "dir"), "ws-text") && (!type || strstr(text, type)) &&
           strstr(text, id);
}

/* The client id of a socket, by the note of its connection. */
static const char *client_of(const json_t *lines, const char *conn)
{
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        const char *at = strstr(member(line, "note"), "clientId=");
        if (at && !strcmp(member(line, "conn"), conn)) {
            return at;
        }
    }
    return conn;
}

static unsigned char decode64(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return (unsigned char)(at ? at - digits : 0);
}

static void add_binary(struct played *frame, const json_t *line)
{
    const char *b64 = member(line, "b64");
    json_int_t len = json_integer_value(json_object_get(line, "len"));
    frame->binary = true;
    frame->len = len > 0 && len < (256 << 20) ? (size_t)len : 0;
    frame->bytes = sim_alloc(frame->len + 4);
    size_t n = 0;
    for (size_t i = 0; b64[i] && b64[i + 1] && n + 3 <= frame->len + 3; i += 4) {
        unsigned bits = (unsigned)decode64(b64[i]) << 18 | (unsigned)decode64(b64[i + 1]) << 12;
        bits |= b64[i + 2] ? (unsigned)decode64(b64[i + 2]) << 6 : 0;
        bits |= b64[i + 2] && b64[i + 3] ? decode64(b64[i + 3]) : 0U;
        for (int k = 16; k >= 0 && n < frame->len; k -= 8) {
            frame->bytes[n++] = (char)(bits >> k);
        }
        if (!b64[i + 2] || !b64[i + 3]) {
            break;
        }
    }
}

static void add_frame(struct replay *replay, const json_t *line, bool is_status)
{
    if (replay->n_frames == replay->cap) {
        replay->cap = replay->cap ? replay->cap * 2 : 64;
        replay->frames = sim_grow(replay->frames, replay->cap * sizeof(struct played));
    }
    struct played *frame = &replay->frames[replay->n_frames++];
    *frame = (struct played){.is_status = is_status};
    frame->unix_ms = json_number_value(json_object_get(line, "t")) * 1e3;
    frame->t = (frame->unix_ms - replay->frames[0].unix_ms) / 1e3;
    if (!strcmp(member(line, "dir"), "ws-bin")) {
        add_binary(frame, line);
    } else {
        frame->len = strlen(member(line, "text"));
        frame->bytes = sim_strndup(member(line, "text"), frame->len);
    }
}

static bool is_status_line(const json_t *line)
{
    const char *text = member(line, "text");
    return !strncmp(text, "{\"type\": \"status\"", 17) && !strstr(text, "\"sid\"");
}

static void choose_frames(struct replay *replay, const json_t *lines)
{
    size_t n = json_array_size(lines);
    size_t first = n;
    size_t last = 0;
    const char *client = NULL;
    for (size_t i = 0; i < n; i++) {
        const json_t *line = json_array_get(lines, i);
        if (names(line, "\"execution_start\"", replay->id) && !client) {
            client = client_of(lines, member(line, "conn"));
            first = i;
        }
        if (client && names(line, NULL, replay->id)) {
            last = i;
        }
    }
    for (size_t i = first; i <= last && i < n; i++) {
        const json_t *line = json_array_get(lines, i);
        bool is_binary = !strcmp(member(line, "dir"), "ws-bin");
        bool is_text = !strcmp(member(line, "dir"), "ws-text");
        if ((!is_binary && !is_text) || strcmp(client_of(lines, member(line, "conn")), client)) {
            continue;
        }
        bool is_status = is_text && is_status_line(line);
        if (is_binary || is_status || strstr(member(line, "text"), replay->id)) {
            add_frame(replay, line, is_status);
        }
    }
}

static bool ran(const json_t *lines, const char *id)
{
    for (size_t i = 0; id[0] && i < json_array_size(lines); i++) {
        if (names(json_array_get(lines, i), "\"execution_start\"", id)) {
            return true;
        }
    }
    return false;
}

static void keep_json(char **ret, const json_t *value)
{
    struct text t = {0};
    text_json(&t, value);
    *ret = t.data;
}

struct replay *replay_load(const char *path, int prompt, double speed, const char **ret_why)
{
    json_t *lines = read_lines(path);
    if (!lines) {
        *ret_why = "cannot be read";
        return NULL;
    }
    json_t *posts = read_posts(lines);
    size_t n = json_array_size(posts);
    size_t chosen = prompt < 0 ? 0 : (size_t)prompt;
    const json_t *first = json_object_get(json_array_get(posts, chosen), "answer");
    bool refused = json_integer_value(json_object_get(first, "status")) == 400;
    while (prompt < 0 && !refused && chosen < n && !ran(lines, posted_id(posts, chosen))) {
        chosen++;
    }
    struct replay *replay = sim_alloc(sizeof(*replay));
    replay->speed = speed;
    const json_t *body =
        json_object_get(json_object_get(json_array_get(posts, chosen), "answer"), "body");
    if (chosen < n && refused) {
        keep_json(&replay->refusal, body);
    } else if (chosen < n && ran(lines, posted_id(posts, chosen))) {
        const char *id = posted_id(posts, chosen);
        replay->id = sim_strndup(id, strlen(id));
        if (json_object_get(body, "node_errors")) {
            keep_json(&replay->node_errors, json_object_get(body, "node_errors"));
        }
        choose_frames(replay, lines);
    } else {
        *ret_why = "has no such prompt that ran";
        replay_free(replay);
        replay = NULL;
    }
    json_decref(posts);
    json_decref(lines);
    return replay;
}

void replay_free(struct replay *replay)
{
    if (!replay) {
        return;
    }
    for (size_t i = 0; i < replay->n_frames; i++) {
        free(replay->frames[i].bytes);
    }
    free(replay->frames);
    free(replay->refusal);
    free(replay->node_errors);
    free(replay->id);
    free(replay);
}

const char *replay_refusal(const struct replay *replay)
{
    return replay->refusal;
}

const char *replay_node_errors(const struct replay *replay)
{
    return replay->node_errors ? replay->node_errors : "{}";
}

/* ---- playing ---------------------------------------------------------------------------- */

void replay_begin(struct executor *x)
{
    x->replay_at = 0;
    x->replay_start_ns = mono_ns();
    x->replay_start_ms = lasting_now_ms(x->sim);
    x->replay_done = false;
}

/* The frame with our prompt id and timestamps. */
static void rewrite(const struct replay *replay, const struct played *frame, const char *id,
                    double now_ms, struct text *out)
{
    size_t id_len = strlen(replay->id);
    const char *at = frame->bytes;
    text_clear(out);
    while (*at) {
        if (!strncmp(at, replay->id, id_len)) {
            text_str(out, id);
            at += id_len;
        } else if (!strncmp(at, "\"timestamp\": ", 13)) {
            char *end;
            double old = strtod(at + 13, &end);
            TEXT_LIT(out, "\"timestamp\": ");
            text_int(out, (int64_t)floor(old - frame->unix_ms + now_ms));
            at = end;
        } else {
            text_add(out, at++, 1);
        }
    }
}

/* What history learns from a frame. */
static void learn(struct executor *x, const struct text *frame)
{
    json_t *value = text_json_load(frame->data, frame->len);
    const char *type = member(value, "type");
    const json_t *data = json_object_get(value, "data");
    bool blocked = !strcmp(member(data, "exception_type"), "ExecutionBlocked");
    enum outcome outcome = OUTCOME_NONE;
    if (!strcmp(type, "execution_success")) {
        outcome = OUTCOME_SUCCESS;
    } else if (!strcmp(type, "execution_error") && !blocked) {
        outcome = OUTCOME_ERROR;
    } else if (!strcmp(type, "execution_interrupted")) {
        outcome = OUTCOME_INTERRUPTED;
    }
    struct text t = {0};
    if (!strncmp(type, "execution_", 10) && !blocked) {
        text_json(&t, data);
        exec_message(x, type, t.data, t.len);
        if (outcome == OUTCOME_ERROR) {
            text_add(&x->job->error, t.data, t.len);
        }
    } else if (!strcmp(type, "executed") && json_is_object(json_object_get(data, "output"))) {
        struct text id = {0};
        struct text meta = {0};
        text_json(&id, json_object_get(data, "node"));
        text_json(&t, json_object_get(data, "output"));
        text_printf(&meta,
                    "{\"node_id\": %s, \"display_node\": \"%s\", \"parent_node\": null, "
                    "\"real_node_id\": \"%s\"}",
                    id.data, member(data, "display_node"), member(data, "display_node"));
        job_add_ui_text(x->job, id.data, meta.data, t.data);
        text_free(&id);
        text_free(&meta);
    }
    text_free(&t);
    if (outcome != OUTCOME_NONE && x->job->outcome == OUTCOME_NONE) {
        x->job->outcome = outcome;
        x->job->end_ns = mono_ns();
        x->job->end_ms = lasting_now_ms(x->sim);
        truth_finish(&x->sim->truth, x->job, x->fault);
    }
    json_decref(value);
}

static void end_replay(struct executor *x)
{
    if (x->job->outcome == OUTCOME_NONE && !x->replay_done) {
        x->phase = PHASE_FOREVER; /* the recording has no end: the server was killed */
        x->waiting = true;
        return;
    }
    if (!x->replay_done) {
        exec_finish_job(x);
    }
    x->job = NULL;
    x->phase = PHASE_IDLE;
}

static void interrupt_replay(struct executor *x)
{
    struct text data = {0};
    text_printf(&data,
                "{\"prompt_id\": %s, \"node_id\": null, \"node_type\": null, \"executed\": "
                "[], \"timestamp\": %lld}",
                x->job->id_json, (long long)lasting_now_ms(x->sim));
    struct text frame = {0};
    text_printf(&frame, "{\"type\": \"execution_interrupted\", \"data\": %s}", data.data);
    learn(x, &frame);
    exec_send(x, frame.data, frame.len, "", 0, false, true);
    text_free(&data);
    text_free(&frame);
    end_replay(x);
    sim_send_status(x->sim);
}

void replay_step(struct executor *x)
{
    const struct replay *replay = x->sim->replay;
    struct text text = {0};
    while (!x->waiting) {
        if (x->interrupt && !x->replay_done && x->job->outcome == OUTCOME_NONE) {
            interrupt_replay(x);
            break;
        }
        if (x->replay_at == replay->n_frames) {
            end_replay(x);
            break;
        }
        const struct played *frame = &replay->frames[x->replay_at];
        /* Once the job is in the history it may be deleted there: what is left goes at once. */
        double offset = replay->speed > 0 && !x->replay_done ? frame->t / replay->speed : 0;
        uint64_t due = x->replay_start_ns + (uint64_t)(offset * 1e9);
        if (offset > 0 && due > mono_ns()) {
            exec_wait(x, due);
            break;
        }
        x->replay_at++;
        if (frame->binary) {
            exec_send(x, frame->bytes, frame->len, "", 0, true, true);
            continue;
        }
        rewrite(replay, frame, x->job->id, lasting_now_ms(x->sim), &text);
        bool after_end = x->job->outcome != OUTCOME_NONE && !x->replay_done;
        if (after_end) { /* task_done comes before the status that follows the end */
            exec_finish_job(x);
            x->replay_done = true;
        }
        if (frame->is_status && x->replay_done) {
            sim_send_status(x->sim);
        } else if (frame->is_status) {
            server_send(&x->sim->server, NULL, text.data, text.len, "", 0, false);
        } else {
            learn(x, &text);
            exec_send(x, text.data, text.len, "", 0, false,
                      strstr(text.data, "\"progress") || strstr(text.data, "_interrupted"));
        }
    }
    text_free(&text);
}
