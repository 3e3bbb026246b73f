/* See the header. Readers hang on a list, so that the leak checker is content. */
#include "sse.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct sse *readers;

/* ---- bytes ----------------------------------------------------------------------------------- */

static void append(char **to, size_t *len, const char *bytes, size_t n)
{
    *to = realloc(*to, *len + n + 1);
    memcpy(*to + *len, bytes, n);
    *len += n;
    (*to)[*len] = '\0';
}

static void end_stream(struct sse *s, bool is_cut)
{
    if (!s->ended) {
        s->ended = true;
        s->is_cut = is_cut;
        sse_close(s);
    }
}

static void read_head(struct sse *s)
{
    const char *end = s->raw == NULL ? NULL : strstr(s->raw, "\r\n\r\n");
    if (end == NULL) {
        return;
    }
    s->head = strndup(s->raw, (size_t)(end + 2 - s->raw));
    s->raw_at = (size_t)(end + 4 - s->raw);
    s->status = atol(s->head + strcspn(s->head, " "));
    CHECK(s->status != 200 || strstr(s->head, "Transfer-Encoding: chunked") != NULL, "%s", s->head);
}

/* One chunk; false: it is not all there. */
static bool read_chunk(struct sse *s)
{
    const char *from = s->raw + s->raw_at;
    char *end = NULL;
    const char *line_end = strstr(from, "\r\n");
    if (line_end == NULL) {
        return false;
    }
    const unsigned long n = strtoul(from, &end, 16);
    CHECK(end == line_end, "a chunk begins with its length: %.20s", from);
    const size_t head = (size_t)(line_end + 2 - from);
    if (s->raw_len - s->raw_at < head + n + 2) {
        return false;
    }
    append(&s->body, &s->body_len, from + head, n);
    s->raw_at += head + n + 2;
    if (n == 0) {
        end_stream(s, false);
    }
    return n > 0;
}

/* ---- events ---------------------------------------------------------------------------------- */

