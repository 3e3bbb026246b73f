/*
 * How late what is read from a connection may be. While we stand still the kernel's buffer fills;
 * the rest waits at the server and comes when we read again, late too, although no poll waited for
 * it. So what is read after a standstill is late until the connection falls silent, but no longer
 * than the standstill was, since a server that never falls silent is in time again by then. Pure.
 */
#ifndef COMFYPOOL_CORE_BACKLOG_H
#define COMFYPOOL_CORE_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/time.h"

struct backlog {
    struct mono_us since; /* what is read may have waited since then; 0: not late */
    struct mono_us until; /* latest end of that */
    struct mono_us last;  /* time of the last read */
    size_t bytes;         /* read since the standstill */
};

/*
 * Notes a message of so many bytes. waited_since: since when it may have waited, as the loop knows;
 * 0: not. Returns that time with earlier reads considered. O(1).
 */
struct mono_us backlog_read(struct backlog *b, struct mono_us now, size_t bytes,
                            struct mono_us waited_since);
/* True if the kernel's buffer may have been full: arrival times then say nothing of when bytes were
   sent. */
bool backlog_was_full(const struct backlog *b);

#endif
