/*
 * api/openapi.yaml against the program's own tables, both ways: routes, problem codes, states,
 * outcomes, statuses of nodes. And against itself: every $ref leads somewhere. Examples and real
 * answers are held against it by the integration tests.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../integration/yaml_tree.h"
#include "comfypool/core/job.h"
#include "comfypool/core/profiler.h"
#include "comfypool/http/http.h"
#include "routes.h"

Suite *openapi_suite(void);

static struct yaml_tree *spec;

static void set_up(void)
{
    spec = yaml_tree_load("api/openapi.yaml");
    ck_assert_ptr_nonnull(spec);
}

static void tear_down(void)
{
    yaml_tree_free(spec);
}

static const struct {
    const char *method;
    const char *word;
} methods[] = {{"GET", "get"},     {"POST", "post"}, {"DELETE", "delete"},  {"PUT", "put"},
               {"PATCH", "patch"}, {"HEAD", "head"}, {"OPTIONS", "options"}};

enum { METHODS = sizeof methods / sizeof *methods };

START_TEST(every_route_is_in_the_file)
{
    const struct yaml_tree *paths = yaml_get(spec, "paths");
    struct http_rows at = {0};
    for (const struct http_route *r = http_next_route(family_of_tests(), &at); r != NULL;
         r = http_next_route(family_of_tests(), &at)) {
        const struct yaml_tree *path = yaml_get(paths, r->path);
        ck_assert_msg(path != NULL, "%s is not in api/openapi.yaml", r->path);
        for (int m = 0; m < METHODS; m++) {
            if (strcmp(methods[m].method, r->method) == 0) {
                ck_assert_msg(yaml_get(path, methods[m].word) != NULL, "%s %s is not in the file",
                              r->method, r->path);
            }
        }
    }
}
END_TEST

static bool is_route(const char *method, const char *path)
{
    struct http_rows at = {0};
    const struct http_route *r = http_next_route(family_of_tests(), &at);
    while (r != NULL && (strcmp(r->method, method) != 0 || strcmp(r->path, path) != 0)) {
        r = http_next_route(family_of_tests(), &at);
    }
    return r != NULL;
}

START_TEST(every_operation_is_a_route)
{
    const struct yaml_tree *paths = yaml_get(spec, "paths");
    ck_assert_ptr_nonnull(paths);
    for (size_t i = 0; i < paths->len; i++) {
        for (int m = 0; m < METHODS; m++) {
            ck_assert_msg(yaml_get(paths->items[i], methods[m].word) == NULL ||
                              is_route(methods[m].method, paths->keys[i]),
                          "line %u: %s %s is no route", paths->items[i]->line, methods[m].method,
                          paths->keys[i]);
        }
    }
}
END_TEST

/* ---- enums ----------------------------------------------------------------------------------- */

static const char *const problem_codes[] = {
#define X(symbol, code, http, retry, title) (http) != 0 ? (code) : NULL,
    ERR_TABLE(X)
#undef X
};

static const char *const ends[] = {
#define X(symbol, code, http, retry, title) (http) == 0 ? (code) : NULL,
    ERR_TABLE(X)
#undef X
        "workflow_invalid",
    "workflow_not_supported",
    "output_unavailable",
};

static const char *const states[] = {
#define X(symbol, name, terminal) name,
    JOB_STATE_TABLE(X)
#undef X
};

static const char *const outcomes[] = {
#define X(symbol, name) name,
    ATTEMPT_OUTCOME_TABLE(X)
#undef X
};

static const char *statuses[PROFILE_FAILED + 1];

#define LIST(a) (a), sizeof(a) / sizeof *(a)

static const struct {
    const char *path;
    const char *const *names; /* NULL in it: skipped */
    size_t len;
} enums[] = {
    {"components/schemas/Problem/properties/code/enum", LIST(problem_codes)},
    {"components/schemas/JobError/properties/code/enum", LIST(ends)},
    {"components/schemas/JobState/enum", LIST(states)},
    {"components/schemas/Outcome/enum", LIST(outcomes)},
    {"components/schemas/ProfileNode/properties/status/enum", LIST(statuses)},
};

START_TEST(an_enum_is_the_table)
{
    for (int s = 0; s <= PROFILE_FAILED; s++) {
        statuses[s] = profile_status_name((enum profile_status)s);
    }
    const struct yaml_tree *have = yaml_at(spec, enums[_i].path);
    ck_assert_msg(have != NULL, "%s is not in the file", enums[_i].path);
    size_t len = 0;
    for (size_t i = 0; i < enums[_i].len; i++) {
        const char *name = enums[_i].names[i];
        ck_assert_msg(name == NULL || yaml_has(have, name), "line %u: %s is missing", have->line,
                      name);
        len += name != NULL;
    }
    ck_assert_msg(have->len == len, "line %u: the enum has %zu names, the table %zu", have->line,
                  have->len, len);
}
END_TEST

/* ---- the file against itself ----------------------------------------------------------------- */

static void check_refs(const struct yaml_tree *t)
{
    ck_assert_msg(yaml_get(t, "$ref") == NULL || yaml_resolve(spec, t) != NULL,
                  "line %u: this $ref leads nowhere", t->line);
    for (size_t i = 0; i < t->len; i++) {
        check_refs(t->items[i]);
    }
}

START_TEST(every_ref_leads_somewhere)
{
    check_refs(spec);
}
END_TEST

Suite *openapi_suite(void)
{
    Suite *suite = suite_create("openapi");
    TCase *t = tcase_create("openapi");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, every_route_is_in_the_file);
    tcase_add_test(t, every_operation_is_a_route);
    tcase_add_loop_test(t, an_enum_is_the_table, 0, (int)(sizeof enums / sizeof *enums));
    tcase_add_test(t, every_ref_leads_somewhere);
    suite_add_tcase(suite, t);
    return suite;
}
