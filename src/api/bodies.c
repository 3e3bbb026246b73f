/*
 * Kinds of bodies, and the readers of those smaller than a submission. A route without a body
 * accepts an empty one or {}. Pure.
 */
#include "bodies.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comfypool/base/digest.h"
#include "comfypool/base/text.h"
#include "comfypool/pool/backends.h"

#include "args.h"
#include "body_members.h"
#include "submission.h"

enum { MAX_LABELS = 64, MAX_LABEL = 100, MAX_WEIGHT = 1000, MAX_IN_FLIGHT = 100 };

/* ---- members of a backend -------------------------------------------------------------------- */

static bool read_url(const struct member *m, struct value *v, void *ret)
{
    return member_text(m, v, ret, MEMBER_URL_MOST);
}

static bool read_name(const struct member *m, struct value *v, void *ret)
{
    const struct backend_change *c = ret;
    return member_text(m, v, ret, TEXT_NAME_MOST) && text_is_name(str_of(c->name));
}

static bool check_label(void *ctx, struct str text)
{
    size_t *len = ctx;
    *len += 1;
    return *len <= MAX_LABELS && text.n > 0 && text.n <= MAX_LABEL && text.p[0] != '=' &&
           text_is_plain(text);
}

static bool read_labels(const struct member *m, struct value *v, void *ret)
{
    (void)m;
    struct backend_change *c = ret;
    size_t len = 0;
    if (!member_each_string(v, check_label, &len)) {
        return false;
    }
    c->labels = mem_copy(v->text);
    return true;
}

/* Indexes of members; PATCH accepts those from CHANGE_FIRST on. */
enum { ADD_URL = 0, ADD_NAME = 1, CHANGE_FIRST = 2 };

static const struct member backend_members[] = {
    [ADD_URL] = {"url", read_url, "the URL of a ComfyUI server, http://HOST:PORT",
                 .offset = offsetof(struct backend_change, url)},
    [ADD_NAME] =
        {"name", read_name,
         "1 to 100 printable ASCII characters but blanks, quotes and backslashes, and not . "
         "or .. as a part of a path",
         .offset = offsetof(struct backend_change, name)},
    {"weight", member_int, NULL, 1, MAX_WEIGHT, .offset = offsetof(struct backend_change, weight)},
    {"maxInFlight", member_int, NULL, 1, MAX_IN_FLIGHT,
     .offset = offsetof(struct backend_change, max_in_flight)},
    {"labels", read_labels,
     "an array of at most 64 strings of 1 to 100 bytes, such as \"gpu=4090\" or \"fast\"",
     .offset = 0},
};

enum { BACKEND_MEMBERS = sizeof backend_members / sizeof *backend_members };

/* ---- the readers ----------------------------------------------------------------------------- */

static bool miss(const char *name, struct problem *p)
{
    members_point_at(p, str_of(name));
    return problem_set(p, ERR_MEMBER_INVALID, "%s must be here", name);
}

/* Digests what an Idempotency-Key stands for: the route, the files received with the body, the
   body. */
static void take_digest(struct str body, const char *route, struct http_request *rq)
{
    if (rq->idempotency_key[0] == '\0') {
        return;
    }
    AUTO_BUF struct buf text;
    buf_init(&text, BUF_NO_LIMIT);
    buf_add_text(&text, route);
    for (size_t i = 0; i < rq->files_len; i++) {
        buf_printf(&text, "%s %s ", rq->files[i].sha256, rq->files[i].part);
    }
    buf_add_str(&text, body);
    digest_sha256_hex(buf_str(&text), args_of(rq)->body_digest);
}

static bool read_submission(struct str body, struct http_request *rq, struct problem *p)
{
    take_digest(body, "", rq);
    return submission_parse(body, &args_of(rq)->submission, p) &&
           submission_attach_parts(&args_of(rq)->submission, rq, p);
}

static bool read_batch(struct str body, struct http_request *rq, struct problem *p)
{
    take_digest(body, "batch ", rq);
    return submission_parse_batch(body, &args_of(rq)->submission, p) &&
           submission_attach_parts(&args_of(rq)->submission, rq, p);
}

static bool read_change(struct str body, struct http_request *rq, struct problem *p)
{
    static const struct member table[] = {{"priority", member_priority, member_priority_shape,
                                           .offset = offsetof(struct api_args, priority)}};
    unsigned seen = 0;
    if (!members_check(body, p) || !members_read(body, table, 1, args_of(rq), &seen, p)) {
        return false;
    }
    return seen != 0 || miss("priority", p);
}

static bool read_backend(struct str body, size_t first, struct http_request *rq, unsigned *ret_seen,
                         struct problem *p)
{
    args_of(rq)->backend_change = (struct backend_change){.weight = -1, .max_in_flight = -1};
    return members_check(body, p) &&
           members_read(body, backend_members + first, BACKEND_MEMBERS - first,
                        &args_of(rq)->backend_change, ret_seen, p);
}

static bool read_backend_add(struct str body, struct http_request *rq, struct problem *p)
{
    char why[256] = "";
    unsigned seen = 0;
    if (!read_backend(body, 0, rq, &seen, p)) {
        return false;
    }
    if (args_of(rq)->backend_change.url == NULL) {
        return miss("url", p);
    }
    if (!pool_url_check(args_of(rq)->backend_change.url, why, sizeof why)) {
        members_point_at(p, STR("url"));
        return problem_set(p, ERR_MEMBER_INVALID, "url: %s", why);
    }
    return true;
}

static bool read_backend_change(struct str body, struct http_request *rq, struct problem *p)
{
    unsigned seen = 0;
    if (!read_backend(body, CHANGE_FIRST, rq, &seen, p)) {
        return false;
    }
    if (seen == 0) {
        p->has_pointer = true;
        return problem_set(p, ERR_MEMBER_INVALID,
                           "one of weight, maxInFlight and labels must be here at least");
    }
    return true;
}

static bool read_nothing(struct str body, struct http_request *rq, struct problem *p)
{
    (void)rq;
    unsigned seen = 0;
    return body.n == 0 || (members_check(body, p) && members_read(body, NULL, 0, NULL, &seen, p));
}

static bool read_retry(struct str body, struct http_request *rq, struct problem *p)
{
    return body.n == 0 || submission_parse_retry(body, &args_of(rq)->submission, p);
}

const struct http_body body_submission = {HTTP_BODY_FORM, read_submission};
const struct http_body body_batch = {HTTP_BODY_FORM, read_batch};
const struct http_body body_change = {HTTP_BODY_JSON, read_change};
const struct http_body body_retry = {HTTP_BODY_PLAIN, read_retry};
const struct http_body body_backend = {HTTP_BODY_JSON, read_backend_add};
const struct http_body body_backend_change = {HTTP_BODY_JSON, read_backend_change};
const struct http_body body_nothing = {HTTP_BODY_PLAIN, read_nothing};
const struct http_body body_file = {HTTP_BODY_FILE, NULL};
