/* Held requests, until something happens or their wait is over. */
#ifndef COMFYPOOL_SRC_HTTP_LONG_POLL_H
#define COMFYPOOL_SRC_HTTP_LONG_POLL_H

struct exchange;

void hold_end(struct exchange *x);
void watch_begin(struct exchange *x);
void watch_end(struct exchange *x);

#endif
