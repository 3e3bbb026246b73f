/* Lowercase UUIDs (RFC 9562): version 7 for jobs, version 4 for prompts and clients. */
#ifndef COMFYPOOL_BASE_UUID_H
#define COMFYPOOL_BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/str.h"
#include "comfypool/base/time.h"

enum { UUID_TEXT = 36, UUID_SIZE = UUID_TEXT + 1 };

/* Random. */
void uuid_v4(char ret[UUID_SIZE]);
/* Time-ordered, then random. */
void uuid_v7(struct wall_us now, char ret[UUID_SIZE]);
/* 64 random bits, from the same source. */
uint64_t uuid_random(void);
/* True for the canonical lowercase form of any version. */
bool uuid_is_canonical(struct str s);

#endif
