/*
 * A server's bytes through the WebSocket framing, whole and in pieces: both must hear the same and
 * stop at the same point. The first byte of the input is the size of the pieces.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "comfypool/loop/ws_frames.h"

static bool on_message(void *ctx, bool binary, struct buf *message)
{
    struct buf *log = ctx;
    buf_add_char(log, binary ? 'B' : 'T');
    buf_add_str(log, buf_str(message));
    return true;
}

static bool on_control(void *ctx, enum ws_opcode opcode, struct str payload)
{
    struct buf *log = ctx;
    buf_add_char(log, (char)('0' + opcode));
    buf_add_str(log, payload);
    return opcode != WS_CLOSE;
}

static const struct ws_frames_events events = {on_message, on_control};

static bool play(const char *bytes, size_t n, size_t piece, struct buf *log)
{
    struct ws_frames f;
    ws_frames_init(&f, 4096, &events, log);
    const char *why = NULL;
    for (size_t at = 0; at < n && why == NULL; at += piece) {
        why = ws_frames_feed(&f, bytes + at, n - at < piece ? n - at : piece);
    }
    ws_frames_done(&f);
    return why == NULL;
}

int fuzz_ws_frames(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct buf whole;
    struct buf pieces;
    buf_init(&whole, BUF_NO_LIMIT);
    buf_init(&pieces, BUF_NO_LIMIT);
    const char *bytes = (const char *)data + 1;
    const bool a = play(bytes, size - 1, size, &whole);
    const bool b = play(bytes, size - 1, (size_t)data[0] % 32 + 1, &pieces);
    if (a != b || !str_eq(buf_str(&whole), buf_str(&pieces))) {
        abort();
    }
    buf_done(&whole);
    buf_done(&pieces);
    return 0;
}
