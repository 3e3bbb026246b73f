/*
 * Account keys of API nodes: servers get them with each attempt, and the store has them no longer
 * than the job is active, whatever becomes of it and of the daemon.
 */
#include "harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suites.h"

/* "made-up-key-NAME" and "made-up-token-NAME" beside something else. */
static char *keys(const char *name)
{
    return q(",'extraData':{'api_key_comfy_org':'made-up-key-%s','other':18446744073709551615,"
             "'auth_token_comfy_org':'made-up-token-%s'}",
             name, name);
}

/* Whether any file of the directory has the word. */
static bool lies_in(const char *dir, const char *word)
{
    bool found = false;
    DIR *d = opendir(dir);
    CHECK(d != NULL);
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        char *path = text("%s/%s", dir, e->d_name);
        struct stat st;
        if (e->d_name[0] == '.' || stat(path, &st) != 0) {
            continue;
        }
        if (S_ISDIR(st.st_mode)) {
            found = found || lies_in(path, word);
            continue;
        }
        char *bytes = malloc((size_t)st.st_size + 1);
        const int fd = open(path, O_RDONLY | O_CLOEXEC);
        const ssize_t n = read(fd, bytes, (size_t)st.st_size);
        found = found || (n > 0 && memmem(bytes, (size_t)n, word, strlen(word)) != NULL);
        (void)close(fd);
        free(bytes);
    }
    (void)closedir(d);
    return found;
}

static bool has_keys(json_t *prompt, const char *name)
{
    return strcmp(str_at(prompt, "api_key_comfy_org"), text("made-up-key-%s", name)) == 0 &&
           strcmp(str_at(prompt, "auth_token_comfy_org"), text("made-up-token-%s", name)) == 0;
}

/* The extra data that the server was sent with its last prompt. */
static json_t *last_extra(struct sim *s)
{
    json_t *history = sim_get(s, "/history?max_items=1");
    return json_array_get(at(json_object_iter_value(json_object_iter(history)), "prompt"), 3);
}

static struct daemon *begin(struct sim *s)
{
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    await_backends_up(d, 1);
    return d;
}

START_TEST(test_until_the_end)
{
    struct sim *s = sim_start("--version-as", "0.3", NULL); /* it shows what it was sent */
    struct daemon *d = begin(s);
    json_t *j = run_job(d, sleep_body("a", 1, keys("completed")));
    CHECK(strcmp(str_at(j, "state"), "completed") == 0);
    CHECK(has_keys(last_extra(s), "completed"), "the server got them");
    AWAIT(!lies_in(d->state, "made-up")); /* also while the daemon goes on */
    /* One that waits has its keys over a kill, and gives them to its server. */
    char *blocker = submit(d, sleep_body("b", 600000, ""));
    AWAIT(is_state(d, blocker, "running"));
    char *id = submit(d, sleep_body("c", 1, keys("waits")));
    char *never = submit(d, sleep_body("e", 1, keys("cancelled")));
    CHECK(lies_in(d->state, "made-up-key-waits"));
    (void)cancel(d, never);
    daemon_kill(d);
    d = begin(s);
    CHECK(!lies_in(d->state, "made-up-key-cancelled"), "a start leaves nothing behind");
    (void)cancel(d, blocker);
    CHECK(strcmp(str_at(await_end(d, id), "state"), "completed") == 0);
    CHECK(has_keys(last_extra(s), "waits"));
    CHECK(strstr(get(d, "/jobs/%s", id)->body, "made-up") == NULL);
    daemon_stop(d);
    CHECK(!lies_in(d->state, "made-up"));
    CHECK(strstr(read_file(d->err), "made-up") == NULL);
}
END_TEST

START_TEST(test_batch)
{
    struct sim *s = sim_start("--version-as", "0.3", NULL); /* it shows what it was sent */
    struct daemon *d = begin(s);
    char *blocker = submit(d, sleep_body("a", 600000, ""));
    AWAIT(is_state(d, blocker, "running"));
    struct answer *a = post(d, "/batches",
                            sleep_body("b", 1,
                                       text("%s,\"overrides\":[{\"1._tag\":\"c\"},"
                                            "{\"1._tag\":\"e\"}]",
                                            keys("batch"))));
    expect(a, 202, NULL);
    char *batch = text("/batches/%s", str_at(a->json, "id"));
    daemon_kill(d);
    d = begin(s);
    CHECK(lies_in(d->state, "made-up-key-batch"));
    (void)cancel(d, blocker);
    AWAIT(num_at(get(d, "%s", batch)->json, "counts.completed") == 2);
    CHECK(has_keys(last_extra(s), "batch"));
    AWAIT(!lies_in(d->state, "made-up"));
}
END_TEST

