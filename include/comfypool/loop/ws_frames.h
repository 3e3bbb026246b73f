/*
 * WebSocket framing (RFC 6455) for clients, pure: bytes in, messages out. Why it is ours:
 * docs/decisions/0006-websocket-framing.md.
 */
#ifndef COMFYPOOL_LOOP_WS_FRAMES_H
#define COMFYPOOL_LOOP_WS_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/str.h"

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10,
};

struct ws_frames_events {
    /* A whole text or binary message; the buffer may be swapped. False: stop. */
    bool (*message)(void *ctx, bool binary, struct buf *message);
    /* A close, ping or pong and its payload (at most 125 bytes). False: stop. */
    bool (*control)(void *ctx, enum ws_opcode opcode, struct str payload);
};

struct ws_frames {
    unsigned char head[10];
    size_t head_len;
    uint64_t left; /* payload bytes left in the current frame */
    size_t behind; /* fed bytes after the message now delivered */
    bool in_payload;
    bool in_message; /* a fragmented message is open */
    bool binary;
    struct buf message;
    struct buf control;
    const struct ws_frames_events *events;
    void *ctx;
};

/* max_message: bytes of a message; a larger one is an error. */
void ws_frames_init(struct ws_frames *f, size_t max_message, const struct ws_frames_events *events,
                    void *ctx);
void ws_frames_done(struct ws_frames *f);

/*
 * Takes bytes in pieces of any size. Returns NULL, or the error (static, for people); after that,
 * and after a callback returned false, nothing more may be fed. Cost: a copy of the payload.
 */
const char *ws_frames_feed(struct ws_frames *f, const char *bytes, size_t n);

/* Appends one masked frame. mask: 32 random bits. Payload at most 65535 bytes. */
void ws_frames_write(struct buf *out, enum ws_opcode opcode, struct str payload, uint32_t mask);

#endif
