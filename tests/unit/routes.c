/* Routes by name; see the header. */
#include "routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/api/inner.h"

static const char *const names[ROUTE_NAME_COUNT] = {
#define X(symbol, name) [symbol] = name,
    ROUTE_NAMES(X)
#undef X
};

const struct http_family *family_of_tests(void)
{
    static struct http_family family;
    if (family.tables == NULL) {
        api_make_family(NULL, &family);
    }
    return &family;
}

const struct http_family *const *families_of_tests(void)
{
    static const struct http_family *families[2];
    families[0] = family_of_tests();
    return families;
}

enum route_name name_of_route(const struct http_route *route)
{
    int i = ROUTE_NAME_COUNT - 1;
    char name[128];
    if (route == NULL) {
        return NO_ROUTE;
    }
    (void)snprintf(name, sizeof name, "%s %s", route->method, route->path);
    while (i > NO_ROUTE && strcmp(names[i], name) != 0) {
        i--;
    }
    return (enum route_name)i;
}

const struct http_route *route_named(enum route_name name)
{
    struct http_rows at = {0};
    const struct http_route *r = http_next_route(family_of_tests(), &at);
    while (name != NO_ROUTE && name_of_route(r) != name) {
        r = http_next_route(family_of_tests(), &at);
    }
    return name == NO_ROUTE ? NULL : r;
}

struct http_request request_of(enum route_name name)
{
    struct http_request rq = {.route = route_named(name)};
    rq.args = mem_zero(1, sizeof(struct api_args));
    api_args_init(rq.args);
    return rq;
}

void request_done(struct http_request *rq)
{
    api_args_done(rq->args);
    free(rq->args);
    rq->args = NULL;
}
