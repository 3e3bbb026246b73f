/* What webhooks.c and webhook_outbox.c share. */
#ifndef COMFYPOOL_SRC_NOTIFY_WEBHOOK_HOSTS_H
#define COMFYPOOL_SRC_NOTIFY_WEBHOOK_HOSTS_H

#include "comfypool/base/str.h"
#include "comfypool/notify/webhooks.h"
#include "comfypool/store/store.h"

/* The name in "host:port". */
struct str webhook_host_name(const char *host);
const struct webhooks_options *webhooks_options_of(const struct webhooks *w);
/* Writes new deliveries that no other write carries. */
void webhooks_write(struct webhooks *w, const struct outbox *o, store_kept_fn done, void *ctx);
/* ... which are durable now. Empties o. */
void webhooks_written(struct webhooks *w, struct outbox *o);

#endif
