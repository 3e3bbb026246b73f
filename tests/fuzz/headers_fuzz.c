/*
 * A request without its body: the first line is METHOD TARGET, each other one a header. Whatever
 * they say, they are refused with a problem or read, and a foreign name never comes in.
 */
#include "fuzz.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/http/access.h"
#include "../../src/http/query.h"
#include "../../src/http/router.h"
#include "../unit/routes.h"
#include "comfypool/base/text.h"

static const char *const hosts[] = {"pool.example", NULL};
static const char *const origins[] = {"https://ui.example", NULL};

static void hold(bool good)
{
    if (!good) {
        abort();
    }
}

static struct str cut(struct str *rest, char separator)
{
    const char *end = rest->n == 0 ? NULL : memchr(rest->p, separator, rest->n);
    const struct str piece = {rest->p, end == NULL ? rest->n : (size_t)(end - rest->p)};
    const size_t gone = end == NULL ? rest->n : piece.n + 1;
    *rest = (struct str){rest->p + gone, rest->n - gone};
    return piece;
}

static void check_access(const struct headers *h, const struct match *m)
{
    const struct net_address local = {.family = AF_INET, .bytes = {127, 0, 0, 1}};
    const struct visitor v = {
        .headers = h, .authority = m->authority, .local = &local, .route = m->route};
    const struct token token = {.name = "a", .role = ROLE_SUBMIT, .sha256 = "0"};
    char caller[CALLER_SIZE];
    enum role role = ROLE_ANYBODY;
    struct str cors;
    struct problem p;
    problem_init(&p);
    const bool host = access_check_host(&v, hosts, &p);
    const bool origin = access_check_origin(&v, origins, &cors, &p);
    hold((host && origin) == (p.code == ERR_NONE));
    hold(cors.n == 0 || text_same_word(cors, origins[0]));
    problem_done(&p);
    problem_init(&p);
    /* Nobody knows a token of this hash. */
    hold(!access_check_token(&v, &token, 1, caller, &role, &p) ||
         (m->route != NULL && m->route->role == ROLE_ANYBODY));
    problem_done(&p);
}

static void check_details(const struct headers *h, const struct match *m)
{
    struct http_request rq = {.route = m->route, .args = m->args};
    char key[HTTP_KEY_SIZE];
    bool preferred = false;
    struct problem p;
    problem_init(&p);
    if (query_parse(m->query, h, &rq, &preferred, &p)) {
        hold(rq.wait.us >= 0 && rq.wait.us <= (int64_t)MAX_WAIT_S * 1000000);
        hold(args_of(&rq)->limit >= 1 && args_of(&rq)->limit <= 1000 &&
             args_of(&rq)->state_mask != 0);
    }
    problem_done(&p);
    problem_init(&p);
    hold(headers_idempotency_key(h, key, &p) == (p.code == ERR_NONE));
    hold(strlen(key) < HTTP_KEY_SIZE);
    problem_done(&p);
}

int fuzz_headers(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size};
    struct str line = cut(&rest, '\n');
    const struct str method = cut(&line, ' ');
    struct headers h = {0};
    while (rest.n > 0) {
        struct str value = cut(&rest, '\n');
        const struct str name = cut(&value, ':');
        headers_add(&h, name, value);
    }
    struct match m;
    struct problem p;
    problem_init(&p);
    const bool found = router_match(families_of_tests(), method, line, &m, &p);
    hold(found == (p.code == ERR_NONE));
    problem_done(&p);
    problem_init(&p);
    (void)!headers_check_framing(&h, true, &p);
    (void)!headers_check_body_type(&h, &p);
    (void)headers_body_length(&h);
    (void)headers_match_etag(&h, STR("\"x\""));
    problem_done(&p);
    check_access(&h, &m);
    if (found && !m.options) {
        check_details(&h, &m);
    }
    match_args_free(m.family, m.args);
    return 0;
}
