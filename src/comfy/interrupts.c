/* Our own interrupts; see the header. */
#include "comfypool/comfy/interrupts.h"

#include <stdio.h>
#include <string.h>

enum {
    /* Answer and execution_start come over two sockets, and garbage collection delays either by 100
       or 200 ms. */
    ANSWERED_MS = 2000,
    /* A request that was cut off may wait in a proxy, or before a server whose loop is blocked.
       Seconds were seen. */
    CUT_OFF_MS = 30000,
    /* An interrupt takes effect at the next step or node; a node without steps may take minutes. */
    STRIKES_MS = 600000,
};

void interrupts_sent(struct interrupts *all, const char *prompt_id)
{
    struct interrupt *i = &all->list[all->next];
    all->next = (all->next + 1) % INTERRUPTS_MOST;
    *i = (struct interrupt){.open = true};
    (void)snprintf(i->prompt_id, sizeof i->prompt_id, "%s", prompt_id);
}

void interrupts_over(struct interrupts *all, const char *prompt_id, struct mono_us now,
                     bool answered)
{
    for (unsigned k = 0; k < INTERRUPTS_MOST; k++) {
        struct interrupt *i = &all->list[k];
        if (i->open && strcmp(i->prompt_id, prompt_id) == 0) {
            i->open = false;
            i->until = mono_add(now, dur_ms(answered ? ANSWERED_MS : CUT_OFF_MS));
            return;
        }
    }
}

void interrupts_hit(struct interrupts *all, const char *prompt_id)
{
    for (unsigned k = 0; k < INTERRUPTS_MOST; k++) {
        struct interrupt *i = &all->list[k];
        if (!i->open && strcmp(i->prompt_id, prompt_id) == 0) { /* an open one may come later */
            *i = (struct interrupt){.open = false};
        }
    }
}

bool interrupts_reach(const struct interrupts *all, const char *prompt_id, struct mono_us began,
                      struct mono_us now)
{
    for (unsigned k = 0; k < INTERRUPTS_MOST; k++) {
        const struct interrupt *i = &all->list[k];
        if (i->prompt_id[0] != '\0' && strcmp(i->prompt_id, prompt_id) != 0 &&
            (i->open || (mono_before(began, i->until) &&
                         mono_before(now, mono_add(i->until, dur_ms(STRIKES_MS)))))) {
            return true;
        }
    }
    return false;
}

bool interrupts_are_global(const char *version)
{
    static const int since[] = {0, 3, 57};
    int is[3];
    if (sscanf(version, "%d.%d.%d", &is[0], &is[1], &is[2]) != 3) {
        return true;
    }
    int k = 0;
    while (k < 2 && is[k] == since[k]) {
        k++;
    }
    return is[k] < since[k];
}
