/*
 * Our own interrupts of one server, and which prompt they may have hit. Pure.
 *
 * Up to 0.3.56 POST /interrupt ignores its prompt_id: it sets a flag that the prompt running at
 * that moment notices at its next progress or node, however late that is; each prompt that begins
 * clears the flag. So an interrupt for one prompt hits another if that had begun when the server
 * took it, which is between the request and its answer. It is used up when its own prompt is
 * interrupted. Source: the protocol notes in docs/ARCHITECTURE.md.
 */
#ifndef COMFYPOOL_COMFY_INTERRUPTS_H
#define COMFYPOOL_COMFY_INTERRUPTS_H

#include <stdbool.h>

#include "comfypool/base/time.h"
#include "comfypool/base/uuid.h"

/* Beyond this the oldest is forgotten. */
enum { INTERRUPTS_MOST = 8 };

struct interrupt {
    char prompt_id[UUID_SIZE]; /* its target; "": none */
    bool open;                 /* not answered yet */
    struct mono_us until;      /* a prompt that began later was certainly not hit */
};

struct interrupts {
    struct interrupt list[INTERRUPTS_MOST];
    unsigned next;
};

void interrupts_sent(struct interrupts *all, const char *prompt_id);
/* Ends a request. answered false: it was cut off; the server may take it later. */
void interrupts_over(struct interrupts *all, const char *prompt_id, struct mono_us now,
                     bool answered);
/* Notes that this prompt was interrupted. */
void interrupts_hit(struct interrupts *all, const char *prompt_id);
/* True if an interrupt of another prompt may have hit this one, which began then and is interrupted
   now. */
bool interrupts_reach(const struct interrupts *all, const char *prompt_id, struct mono_us began,
                      struct mono_us now);

/* True if a server of this version ignores the prompt_id, or may: "" or no version. */
bool interrupts_are_global(const char *version);

#endif
