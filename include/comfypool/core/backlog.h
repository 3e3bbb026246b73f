/*
 * What a connection holds back for us. A standstill fills the kernel's buffer; what does not fit
 * waits at the server, and comes when we read again: it came late too, though no poll waited for
 * it. So what is read after a standstill is late until the connection falls silent; no longer than
 * the standstill was, since a server that never falls silent sends in time again by then. Pure.
 */
#ifndef COMFYPOOL_CORE_BACKLOG_H
#define COMFYPOOL_CORE_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/time.h"

struct backlog {
    struct mono_us since; /* what is read may have waited since; 0: it came now */
    struct mono_us until; /* that ends it in any case */
    struct mono_us last;  /* when something was read last */
    size_t bytes;         /* read since the standstill */
};

/*
 * A message of so many bytes is read. waited_since: since when it may have waited for us, by what
 * the loop knows; 0: it came now. Returns the same by what was read before, too. O(1).
 */
struct mono_us backlog_read(struct backlog *b, struct mono_us now, size_t bytes,
                            struct mono_us waited_since);
/* So much came that the kernel's buffer may have been full: when a byte came here says nothing of
   when it was sent. */
bool backlog_was_full(const struct backlog *b);

#endif