static bool is_told_once(const char *type)
{
    static const char *const types[] = {"job:node", "job:progress", "job:preview", "reset"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(type, types[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* START-N. */
static bool is_well_formed(const char *id)
{
    const size_t start = strspn(id, "0123456789");
    const size_t n = id[start] == '-' ? strspn(id + start + 1, "0123456789") : 0;
    return start > 0 && n > 0 && id[start + 1 + n] == '\0';
}

static void check_event(const struct sse *s, const struct told *t)
{
    CHECK((*t->id == '\0') == is_told_once(t->type), "%s has the id \"%s\"", t->type, t->id);
    if (*t->id != '\0') {
        const char *last = sse_last_id(s);
        CHECK(is_well_formed(t->id), "%s", t->id);
        /* A snapshot's is that of the newest event in it. */
        CHECK(sse_number(t->id) >= sse_number(last) + (sse_is(t, "snapshot") ? 0 : 1),
              "%s after %s", t->id, last);
    }
    if (strncmp(t->type, "job:", 4) == 0) {
        CHECK(*str_at(t->data, "jobId") != '\0', "%s is of a job", t->type);
    }
    if (is_told_once(t->type) && !sse_is(t, "reset")) {
        CHECK(*str_at(t->data, "nodeId") != '\0', "%s is of a node", t->type);
    }
    CHECK(!sse_is(t, "job:node") || *str_at(t->data, "status") != '\0');
}

static void add_event(struct sse *s, const struct told *t)
{
    check_event(s, t);
    s->list = realloc(s->list, (s->len + 1) * sizeof *s->list);
    s->list[s->len++] = *t;
}

static void read_field(struct sse *s, struct told *t, const char *line)
{
    if (strncmp(line, "event: ", 7) == 0) {
        t->type = text("%s", line + 7);
    } else if (strncmp(line, "id: ", 4) == 0) {
        t->id = text("%s", line + 4);
    } else if (strncmp(line, "data: ", 6) == 0) {
        json_error_t e;
        CHECK(t->data == NULL, "data in one line");
        t->data = json_loads(line + 6, JSON_REJECT_DUPLICATES, &e);
        CHECK(t->data != NULL, "%s: %s", e.text, line);
    } else if (strncmp(line, "retry: ", 7) == 0) {
        s->retry = atol(line + 7);
    } else {
        CHECK(*line == ':', "a line of an event: %s", line);
    }
}

/* One block up to an empty line; false: it is not all there. */
static bool read_block(struct sse *s)
{
    const char *from = s->body == NULL ? NULL : s->body + s->body_at;
    const char *end = from == NULL ? NULL : strstr(s->body + s->body_seen, "\n\n");
    if (end == NULL) {
        s->body_seen = s->body_len > s->body_at + 1 ? s->body_len - 1 : s->body_at;
        return false;
    }
    struct told t = {.id = text("%s", ""), .came = now_s()};
    char *copy = strndup(from, (size_t)(end - from));
    char *rest = copy;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        read_field(s, &t, line);
    }
    free(copy);
    s->body_at += (size_t)(end + 2 - from);
    s->body_seen = s->body_at;
    CHECK(t.type != NULL && t.data != NULL, "a block without an event is an empty message to some");
    CHECK(s->retry > 0, "the first one says when to come back");
    add_event(s, &t);
    return true;
}

static void parse(struct sse *s)
{
    if (s->head == NULL) {
        read_head(s);
    }
    while (s->head != NULL && s->status == 200 && !s->ended && read_chunk(s)) {
    }
    while (read_block(s)) {
    }
}

/* Reads once what is there; waits that long for it. */
static void read_some(struct sse *s, int ms)
{
    char piece[65536];
    struct pollfd p = {s->fd, POLLIN, 0};
    if (s->ended || poll(&p, 1, ms) <= 0) {
        return;
    }
    const ssize_t n = read(s->fd, piece, sizeof piece);
    if (n > 0) {
        append(&s->raw, &s->raw_len, piece, (size_t)n);
        parse(s);
    } else {
        end_stream(s, true);
    }
}

/* ---- the reader ------------------------------------------------------------------------------ */

static struct sse *open_path(struct daemon *d, const char *token, const char *last_id,
                             const char *path)
{
    struct sse *s = calloc(1, sizeof *s);
    s->before = readers;
    readers = s;
    s->fd = raw_open(d->port);
    const char *request =
        text("GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n%s%s\r\n", path,
             last_id == NULL ? "" : text("Last-Event-ID: %s\r\n", last_id),
             token == NULL ? "" : text("Authorization: Bearer %s\r\n", token));
    raw_send(s->fd, request, strlen(request));
    return s;
}

struct sse *sse_open(struct daemon *d, const char *last_id, const char *format, ...)
{
    char path[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(path, sizeof path, format, args);
    va_end(args);
    return open_path(d, NULL, last_id, path);
}

struct sse *sse_open_by(struct daemon *d, const char *token, const char *last_id, const char *path)
{
    return open_path(d, token, last_id, path);
}

const struct told *sse_next(struct sse *s)
{
    const double until = now_s() + PATIENCE_S;
    while (s->at == s->len && !s->ended) {
        CHECK(now_s() < until, "a stream says nothing; after %zu events, the last is %s", s->len,
              s->len == 0 ? "none" : s->list[s->len - 1].type);
        read_some(s, 1000);
    }
    return s->at == s->len ? NULL : &s->list[s->at++];
}

const struct told *sse_await_of(struct sse *s, const char *type, const char *job_id)
{
    const double until = now_s() + PATIENCE_S;
    for (;;) {
        const struct told *t = sse_next(s);
        CHECK(t != NULL, "the stream is over before %s", type);
        CHECK(now_s() < until, "%s does not come", type);
        if (sse_is(t, type) && (job_id == NULL || strcmp(str_at(t->data, "jobId"), job_id) == 0)) {
            return t;
        }
    }
}

const struct told *sse_await(struct sse *s, const char *type)
{
    return sse_await_of(s, type, NULL);
}

void sse_drain(struct sse *s)
{
    while (sse_next(s) != NULL) {
    }
    CHECK(!s->is_cut, "the stream was cut");
    CHECK(s->body == NULL || s->body_at == s->body_len || s->body[s->body_at] == ':',
          "half an event: %s", s->body + s->body_at);
}

void sse_look(struct sse *s)
{
    size_t before = 0;
    do {
        before = s->raw_len;
        read_some(s, 0);
    } while (s->raw_len > before);
}

void sse_close(struct sse *s)
{
    if (s->fd >= 0) {
        (void)close(s->fd);
    }
    s->fd = -1;
    s->ended = true;
}

int sse_count(const struct sse *s, const char *type)
{
    int n = 0;
    for (size_t i = 0; i < s->len; i++) {
        n += sse_is(&s->list[i], type);
    }
    return n;
}

const char *sse_last_id(const struct sse *s)
{
    for (size_t i = s->len; i > 0; i--) {
        if (*s->list[i - 1].id != '\0') {
            return s->list[i - 1].id;
        }
    }
    return "0-0";
}

long sse_number(const char *id)
{
    const char *dash = strchr(id, '-');
    return dash == NULL ? 0 : atol(dash + 1);
}

bool sse_is(const struct told *t, const char *type)
{
    return t != NULL && strcmp(t->type, type) == 0;
}
