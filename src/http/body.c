/* Bodies of routes, and their reading; see the header. */
#include "body.h"

#include <string.h>

enum http_body_kind body_kind(const struct http_route *route)
{
    return route == NULL || route->body == NULL ? HTTP_BODY_NONE : route->body->kind;
}

bool body_is_read(const struct http_route *route)
{
    const enum http_body_kind kind = body_kind(route);
    return kind != HTTP_BODY_NONE && kind != HTTP_BODY_FILE;
}

bool body_is_json(const struct http_route *route)
{
    return body_kind(route) == HTTP_BODY_JSON || body_kind(route) == HTTP_BODY_FORM;
}

bool body_read(struct str body, struct http_request *rq, struct problem *p)
{
    static const char mark[] = "\xef\xbb\xbf"; /* byte order mark of some editors before UTF-8 */
    const size_t n = sizeof mark - 1;
    if (body.n >= n && memcmp(body.p, mark, n) == 0) {
        body = (struct str){body.p + n, body.n - n};
    }
    return !body_is_read(rq->route) || rq->route->body->read(body, rq, p);
}
