/* Shared by webhooks.c and webhook_outbox.c. */
#ifndef COMFYPOOL_SRC_NOTIFY_WEBHOOK_HOSTS_H
#define COMFYPOOL_SRC_NOTIFY_WEBHOOK_HOSTS_H

#include "comfypool/base/str.h"
#include "comfypool/notify/webhooks.h"
#include "comfypool/store/store.h"

/* Returns the name in "host:port". */
struct str webhook_host_name(const char *host);
const struct webhooks_options *webhooks_options_of(const struct webhooks *w);
/* Stores deliveries that go with no other write. */
void webhooks_write(struct webhooks *w, const struct outbox *o, store_kept_fn done, void *ctx);
/* Takes deliveries that are durable now. Empties o. */
void webhooks_written(struct webhooks *w, struct outbox *o);

#endif
