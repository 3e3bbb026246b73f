/*
 * Decodes the text of a WebSocket message to a frame. Lenient: odd values in ComfyUI's JSON do not
 * break their frame; unreadable messages are FRAME_OTHER.
 *
 * progress_state is 99 % of the bytes, and 97 % of each repeats the one before: it is decoded
 * against the prompt's last one (compare, step back to the start of the node entry that differs,
 * decode from there). Anything unexpected is decoded whole; both ways give the same about every
 * node. Cost on recorded frames: comparing runs at memory speed, decoding at some 400 MB/s.
 */
#ifndef COMFYPOOL_COMFY_DECODER_H
#define COMFYPOOL_COMFY_DECODER_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/core/frame.h"

struct decoder;

/* Makes a decoder for one connection. Owner: the caller. */
struct decoder *decoder_new(void);
void decoder_free(struct decoder *d);

/* Always decodes whole, to test the fast path. */
void decoder_set_whole(struct decoder *d, bool whole);

/*
 * Decodes one text message. The message's buffer may be swapped (its content is then undefined):
 * the frame points into what the decoder keeps. The frame lives until the next call.
 */
const struct frame *decoder_text(struct decoder *d, struct buf *message);

/* Messages that took the fast path, and the bytes they skipped. */
struct decoder_stats {
    uint64_t messages;
    uint64_t fast;
    uint64_t bytes;
    uint64_t bytes_skipped;
};
struct decoder_stats decoder_stats(const struct decoder *d);

#endif
