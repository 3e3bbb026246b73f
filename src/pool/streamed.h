/*
 * Images of an attempt that only pass by (files/streamed_images.h): those of nodes of class
 * SaveImageWebsocket, or of one in outputs.streamClasses, are outputs. What other nodes send are
 * previews. A list "streamed" that the server gives itself goes: it has no such files.
 */
#ifndef COMFYPOOL_SRC_POOL_STREAMED_H
#define COMFYPOOL_SRC_POOL_STREAMED_H

#include <stdbool.h>

#include "comfypool/core/frame.h"
#include "comfypool/files/streamed_images.h"

struct attempt;

void attempt_init_streamed(struct attempt *a);
/* Whether the image is one of a node whose images are outputs. */
bool attempt_streams(const struct attempt *a, const struct frame_preview *f);
/* Keeps it. When they are all written, and the attempt has ended, ops->wrote_images is called. */
void attempt_take_streamed(struct attempt *a, const struct frame_preview *f);
/* The attempt is about to be concluded: they become outputs of their nodes. */
void attempt_end_streamed(struct attempt *a);

#endif
