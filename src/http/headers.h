/* The request headers that count. */
#ifndef COMFYPOOL_SRC_HTTP_HEADERS_H
#define COMFYPOOL_SRC_HTTP_HEADERS_H

#include <stdbool.h>
#include <stdint.h>

#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/core/format.h"
#include "comfypool/http/http.h"
#include "comfypool/http/problem.h"

enum header {
    HEADER_CONTENT_LENGTH,
    HEADER_TRANSFER_ENCODING,
    HEADER_HOST,
    HEADER_CONTENT_TYPE,
    HEADER_CONTENT_ENCODING,
    HEADER_EXPECT,
    HEADER_ACCEPT,
    HEADER_PREFER,
    HEADER_IF_NONE_MATCH,
    HEADER_ORIGIN,
    HEADER_SEC_FETCH_SITE,
    HEADER_AUTHORIZATION,
    HEADER_IDEMPOTENCY_KEY,
    HEADER_LAST_EVENT_ID,
    HEADER_TRACEPARENT,
    HEADER_RANGE,
    HEADER_IF_RANGE,
    HEADER_COUNT
};

enum { HEADER_VALUES = 4 };

/* The values are borrowed from the request. */
struct headers {
    struct header_values {
        unsigned count; /* all; of those beyond HEADER_VALUES no value is kept */
        struct str value[HEADER_VALUES];
    } of[HEADER_COUNT];
    bool padded_name;     /* blanks stand behind the name of one */
    bool padded_encoding; /* blanks stand behind the value of Transfer-Encoding */
};

void headers_add(struct headers *h, struct str name, struct str value);
/* The framing must leave no doubt where the body ends: else the connection is closed. */
bool headers_check_framing(const struct headers *h, bool http_1_1, struct problem *p) MUST_CHECK;
/* The declared length of the body; 0 when there is none, UINT64_MAX when it is chunked. */
uint64_t headers_body_length(const struct headers *h);
bool headers_expect_continue(const struct headers *h);
/* The first value; n == 0 when there is none. */
struct str headers_first(const struct headers *h, enum header which);
/* A body may be JSON, unnamed, or what curl -d calls it. */
/* How the body is coded: not at all, as gzip (or x-gzip), or in a way that nobody reads here. */
enum coding { CODING_NONE, CODING_GZIP, CODING_OTHER };
enum coding headers_coding(const struct headers *h);
bool headers_check_body_type(const struct headers *h, struct problem *p) MUST_CHECK;
/* What curl says of -d and --data-binary: it says nothing about the body. */
bool headers_say_form(const struct headers *h);
/* The value as it came; "" when it is not there, doubled, long, or no plain text. */
void headers_pass(const struct headers *h, enum header which, char ret[HTTP_PASSED_SIZE]);
/* Prefer: wait=N. False when there is none that is well formed. */
bool headers_prefer_wait(const struct headers *h, int64_t *ret_seconds);
/* The format that Accept wants most, of those in the mask (1u << format) that it may choose; the
   first one among equals. */
bool headers_choose_format(const struct headers *h, unsigned formats, enum format *ret,
                           struct problem *p) MUST_CHECK;
/* Last-Event-ID; "" when it cannot be one of ours. False: there is none. */
bool headers_last_event_id(const struct headers *h, char ret[HTTP_EVENT_ID_SIZE]);
/* traceparent (W3C Trace Context); "" when there is none, or a malformed one. */
void headers_trace(const struct headers *h, char ret[JOB_TRACE_SIZE]);
/* True when If-None-Match names this ETag (with its quotes). */
bool headers_match_etag(const struct headers *h, struct str etag);
/* Idempotency-Key, its quotes taken off; "" when there is none. */
bool headers_idempotency_key(const struct headers *h, char ret[HTTP_KEY_SIZE],
                             struct problem *p) MUST_CHECK;

#endif
