/* What the frames of an attempt's prompt mean. */
#ifndef COMFYPOOL_SRC_POOL_ATTEMPT_FRAME_H
#define COMFYPOOL_SRC_POOL_ATTEMPT_FRAME_H

struct attempt;
struct comfy_event;

/* Handles a frame of the attempt's prompt. Cost: the changed part of the frame. */
void attempt_frame(struct attempt *a, const struct comfy_event *e);

#endif
