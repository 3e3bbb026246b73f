/* WebSocket framing; see the header. Payload is copied in runs, never byte by byte. */
#include "comfypool/loop/ws_frames.h"

enum { MAX_CONTROL = 125, KEPT_BUFFER = 1 << 20 };

static const char stopped[] = "stopped";

void ws_frames_init(struct ws_frames *f, size_t max_message, const struct ws_frames_events *events,
                    void *ctx)
{
    *f = (struct ws_frames){.events = events, .ctx = ctx};
    buf_init(&f->message, max_message);
    buf_init(&f->control, MAX_CONTROL);
}

void ws_frames_done(struct ws_frames *f)
{
    buf_done(&f->message);
    buf_done(&f->control);
}

static enum ws_opcode opcode_of(const struct ws_frames *f)
{
    return (enum ws_opcode)(f->head[0] & 0x0f);
}

static bool is_final(const struct ws_frames *f)
{
    return (f->head[0] & 0x80) != 0;
}

static bool is_control(const struct ws_frames *f)
{
    return (f->head[0] & 0x08) != 0;
}

/* Returns the size of the head, as far as its second byte tells. */
static size_t head_size(const struct ws_frames *f)
{
    const unsigned length = f->head_len < 2 ? 0 : f->head[1] & 0x7fu;
    return length == 127 ? 10 : length == 126 ? 4 : 2;
}

static uint64_t payload_length(const struct ws_frames *f)
{
    const size_t size = head_size(f);
    if (size == 2) {
        return f->head[1] & 0x7fu;
    }
    uint64_t n = 0;
    for (size_t i = 2; i < size; i++) {
        n = n << 8 | f->head[i];
    }
    return n;
}

/* Checks a complete head against what came before. */
static const char *begin_payload(struct ws_frames *f)
{
    const enum ws_opcode opcode = opcode_of(f);
    f->left = payload_length(f);
    if ((f->head[0] & 0x70) != 0 || (f->head[1] & 0x80) != 0) {
        return "a WebSocket frame with reserved bits or a mask";
    }
    switch (opcode) {
    case WS_TEXT:
    case WS_BINARY:
        if (f->in_message) {
            return "a WebSocket message inside another one";
        }
        f->in_message = true;
        f->binary = opcode == WS_BINARY;
        if (f->message.cap > KEPT_BUFFER) {
            buf_done(&f->message);
        }
        buf_clear(&f->message);
        break;
    case WS_CONTINUATION:
        if (!f->in_message) {
            return "a WebSocket continuation of nothing";
        }
        break;
    case WS_CLOSE:
    case WS_PING:
    case WS_PONG:
        if (!is_final(f) || f->left > MAX_CONTROL) {
            return "a WebSocket control frame that is too long or in pieces";
        }
        buf_clear(&f->control);
        break;
    default:
        return "a WebSocket frame of an unknown kind";
    }
    if (!is_control(f) && f->left > f->message.max - f->message.len) {
        return "a message was too large";
    }
    f->in_payload = true;
    return NULL;
}

static const char *end_payload(struct ws_frames *f)
{
    f->in_payload = false;
    f->head_len = 0;
    bool go_on = true;
    if (is_control(f)) {
        go_on = f->events->control(f->ctx, opcode_of(f), buf_str(&f->control));
    } else if (is_final(f)) {
        f->in_message = false;
        go_on = f->events->message(f->ctx, f->binary, &f->message);
    }
    return go_on ? NULL : stopped;
}

const char *ws_frames_feed(struct ws_frames *f, const char *bytes, size_t n)
{
    const char *why = NULL;
    while (why == NULL && (n > 0 || (f->in_payload && f->left == 0))) {
        if (!f->in_payload) {
            f->head[f->head_len++] = (unsigned char)*bytes++;
            n--;
            if (f->head_len >= 2 && f->head_len == head_size(f)) {
                why = begin_payload(f);
            }
            continue;
        }
        const size_t take = f->left < n ? (size_t)f->left : n;
        buf_add(is_control(f) ? &f->control : &f->message, bytes, take);
        bytes += take;
        n -= take;
        f->left -= take;
        if (f->left == 0) {
            f->behind = n;
            why = end_payload(f);
        }
    }
    return why;
}

void ws_frames_write(struct buf *out, enum ws_opcode opcode, struct str payload, uint32_t mask)
{
    buf_add_char(out, (char)(0x80 | (int)opcode));
    if (payload.n <= 125) {
        buf_add_char(out, (char)(0x80 | (int)payload.n));
    } else {
        buf_add_char(out, (char)(0x80 | 126));
        buf_add_char(out, (char)(payload.n >> 8));
        buf_add_char(out, (char)(payload.n & 0xff));
    }
    char key[4];
    memcpy(key, &mask, sizeof key);
    buf_add(out, key, sizeof key);
    for (size_t i = 0; i < payload.n; i++) {
        buf_add_char(out, (char)(payload.p[i] ^ key[i % 4]));
    }
}
