/* The outputs of a job: the list, and the bytes streamed from the backend. */
#include "harness.h"

#include <string.h>
#include <unistd.h>

#include "suites.h"

static bool is_pattern(const struct answer *a, size_t mib)
{
    if (a->len != mib << 20) {
        return false;
    }
    for (size_t i = 0; i < a->len; i++) {
        if ((unsigned char)a->body[i] !=
            (unsigned char)((i + (i >> 8) * 7 + (i >> 16) * 31) & 255)) {
            return false;
        }
    }
    return true;
}

static char *big_job(struct daemon *d, const char *tag, int mib)
{
    json_t *j = run_job(d, q("{'1':{'class_type':'SaveImage','inputs':{'_file':'big-%d.bin',"
                             "'_tag':'%s','_ms':0}}}",
                             mib, tag));
    CHECK(strcmp(str_at(j, "state"), "completed") == 0);
    return text("/jobs/%s/outputs/0", str_at(j, "id"));
}

START_TEST(test_outputs)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    json_t *j = run_job(
        d,
        q("{'1':{'class_type':'EmptyImage','inputs':{}},"
          "'2':{'class_type':'SaveImage','inputs':{'images':['1',0],'filename_prefix':'a/b'}},"
          "'3':{'class_type':'T_SleepOut','inputs':{'_ui':{'gifs':[{'filename':'x y\\u00e9.webp',"
          "'subfolder':'s','type':'temp'}],'text':['t'],'n':[1,null]}}},"
          "'4':{'class_type':'T_SleepOut','inputs':{'_file':'missing-1.png'}}}"));
    CHECK(strcmp(str_at(j, "state"), "completed") == 0);
    char *id = text("%s", str_at(j, "id"));
    struct answer *a = get(d, "/jobs/%s/outputs", id);
    expect(a, 200, NULL);
    CHECK(json_array_size(at(a->json, "outputs")) == 4);
    CHECK(strcmp(str_at(a->json, "outputs.0.nodeId"), "2") == 0 &&
          strcmp(str_at(a->json, "outputs.0.name"), "b_00001_.png") == 0 &&
          strcmp(str_at(a->json, "outputs.0.subfolder"), "a") == 0 &&
          strcmp(str_at(a->json, "outputs.0.kind"), "image") == 0 &&
          strcmp(str_at(a->json, "outputs.0.mediaType"), "image/png") == 0);
    CHECK(strcmp(str_at(a->json, "outputs.1.mediaType"), "image/webp") == 0 &&
          strcmp(str_at(a->json, "outputs.1.type"), "temp") == 0);
    struct answer *bytes = get(d, "%s", str_at(a->json, "outputs.0.url"));
    expect(bytes, 200, NULL);
    CHECK(bytes->len >= 20000 && memcmp(bytes->body, "\x89PNG", 4) == 0);
    CHECK(strcmp(header_of(bytes, "Content-Type"), "image/png") == 0);
    CHECK(strstr(header_of(bytes, "Content-Disposition"), "b_00001_.png") != NULL);
    CHECK(strcmp(header_of(bytes, "X-Content-Type-Options"), "nosniff") == 0);
    bytes = get(d, "/jobs/%s/outputs/1", id);
    expect(bytes, 200, NULL);
    CHECK(strstr(header_of(bytes, "Content-Disposition"), "x%20y%C3%A9.webp") != NULL);
    CHECK(strcmp(str_at(a->json, "outputs.2.kind"), "text") == 0 &&
          strcmp(str_at(a->json, "outputs.2.kept"), "yes") == 0 &&
          num_at(a->json, "outputs.2.size") == 1 &&
          strcmp(str_at(a->json, "outputs.0.kept"), "no") == 0);
    bytes = get(d, "/jobs/%s/outputs/2", id);
    expect(bytes, 200, NULL);
    CHECK(strcmp(bytes->body, "t") == 0);
    expect(get(d, "/jobs/%s/outputs/3", id), 404, "output_unavailable");
    expect(get(d, "/jobs/%s/outputs/4", id), 404, "output_not_found");
    expect(get(d, "/jobs/%s/outputs/x", id), 404, "output_not_found");
    struct answer *head = ask(d, "HEAD", text("/jobs/%s/outputs/0", id), NULL, NULL);
    CHECK(head->status == 200 && head->len == 0);
    /* Of a job that runs: none yet. */
    char *active = submit(d, sleep_body("z", 60000, ""));
    a = get(d, "/jobs/%s/outputs", active);
    CHECK(a->status == 200 && json_array_size(at(a->json, "outputs")) == 0);
    expect(get(d, "/jobs/%s/outputs/0", active), 404, "output_not_found");
    (void)cancel(d, active);
    (void)await_end(d, active);
    /* The backend goes. */
    sim_kill(s);
    expect(get(d, "/jobs/%s/outputs/0", id), 404, "output_unavailable");
}
END_TEST

START_TEST(test_big_output)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *path = big_job(d, "a", 8);
    struct answer *a = get(d, "%s", path);
    expect(a, 200, NULL);
    CHECK(is_pattern(a, 8), "%zu bytes", a->len);
    /* A reader that begins late and reads in small bites; meanwhile the daemon serves others. */
    int fd = raw_request(d, "GET", path, "");
    for (int i = 0; i < 10; i++) {
        expect(get(d, "/healthz"), 200, NULL);
        pause_a_moment();
    }
    a = raw_answer(fd);
    CHECK(a != NULL && a->status == 200 && is_pattern(a, 8));
    /* Clients that hang up in the middle. */
    for (int i = 0; i < 10; i++) {
        char bite[5000];
        fd = raw_request(d, "GET", path, "");
        CHECK(read(fd, bite, sizeof bite) > 0);
        (void)close(fd);
    }
    a = get(d, "%s", path);
    CHECK(is_pattern(a, 8));
    /* The backend goes in the middle: the client must be able to see that bytes lack. */
    fd = raw_request(d, "GET", path, "");
    char first[2000];
    CHECK(read(fd, first, sizeof first) > 0);
    sim_kill(s);
    size_t got = 0;
    ssize_t n = 0;
    char piece[65536];
    while ((n = read(fd, piece, sizeof piece)) > 0) {
        got += (size_t)n;
    }
    (void)close(fd);
    CHECK(got < (size_t)8 << 20, "the body must not look complete");
}
END_TEST

START_TEST(test_stop_in_mid_stream)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *path = big_job(d, "a", 16);
    char bite[1000];
    int fd = raw_request(d, "GET", path, "");
    CHECK(read(fd, bite, sizeof bite) > 0);
    int other = raw_request(d, "GET", path, "");
    daemon_stop(d);
    CHECK(d->ended_in < 5, "it took %.1f s", d->ended_in);
    (void)close(fd);
    (void)close(other);
}
END_TEST

Suite *outputs_suite(void)
{
    static const struct named_test tests[] = {
        {"outputs", &test_outputs, 1},
        {"big output", &test_big_output, 1},
        {"stop in mid-stream", &test_stop_in_mid_stream, 1},
    };
    return SUITE("outputs", 60, tests);
}
