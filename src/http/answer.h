/* Answers for libmicrohttpd. */
#ifndef COMFYPOOL_SRC_HTTP_ANSWER_H
#define COMFYPOOL_SRC_HTTP_ANSWER_H

#include <microhttpd.h>

#include "comfypool/http/answer.h"
#include "comfypool/http/problem.h"

struct exchange;

struct MHD_Response *answer_headers(struct exchange *x, struct MHD_Response *r,
                                    const struct http_answer *a);
void answer_problem(struct exchange *x, const struct problem *p);

void answer_options(struct exchange *x);

#endif
