/* Webhooks, and when their deliveries are tried. Pure. */
#ifndef COMFYPOOL_CORE_WEBHOOK_H
#define COMFYPOOL_CORE_WEBHOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/str.h"
#include "comfypool/base/time.h"

/* symbol, public name. The numbers are on disk. */
#define DELIVERY_STATE_TABLE(X)                                                                    \
    X(DELIVERY_PENDING, "pending")     /* not tried yet */                                         \
    X(DELIVERY_FAILING, "failing")     /* failed, to be retried */                                 \
    X(DELIVERY_DEAD, "dead")           /* given up */                                              \
    X(DELIVERY_FORBIDDEN, "forbidden") /* its target is not allowed */

enum delivery_state {
#define X(symbol, name) symbol,
    DELIVERY_STATE_TABLE(X)
#undef X
        DELIVERY_STATE_COUNT
};

const char *delivery_state_name(enum delivery_state s);
/* DELIVERY_STATE_COUNT: none of this name. */
enum delivery_state delivery_state_from_name(struct str name);

/* The webhook of a job or of the configuration. */
struct webhook {
    char *url;       /* NULL: none */
    unsigned events; /* set of 1u << event_type */
    char *secret;    /* "whsec_" and base64, or NULL: not signed */
};
void webhook_done(struct webhook *w);

/*
 * Returns the pause after try number `tries` (from 1) of a delivery made at `since`: the first
 * three tries lie within 20 s, then they become rarer over 24 h. random: any 32 random bits, for 10
 * % of jitter. False: that was the last one.
 */
bool webhook_pause(unsigned tries, struct wall_us since, struct wall_us now, uint32_t random,
                   struct dur_us *ret);

/*
 * Appends the value of webhook-signature (Standard Webhooks): "v1," and the base64 of the
 * HMAC-SHA256, keyed with the bytes of a valid secret, of "id.timestamp.body". timestamp: in
 * seconds.
 */
void webhook_sign(struct str secret, struct str id, int64_t timestamp, struct str body,
                  struct buf *out);

/* True when text is "whsec_" and the base64 of some bytes (Standard Webhooks). */
bool webhook_secret_is_good(struct str text);

#endif
