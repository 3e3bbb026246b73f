/*
 * Playing a recorded run (traces/<version>/NN-*.jsonl): the frames of one prompt of the recording,
 * with the status frames and binary ones around them, at the recorded pace, with the prompt id and
 * the timestamps made ours. The history entry is made from the frames as they go out.
 */
#ifndef COMFYSIM_REPLAY_H
#define COMFYSIM_REPLAY_H

#include "text.h"

struct executor;
struct replay;

/* `prompt` < 0: the first that ran, or the 400 of the first POST. NULL with *ret_why when it cannot
 * be played. speed 0: as fast as possible. */
struct replay *replay_load(const char *path, int prompt, double speed, const char **ret_why);
void replay_free(struct replay *replay);
/* The recorded 400 body, NULL: prompts are accepted. */
const char *replay_refusal(const struct replay *replay);
const char *replay_node_errors(const struct replay *replay);

/* executor.c calls these in PHASE_REPLAY. */
void replay_begin(struct executor *x);
void replay_step(struct executor *x);

#endif