static struct answer *retry(struct daemon *d, const char *id, const char *body)
{
    return post(d, text("/jobs/%s/retry", id), body);
}

START_TEST(test_retry)
{
    struct sim *s = sim_start("--version-as", "0.3", NULL); /* it shows what it was sent */
    struct daemon *d = begin(s);
    char *blocker = submit(d, sleep_body("a", 600000, ""));
    AWAIT(is_state(d, blocker, "running"));
    char *id = submit(d, sleep_body("b", 1, keys("first")));
    (void)cancel(d, id);
    AWAIT(!lies_in(d->state, "made-up"));
    expect(retry(d, id, ""), 409, "credentials_gone");
    struct answer *a = retry(d, id, q("{'extraData':{'api_key_comfy_org':'made-up-key-second'}}"));
    expect(a, 409, "credentials_gone");
    CHECK(strstr(a->body, "auth_token_comfy_org") != NULL &&
          strstr(a->body, "api_key_comfy_org") == NULL);
    static const char both[] = "{'extraData':{'api_key_comfy_org':'made-up-key-second',"
                               "'auth_token_comfy_org':'made-up-token-second'%s}}";
    expect(retry(d, id, q(both, ",'other':1")), 400, "member_invalid");
    expect(retry(d, id, q("{'extradata':{}}")), 400, "member_unknown");
    expect(retry(d, id, q("{'extraData':7}")), 400, "member_invalid");
    char *many = q("{'extraData':{'n0':0");
    for (int i = 1; i <= 100; i++) {
        many = text("%s,\"n%d\":0", many, i);
    }
    a = retry(d, id, text("%s}}", many));
    expect(a, 400, "member_invalid");
    CHECK(strstr(str_at(a->json, "detail"), "100 members") != NULL);
    CHECK(is_state(d, id, "cancelled"));
    expect(retry(d, id, q(both, ",'other':18446744073709551615")), 202, NULL);
    daemon_kill(d);
    d = begin(s);
    CHECK(lies_in(d->state, "made-up-key-second"));
    (void)cancel(d, blocker);
    CHECK(strcmp(str_at(await_end(d, id), "state"), "completed") == 0);
    CHECK(has_keys(last_extra(s), "second"));
    AWAIT(!lies_in(d->state, "made-up"));
    /* One without needs none. */
    char *plain = submit(d, sleep_body("c", 600000, ""));
    (void)cancel(d, plain);
    (void)await_end(d, plain);
    expect(retry(d, plain, "{}"), 202, NULL);
    (void)cancel(d, plain);
}
END_TEST

/* A job of a batch has its own, then. */
START_TEST(test_retry_in_a_batch)
{
    struct sim *s = sim_start("--version-as", "0.3", NULL); /* it shows what it was sent */
    struct daemon *d = begin(s);
    expect(post(d, "/queue/pause", ""), 200, NULL);
    struct answer *a =
        post(d, "/batches",
             sleep_body("b", 1, text("%s,\"overrides\":[{\"1._tag\":\"c\"}]", keys("batch"))));
    char *batch = text("%s", str_at(a->json, "id"));
    char *id = text("%s", str_at(get(d, "/jobs?batch=%s", batch)->json, "jobs.0.id"));
    (void)cancel(d, id);
    AWAIT(!lies_in(d->state, "made-up"));
    expect(retry(d, id, ""), 409, "credentials_gone");
    expect(retry(d, id,
                 q("{'extra_data':{'api_key_comfy_org':'made-up-key-own',"
                   "'auth_token_comfy_org':'made-up-token-own'}}")),
           202, NULL);
    daemon_kill(d);
    d = begin(s);
    expect(post(d, "/queue/resume", ""), 200, NULL);
    CHECK(strcmp(str_at(await_end(d, id), "state"), "completed") == 0);
    CHECK(has_keys(last_extra(s), "own"));
    AWAIT(!lies_in(d->state, "made-up"));
}
END_TEST

Suite *keys_suite(void)
{
    static const struct named_test tests[] = {
        {"until the end", &test_until_the_end, 0},
        {"batch", &test_batch, 0},
        {"retry", &test_retry, 0},
        {"retry in a batch", &test_retry_in_a_batch, 0},
    };
    return SUITE("keys", 90, tests);
}
