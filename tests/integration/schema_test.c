/*
 * The validator itself, and every example of api/openapi.yaml against its schema. In this binary
 * and not among the unit tests, since the validator serves the harness here.
 */
#include "schema.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

Suite *schema_suite(void);

static struct schema *spec;

static void set_up(void)
{
    spec = schema_load("api/openapi.yaml");
    ck_assert_ptr_nonnull(spec);
}

static void tear_down(void)
{
    schema_free(spec);
}

static json_t *text_to_json(const struct yaml_tree *t)
{
    char *end = NULL;
    const double number = strtod(t->text, &end);
    if (!t->quoted && end != t->text && *end == '\0') {
        return json_real(number);
    }
    if (!t->quoted && (yaml_is(t, "true") || yaml_is(t, "false"))) {
        return json_boolean(yaml_is(t, "true"));
    }
    return !t->quoted && yaml_is(t, "null") ? json_null() : json_string(t->text);
}

static json_t *to_json(const struct yaml_tree *t)
{
    if (t->kind == YAML_TEXT) {
        return text_to_json(t);
    }
    json_t *v = t->kind == YAML_MAP ? json_object() : json_array();
    for (size_t i = 0; i < t->len; i++) {
        json_t *item = to_json(t->items[i]);
        ck_assert_int_eq(t->kind == YAML_MAP ? json_object_set_new(v, t->keys[i], item)
                                             : json_array_append_new(v, item),
                         0);
    }
    return v;
}

/* Returns how many examples there were. */
static unsigned check_examples(const struct yaml_tree *t)
{
    unsigned n = 0;
    const struct yaml_tree *schema = yaml_get(t, "schema");
    const struct yaml_tree *example = yaml_get(t, "example");
    if (schema != NULL && example != NULL) {
        char why[512];
        json_auto_t *v = to_json(example);
        ck_assert_msg(schema_check_value(spec, schema, v, why, sizeof why),
                      "line %u: the example is not what its schema says: %s", example->line, why);
        n++;
    }
    for (size_t i = 0; i < t->len; i++) {
        n += check_examples(t->items[i]);
    }
    return n;
}

START_TEST(every_example_fits_its_schema)
{
    ck_assert_uint_gt(check_examples(schema_root(spec)), 10);
}
END_TEST

/* ---- the validator itself -------------------------------------------------------------------- */

static const struct {
    const char *method;
    const char *path;
    unsigned status;
    const char *json; /* NULL: no body */
    const char *why;  /* NULL: good */
} answers[] = {
    {"GET", "/healthz", 200, "{\"status\":\"ok\"}", NULL},
    {"HEAD", "/healthz?x", 200, NULL, NULL},
    {"GET", "/healthz", 200, "{\"status\":\"bad\"}", "/status: \"bad\" is not in the enum (line "},
    {"GET", "/healthz", 200, "{\"status\":\"ok\",\"more\":1}",
     "/more: this member is not in the schema (line "},
    {"GET", "/healthz", 200, "{}", "/: the member status is missing"},
    {"GET", "/healthz", 200, "[]", "/: must be of type object"},
    {"GET", "/healthz", 201, "{}", "GET /healthz: the file has no answer 201"},
    {"GET", "/nowhere", 200, "{}", "GET /nowhere is not in the file"},
    {"PUT", "/jobs", 200, "{}", "PUT /jobs is not in the file"},
    {"DELETE", "/jobs/x", 204, NULL, NULL},
    {"DELETE", "/jobs/x", 204, "{}", "DELETE /jobs/x 204: the file has no JSON here"},
    {"GET", "/jobs?limit=1", 200, "{\"jobs\":[],\"nextCursor\":\"7\"}", NULL},
    {"GET", "/jobs?limit=1", 200, "{\"jobs\":[],\"nextCursor\":7}",
     "/nextCursor: has none of its types (line "},
    {"GET", "/jobs", 200, "{\"jobs\":[{}],\"nextCursor\":null}",
     "/jobs/0: the member id is missing"},
    {"GET", "/profiles/compare?x", 200,
     "{\"base\":{\"jobId\":\"b\",\"attempt\":1,\"backend\":\"one\",\"outcome\":\"completed\","
     "\"completedAt\":1},\"target\":{\"jobId\":\"t\",\"attempt\":1,\"backend\":null,\"outcome\":"
     "\"lost\","
     "\"completedAt\":null},\"nodes\":[],\"added\":[],\"removed\":[],\"total\":{"
     "\"base\":"
     "1,\"target\":1,\"delta\":0,\"ratio\":1,\"verdict\":null},\"resources\":null}",
     NULL},
    {"GET", "/profiles/compare", 200,
     "{\"base\":{\"jobId\":\"b\",\"attempt\":-1,\"backend\":\"one\",\"outcome\":\"completed\","
     "\"completedAt\":1},\"target\":{},\"nodes\":"
     "[],"
     "\"added\":[],\"removed\":[],\"total\":{},\"resources\":null}",
     "/base/attempt: -1 is less than 0"},
    {"GET", "/jobs/x/outputs/1", 418,
     "{\"type\":\"t\",\"title\":\"t\",\"status\":418,\"detail\":\"d\",\"code\":\"lost\"}",
     "/code: \"lost\" is not in the enum (line "},
    {"GET", "/jobs/x/outputs/1", 404,
     "{\"type\":\"t\",\"title\":\"t\",\"status\":4,\"detail\":\"d\",\"code\":\"job_not_found\"}",
     "/status: 4 is less than 400"},
};

START_TEST(the_validator_sees_drift)
{
    char why[512] = "";
    json_auto_t *v =
        answers[_i].json == NULL ? NULL : json_loads(answers[_i].json, JSON_DECODE_ANY, NULL);
    const bool good = schema_check(spec, answers[_i].method, answers[_i].path, answers[_i].status,
                                   v, why, sizeof why);
    ck_assert_msg(good == (answers[_i].why == NULL), "row %d: %s", _i, why);
    if (answers[_i].why != NULL) {
        ck_assert_msg(strncmp(why, answers[_i].why, strlen(answers[_i].why)) == 0, "row %d: %s", _i,
                      why);
    }
}
END_TEST

Suite *schema_suite(void)
{
    Suite *suite = suite_create("schema");
    TCase *t = tcase_create("schema");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, every_example_fits_its_schema);
    tcase_add_loop_test(t, the_validator_sees_drift, 0, (int)(sizeof answers / sizeof *answers));
    suite_add_tcase(suite, t);
    return suite;
}
