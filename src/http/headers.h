/* The request headers we use. */
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

/* Values are borrowed from the request. */
struct headers {
    struct header_values {
        unsigned count; /* of all; values beyond HEADER_VALUES are dropped */
        struct str value[HEADER_VALUES];
    } of[HEADER_COUNT];
    bool padded_name;     /* blanks after some header name */
    bool padded_encoding; /* blanks after the value of Transfer-Encoding */
};

void headers_add(struct headers *h, struct str name, struct str value);
/* Checks that the framing leaves no doubt where the body ends: else the connection is closed. */
bool headers_check_framing(const struct headers *h, bool http_1_1, struct problem *p) MUST_CHECK;
/* Returns the declared length of the body; 0: none, UINT64_MAX: chunked. */
uint64_t headers_body_length(const struct headers *h);
bool headers_expect_continue(const struct headers *h);
/* Returns the first value; n == 0: none. */
struct str headers_first(const struct headers *h, enum header which);
/* Checks the content type: JSON, none, or that of curl -d. */
/* Coding of a body: none, gzip (or x-gzip), or unsupported. */
enum coding { CODING_NONE, CODING_GZIP, CODING_OTHER };
enum coding headers_coding(const struct headers *h);
bool headers_check_body_type(const struct headers *h, struct problem *p) MUST_CHECK;
/* True for the type of curl -d and --data-binary, which says nothing about the body. */
bool headers_say_form(const struct headers *h);
/* Copies the raw value; "" when missing, doubled, too long, or no plain text. */
void headers_pass(const struct headers *h, enum header which, char ret[HTTP_PASSED_SIZE]);
/* Reads Prefer: wait=N. False: none that is well formed. */
bool headers_prefer_wait(const struct headers *h, int64_t *ret_seconds);
/* Chooses the format that Accept prefers, of those in the mask (1u << format) that it may choose;
   the first one among equals. */
bool headers_choose_format(const struct headers *h, unsigned formats, enum format *ret,
                           struct problem *p) MUST_CHECK;
/* Reads Last-Event-ID; "" when it is not one of ours. False: none. */
bool headers_last_event_id(const struct headers *h, char ret[HTTP_EVENT_ID_SIZE]);
/* Reads traceparent (W3C Trace Context); "" when missing or malformed. */
void headers_trace(const struct headers *h, char ret[JOB_TRACE_SIZE]);
/* True if If-None-Match names this ETag (with its quotes). */
bool headers_match_etag(const struct headers *h, struct str etag);
/* Reads Idempotency-Key without its quotes; "": none. */
bool headers_idempotency_key(const struct headers *h, char ret[HTTP_KEY_SIZE],
                             struct problem *p) MUST_CHECK;

#endif
