/* Binary messages: preview images. */
#ifndef COMFYPOOL_SRC_COMFY_PREVIEW_READ_H
#define COMFYPOOL_SRC_COMFY_PREVIEW_READ_H

#include <stdbool.h>

#include "comfypool/base/buf.h"
#include "comfypool/core/frame.h"

/* Reads a binary message; *ret points into it or into scratch. False: no preview image, or a broken
   one. */
bool preview_read(struct str message, struct frame_preview *ret, struct buf *scratch);

#endif
