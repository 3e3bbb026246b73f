/*
 * Streamed images of an attempt (files/streamed_images.h): images of nodes of class
 * SaveImageWebsocket, or of a class in outputs.streamClasses, are outputs; those of other nodes are
 * previews. A list "streamed" from the server itself is removed: it has no such files.
 */
#ifndef COMFYPOOL_SRC_POOL_STREAMED_H
#define COMFYPOOL_SRC_POOL_STREAMED_H

#include <stdbool.h>

#include "comfypool/core/frame.h"
#include "comfypool/files/streamed_images.h"

struct attempt;

void attempt_init_streamed(struct attempt *a);
/* True if the image is of a node whose images are outputs. */
bool attempt_streams(const struct attempt *a, const struct frame_preview *f);
/* Keeps the image. ops->wrote_images is called when all are written and the attempt has ended. */
void attempt_take_streamed(struct attempt *a, const struct frame_preview *f);
/* Turns the images into outputs of their nodes, before the attempt is concluded. */
void attempt_end_streamed(struct attempt *a);

#endif
