/* What a connection holds back; see the header. */
#include "comfypool/core/backlog.h"

enum {
    /* Half of the smallest window that a kernel begins with (64 KiB). */
    FULL_BYTES = 32 * 1024,
    /* A burst from our kernel is read at once, but for processing. */
    BURST_US = 1000,
    /* Bytes held at the server come at the network's pace. */
    DRAIN_US = 20000,
};

bool backlog_was_full(const struct backlog *b)
{
    return b->since.us != 0 && b->bytes >= FULL_BYTES;
}

struct mono_us backlog_read(struct backlog *b, struct mono_us now, size_t bytes,
                            struct mono_us waited_since)
{
    const int64_t most_us = backlog_was_full(b) ? DRAIN_US : BURST_US;
    const bool silent = mono_diff(now, b->last).us > most_us;
    if (b->since.us != 0 && (silent || mono_before(b->until, now))) {
        *b = (struct backlog){.bytes = 0};
    }
    if (b->since.us == 0 && waited_since.us != 0) {
        b->since = waited_since;
        b->until = mono_add(now, mono_diff(now, waited_since));
    }
    b->bytes += b->since.us != 0 ? bytes : 0;
    b->last = now;
    return b->since;
}
