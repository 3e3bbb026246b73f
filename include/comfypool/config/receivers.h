/*
 * Settings for notifying others of jobs, beside the values of the configuration: the secret and the
 * headers from its files, the addresses that webhooks may call, the URL for traces.
 */
#ifndef COMFYPOOL_CONFIG_RECEIVERS_H
#define COMFYPOOL_CONFIG_RECEIVERS_H

#include "comfypool/base/net_rules.h"
#include "comfypool/config/config.h"

struct receivers {
    char *secret;            /* of webhooks.secretFile, or NULL */
    struct net_rules *rules; /* of webhooks.allow */
    char *otlp_url;          /* with its path, or NULL */
    char **otlp_headers;     /* NULL at the end; or NULL */
};

/* Reads the files, and checks webhooks, the hook's program and the collector. False with lines in
   errors. Owner of *ret, also on false: the caller, by receivers_done. */
bool receivers_read(const struct config *c, struct receivers *ret, struct buf *errors) MUST_CHECK;
void receivers_done(struct receivers *r);

#endif
