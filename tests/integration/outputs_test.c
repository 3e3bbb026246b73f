/* The outputs of a job: the list, and the bytes streamed from the backend. */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "png_reader.h"
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
    uint32_t width = 0;
    uint32_t height = 0;
    CHECK(bytes->len >= 20000 && png_is_whole(bytes->body, bytes->len, &width, &height));
    CHECK(width >= 84 && width == height);
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
    a = get(d, "/jobs/%s/outputs/0", active);
    expect(a, 404, "output_not_found");
    CHECK(strstr(str_at(a->json, "detail"), "has not ended") != NULL, "%s", a->body);
    (void)cancel(d, active);
    (void)await_end(d, active);
    /* The backend goes. */
    sim_kill(s);
    expect(get(d, "/jobs/%s/outputs/0", id), 404, "output_unavailable");
}
END_TEST

/* A part of a file that the backend has, and that of another one, which is none. */
START_TEST(test_part_of_an_output)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *path = big_job(d, "a", 2);
    struct answer *a = ask(d, "GET", path, "Range: bytes=5-9", NULL);
    CHECK(a->status == 206 && a->len == 5, "%ld, %zu bytes", a->status, a->len);
    CHECK(strcmp(header_of(a, "Content-Range"), "bytes 5-9/2097152") == 0);
    a = ask(d, "GET", path, "Range: bytes=5-9\nIf-Range: \"x\"", NULL);
    CHECK(a->status == 200 && is_pattern(a, 2), "%ld, %zu bytes", a->status, a->len);
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

/* ---- copies ---------------------------------------------------------------------------------- */

static const char *kept(struct daemon *d, const char *id, int n)
{
    struct answer *a = get(d, "/jobs/%s/outputs", id);
    return text("%s", str_at(a->json, text("outputs.%d.kept", n)));
}

#define AWAIT_KEPT(d, id, n, state) AWAIT(strcmp(kept(d, id, n), state) == 0)

static char *big_body(const char *tag, int mib, const char *more)
{
    return q(
        "{'workflow':{'1':{'class_type':'SaveImage','inputs':{'_file':'big-%d.bin','_tag':'%s',"
        "'_ms':0}}}%s}",
        mib, tag, more);
}

static size_t files_in(const struct daemon *d, const char *name)
{
    FILE *f = popen(text("find %s/%s -type f | wc -l", d->state, name), "r");
    unsigned n = 0;
    CHECK(f != NULL && fscanf(f, "%u", &n) == 1);
    (void)pclose(f);
    return n;
}

START_TEST(test_copies)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .config = "outputs: {keep: copy}\n");
    json_t *j = run_job(d, big_body("a", 2, ""));
    char *id = text("%s", str_at(j, "id"));
    char *none =
        text("%s", str_at(run_job(d, big_body("b", 1, ",'outputs':{'keep':'none'}")), "id"));
    AWAIT_KEPT(d, id, 0, "yes");
    CHECK(strcmp(kept(d, none, 0), "no") == 0);
    CHECK(num_at(get(d, "/jobs/%s/outputs", id)->json, "outputs.0.size") == 2 << 20);
    sim_kill(s);
    struct answer *a = get(d, "/jobs/%s/outputs/0", id);
    CHECK(a->status == 200 && is_pattern(a, 2), "it outlives its backend");
    CHECK(strstr(header_of(a, "Content-Security-Policy"), "sandbox") != NULL &&
          strstr(header_of(a, "Content-Disposition"), "attachment") != NULL);
    char *etag = text("%s", header_of(a, "ETag"));
    expect(get(d, "/jobs/%s/outputs/0", none), 404, "output_unavailable");
    daemon_kill(d);
    d = DAEMON(.sims = {s}, .no_profile = true);
    char *path = text("/jobs/%s/outputs/0", id);
    a = get(d, "%s", path);
    CHECK(a->status == 200 && is_pattern(a, 2), "and the daemon");
    static const struct {
        const char *headers;
        long status;
        const char *range;
        size_t len;
    } parts[] = {
        {"Range: bytes=0-0", 206, "bytes 0-0/2097152", 1},
        {"Range: bytes=2097150-", 206, "bytes 2097150-2097151/2097152", 2},
        {"Range: bytes=-5", 206, "bytes 2097147-2097151/2097152", 5},
        {"Range: bytes=5-9\nIf-Range: \"x\"", 200, "", 2 << 20},
        {"Range: bytes=2097152-", 416, "bytes */2097152", 0},
        {"Range: bytes=0-1,4-5", 200, "", 2 << 20},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        a = ask(d, "GET", path, parts[i].headers, NULL);
        CHECK(a->status == parts[i].status && (a->len == parts[i].len || a->status == 416) &&
                  strcmp(header_of(a, "Content-Range"), parts[i].range) == 0,
              "%s: %ld, %zu bytes, %s", parts[i].headers, a->status, a->len,
              header_of(a, "Content-Range"));
    }
    CHECK(ask(d, "GET", path, text("If-None-Match: %s", etag), NULL)->status == 304);
    CHECK(ask(d, "HEAD", path, NULL, NULL)->status == 200);
    CHECK(files_in(d, "outputs") == 1);
    expect(ask(d, "DELETE", text("/jobs/%s", id), NULL, NULL), 204, NULL);
    AWAIT(files_in(d, "outputs") == 0);
}
END_TEST

/* What could not be fetched yet is fetched by the next daemon; content is kept once. */
START_TEST(test_copies_resume)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    sim_control(s, "{'broken':true}");
    char *ids[3];
    for (int i = 0; i < 3; i++) {
        json_t *j = run_job(d, big_body(text("t%d", i), 1, ",'outputs':{'keep':'copy'}"));
        ids[i] = text("%s", str_at(j, "id"));
        CHECK(strcmp(kept(d, ids[i], 0), "pending") == 0);
    }
    daemon_kill(d);
    d = DAEMON(.sims = {s}, .no_profile = true);
    CHECK(strcmp(kept(d, ids[2], 0), "pending") == 0);
    sim_control(s, "{'broken':false}");
    for (int i = 0; i < 3; i++) {
        AWAIT_KEPT(d, ids[i], 0, "yes");
    }
    CHECK(files_in(d, "outputs") == 1, "the same content");
    json_t *copies = at(get(d, "/stats")->json, "copies");
    CHECK(num_at(copies, "files") == 1 && num_at(copies, "bytes") == 1 << 20 &&
          num_at(copies, "jobs") == 3 && num_at(copies, "pending") == 0);
    expect(ask(d, "DELETE", text("/jobs/%s", ids[0]), NULL, NULL), 204, NULL);
    sim_kill(s);
    CHECK(is_pattern(get(d, "/jobs/%s/outputs/0", ids[1]), 1), "others have it still");
}
END_TEST

/* When there is no room the oldest jobs' copies go; what is larger than everything cannot be kept.
 */
START_TEST(test_copies_room)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true,
                              .config = "outputs: {keep: copy, maxBytes: 5300000}\n");
    char *ids[3];
    for (int i = 0; i < 3; i++) {
        json_t *j = run_job(d, big_body(text("t%d", i), i + 1, ""));
        ids[i] = text("%s", str_at(j, "id"));
        AWAIT_KEPT(d, ids[i], 0, "yes");
    }
    CHECK(strcmp(kept(d, ids[0], 0), "no") == 0 && strcmp(kept(d, ids[1], 0), "yes") == 0);
    json_t *j = run_job(d, big_body("large", 6, ""));
    AWAIT_KEPT(d, str_at(j, "id"), 0, "failed");
    CHECK(strcmp(kept(d, ids[2], 0), "yes") == 0, "nothing went for it");
    AWAIT(files_in(d, "outputs") == 2);
    expect(get(d, "/jobs/%s/outputs/0", str_at(j, "id")), 200, NULL);
}
END_TEST

/* How often it was asked for a file; HEAD counts. */
static double views(struct sim *s)
{
    return json_number_value(
        json_object_get(json_object_get(sim_get(s, "/__sim"), "http"), "GET /view"));
}

/* Servers use names again: a file that is not what it was when its job ended is another one. Its
   time alone says nothing, since a file server's clock may run ahead. */
START_TEST(test_another_file)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    sim_control(s, text("{'modified':%ld}", (long)time(NULL) + 3600));
    json_t *j = run_job(d, big_body("a", 1, ""));
    char *id = text("%s", str_at(j, "id"));
    AWAIT(views(s) == 1);
    expect(get(d, "/jobs/%s/outputs/0", id), 200, NULL);
    sim_control(s, text("{'modified':%ld}", (long)time(NULL) - 3600));
    AWAIT(get(d, "/jobs/%s/outputs/0", id)->status == 404);
    struct answer *a = get(d, "/jobs/%s/outputs/0", id);
    expect(a, 404, "output_unavailable");
    CHECK(strstr(str_at(a->json, "detail"), "another file") != NULL);
    expect(ask(d, "GET", text("/jobs/%s/outputs/0", id), "Range: bytes=0-1", NULL), 404,
           "output_unavailable");
    daemon_stop(d);
    d = DAEMON(.sims = {s}, .no_profile = true);
    await_backends_up(d, 1);
    expect(get(d, "/jobs/%s/outputs/0", id), 404, "output_unavailable");
    j = run_job(d, big_body("b", 1, ",'outputs':{'keep':'copy'}"));
    AWAIT_KEPT(d, str_at(j, "id"), 0, "yes");
}
END_TEST

START_TEST(test_unchecked_files)
{
    struct sim *s = sim_plain();
    struct daemon *d =
        DAEMON(.sims = {s}, .no_profile = true, .config = "outputs: {checkModified: false}\n");
    json_t *j = run_job(d, big_body("a", 1, ""));
    char *id = text("%s", str_at(j, "id"));
    (void)run_job(d, big_body("b", 1, "")); /* what it would have asked before is asked by now */
    sim_control(s, text("{'modified':%ld}", (long)time(NULL) + 60));
    expect(get(d, "/jobs/%s/outputs/0", id), 200, NULL);
    CHECK(views(s) == 1, "nothing was asked in the background");
}
END_TEST

/* Where a node puts a folder into the name, or gives a path as a string. */
START_TEST(test_places)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    json_t *j = run_job(
        d, q("{'1':{'class_type':'T_SleepOut','inputs':{'_ui':{"
             "'images':[{'filename':'video/sub_1.mp4','subfolder':'','type':'output'},"
             "{'filename':'/comfyui/output/deep/sub_2.mkv','subfolder':'x','type':'output'},"
             "{'filename':'er/sub_3.svg','subfolder':'sub/deep','type':'output'}],"
             "'result':['3d/sub_4.glb',null,{'yaw':1}],'path':['video/sub_1.mp4'],"
             "'text':['a',' ','c','a','t']}}}}"));
    char *id = text("%s", str_at(j, "id"));
    static const char *const want[][3] = {
        {"sub_1.mp4", "video", "video/mp4"},
        {"sub_2.mkv", "/comfyui/output/deep", "video/matroska"},
        {"sub_3.svg", "sub/deep/er", "image/svg+xml"},
        {"text.txt", "", "text/plain"},
        {"sub_4.glb", "3d", "model/gltf-binary"},
    };
    json_t *list = at(get(d, "/jobs/%s/outputs", id)->json, "outputs");
    CHECK(json_array_size(list) == 5, "%zu", json_array_size(list));
    for (size_t i = 0; i < 5; i++) {
        json_t *o = json_array_get(list, i);
        CHECK(strcmp(str_at(o, "name"), want[i][0]) == 0 &&
                  strcmp(str_at(o, "subfolder"), want[i][1]) == 0 &&
                  strcmp(str_at(o, "mediaType"), want[i][2]) == 0,
              "%s", json_dumps(o, 0));
        struct answer *a = get(d, "%s", str_at(o, "url"));
        expect(a, 200, NULL);
        CHECK((strcmp(want[i][2], "image/svg+xml") == 0) ==
                  (strstr(header_of(a, "Content-Disposition"), "attachment") != NULL) ||
              i == 4);
    }
    CHECK(strcmp(get(d, "/jobs/%s/outputs/3", id)->body, "a cat") == 0);
}
END_TEST

static char *streaming(const char *class_type, int images)
{
    static int n; /* each is another one: none of its nodes is cached */
    return q("{'1':{'class_type':'EmptyImage','inputs':{'color':%d}},"
             "'2':{'class_type':'KSampler','inputs':{'x':['1',0],'_ms':20,'_steps':3,"
             "'_previews':3}},"
             "'3':{'class_type':'%s','inputs':{'images':['2',0],'_ms':20,'_steps':%d,"
             "'_previews':%d,'_preview_bytes':3000,'_ui':{'note':[1]}}}}",
             n++, class_type, images, images);
}

static void expect_streamed(struct daemon *d, const char *id, size_t n)
{
    json_t *list = at(get(d, "/jobs/%s/outputs", id)->json, "outputs");
    CHECK(json_array_size(list) == n, "%zu", json_array_size(list));
    for (size_t i = 0; i < n; i++) {
        json_t *o = json_array_get(list, i);
        CHECK(strcmp(str_at(o, "nodeId"), "3") == 0 && strcmp(str_at(o, "kept"), "yes") == 0 &&
                  strcmp(str_at(o, "kind"), "image") == 0 &&
                  strcmp(str_at(o, "mediaType"), "image/jpeg") == 0 && num_at(o, "size") == 3000,
              "%s", json_dumps(o, 0));
        struct answer *a = get(d, "%s", str_at(o, "url"));
        expect(a, 200, NULL);
        CHECK(a->len == 3000 && memcmp(a->body, "\xff\xd8\xff\xe0", 4) == 0 &&
                  memmem(a->body, a->len, "\xff\xda", 2) &&
                  memcmp(a->body + a->len - 2, "\xff\xd9", 2) == 0 &&
                  (size_t)(unsigned char)a->body[27] == i + 1,
              "the images in their order");
    }
}

/* SaveImageWebsocket: no server has its images afterwards. */
START_TEST(test_streamed_images)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .config = "outputs: {streamClasses: [PreviewImage]}\n");
    char *ids[3];
    for (int i = 0; i < 3; i++) {
        sim_control(s, text("{'plain_previews':%s}", i == 1 ? "true" : "false"));
        json_t *j = run_job(d, streaming(i == 2 ? "PreviewImage" : "SaveImageWebsocket", 4));
        CHECK(strcmp(str_at(j, "state"), "completed") == 0);
        ids[i] = text("%s", str_at(j, "id"));
        expect_streamed(d, ids[i], 4);
    }
    json_t *j = get(d, "/jobs/%s", ids[0])->json;
    CHECK(json_array_size(at(j, "outputs.3.streamed")) == 4 &&
          json_array_size(at(j, "outputs.3.note")) == 1 && at(j, "outputsTruncated") == NULL);
    daemon_kill(d);
    d = DAEMON(.sims = {s});
    await_ready(d);
    expect_streamed(d, ids[0], 4);
    expect_streamed(d, ids[1], 4);
    const size_t files = files_in(d, "outputs");
    expect(ask(d, "DELETE", text("/jobs/%s", ids[1]), NULL, NULL), 204, NULL);
    CHECK(files_in(d, "outputs") == files - 4, "its images go with the job");
    /* Another node's images, and those of a job that fails in the end, are no outputs. */
    j = run_job(d, streaming("PreviewImage", 2));
    CHECK(json_array_size(at(get(d, "/jobs/%s/outputs", str_at(j, "id"))->json, "outputs")) == 0);
}
END_TEST

/* Nobody's hash opens a file: a server may write what it likes into a ui output. */
START_TEST(test_claimed_images)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    json_t *j = run_job(d, streaming("SaveImageWebsocket", 1));
    const char *hash =
        str_at(get(d, "/jobs/%s", str_at(j, "id"))->json, "outputs.3.streamed.0.sha256");
    CHECK(strlen(hash) == 64);
    j = run_job(d, q("{'1':{'class_type':'T_SleepOut','inputs':{'_ui':{'streamed':[{'filename':"
                     "'a.jpeg','subfolder':'','type':'streamed','sha256':'%s'}]}}}}",
                     hash));
    json_t *list = get(d, "/jobs/%s/outputs", str_at(j, "id"))->json;
    CHECK(strcmp(str_at(list, "outputs.0.kept"), "no") == 0);
    expect(get(d, "/jobs/%s/outputs/0", str_at(j, "id")), 404, "output_unavailable");
}
END_TEST

/* What a server calls its own list "streamed" goes: a member stands once. */
START_TEST(test_streamed_twice)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    json_t *j =
        run_job(d, q("{'1':{'class_type':'EmptyImage','inputs':{'color':7}},"
                     "'3':{'class_type':'SaveImageWebsocket','inputs':{'images':['1',0],'_ms':20,"
                     "'_steps':2,'_previews':2,'_preview_bytes':3000,"
                     "'_ui':{'streamed':[{'filename':'a.png','type':'streamed'}],'note':[1]}}}}"));
    CHECK(json_array_size(at(j, "outputs.3.streamed")) == 2 &&
              json_array_size(at(j, "outputs.3.note")) == 1,
          "%s", json_dumps(at(j, "outputs"), 0));
    expect_streamed(d, str_at(j, "id"), 2);
}
END_TEST

/* A list has an end, and the job says that there were more. */
START_TEST(test_listed)
{
    enum { TEXTS = 25001 };
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    json_t *texts = json_array();
    for (int i = 0; i < TEXTS; i++) {
        json_array_append_new(texts, json_sprintf("%d is one", i));
    }
    json_t *graph = json_pack("{s:{s:{s:s, s:{s:{s:o}}}}}", "workflow", "1", "class_type",
                              "T_SleepOut", "inputs", "_ui", "text", texts);
    char *body = json_dumps(graph, 0);
    json_decref(graph);
    json_t *j = run_job(d, body);
    free(body);
    CHECK(json_is_true(at(j, "outputsTruncated")));
    const char *url = text("/jobs/%s/outputs", str_at(j, "id"));
    CHECK(json_array_size(at(get(d, "%s", url)->json, "outputs")) == TEXTS - 1);
    expect(get(d, "%s/%d", url, TEXTS - 2), 200, NULL);
    expect(get(d, "%s/%d", url, TEXTS - 1), 404, "output_not_found");
}
END_TEST

/* Images that came while nobody listened are nowhere: the job says so. */
START_TEST(test_streamed_missed)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *id = submit(d, streaming("SaveImageWebsocket", 4));
    AWAIT(ledger_count(s, "accepted", NULL) == 1);
    daemon_kill(d);
    AWAIT(ledger_count(s, "success", NULL) == 1);
    d = DAEMON(.sims = {s});
    json_t *j = await_end(d, id);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0 && json_is_true(at(j, "outputsTruncated")),
          "%s", json_dumps(j, 0));
}
END_TEST

/* Its prompt has ended, and its images are not all on disk: a stop waits for them. */
START_TEST(test_streamed_stop)
{
    enum { IMAGES = 100 };
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    char *id = submit(d, streaming("SaveImageWebsocket", IMAGES));
    AWAIT(ledger_count(s, "success", NULL) == 1);
    AWAIT(num_at(get(d, "/backends")->json, "backends.0.inFlight") == 0);
    daemon_stop(d);
    d = DAEMON(.sims = {s});
    await_end(d, id);
    CHECK(json_array_size(at(get(d, "/jobs/%s/outputs", id)->json, "outputs")) == IMAGES);
}
END_TEST

/* The images of a job go some a turn. */
START_TEST(test_streamed_leave)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    const char *first = str_at(run_job(d, streaming("SaveImageWebsocket", 2)), "id");
    const size_t files = files_in(d, "outputs");
    json_t *j = run_job(d, streaming("SaveImageWebsocket", 700));
    expect(ask(d, "DELETE", text("/jobs/%s", str_at(j, "id")), NULL, NULL), 204, NULL);
    AWAIT(files_in(d, "outputs") <= files);
    expect_streamed(d, first, 2);
}
END_TEST

/* A crowd of images at once takes a few descriptors, not one each. */
START_TEST(test_streamed_crowd)
{
    enum { IMAGES = 400, ROOM = 24 };
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    await_ready(d);
    struct rlimit was;
    CHECK(prlimit(d->pid, RLIMIT_NOFILE, NULL, &was) == 0);
    const struct rlimit few = {(rlim_t)open_files(d) + ROOM, was.rlim_max};
    CHECK(prlimit(d->pid, RLIMIT_NOFILE, &few, NULL) == 0);
    json_t *j = run_job(d, streaming("SaveImageWebsocket", IMAGES));
    CHECK(at(j, "outputsTruncated") == NULL);
    json_t *list = at(get(d, "/jobs/%s/outputs", str_at(j, "id"))->json, "outputs");
    CHECK(json_array_size(list) == IMAGES, "%zu", json_array_size(list));
    for (size_t i = 0; i < IMAGES; i++) {
        CHECK(strcmp(str_at(json_array_get(list, i), "kept"), "yes") == 0);
    }
}
END_TEST

/* More images than outputs.maxBytes has room for. */
START_TEST(test_streamed_room)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .config = "outputs: {maxBytes: 7000}\n");
    json_t *j = run_job(d, streaming("SaveImageWebsocket", 4));
    CHECK(json_is_true(at(j, "outputsTruncated")));
    expect_streamed(d, str_at(j, "id"), 2);
}
END_TEST

/* A job keeps 16 MiB of output JSON, and says when there was more. */
START_TEST(test_truncated)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s});
    json_t *j = run_job(d, q("{'1':{'class_type':'T_Text','inputs':{'size':17825792,'_ms':0}},"
                             "'2':{'class_type':'T_Text','inputs':{'size':5,'_ms':0}}}"));
    CHECK(json_is_true(at(j, "outputsTruncated")) && at(j, "outputs.1") == NULL &&
          at(j, "outputs.2") != NULL);
    CHECK(strstr(read_file(d->err), "left out") != NULL);
}
END_TEST

Suite *outputs_suite(void)
{
    static const struct named_test tests[] = {
        {"outputs", &test_outputs, 1},
        {"part of an output", &test_part_of_an_output, 1},
        {"big output", &test_big_output, 1},
        {"stop in mid-stream", &test_stop_in_mid_stream, 1},
        {"copies", &test_copies, 1},
        {"copies resume", &test_copies_resume, 1},
        {"copies and room", &test_copies_room, 1},
        {"another file", &test_another_file, 1},
        {"unchecked files", &test_unchecked_files, 1},
        {"places of files", &test_places, 1},
        {"truncated", &test_truncated, 1},
        {"streamed images", &test_streamed_images, 1},
        {"claimed images", &test_claimed_images, 1},
        {"streamed twice", &test_streamed_twice, 1},
        {"a list has an end", &test_listed, 1},
        {"streamed images are missed", &test_streamed_missed, 1},
        {"streamed images and a stop", &test_streamed_stop, 1},
        {"streamed images leave", &test_streamed_leave, 1},
        {"a crowd of streamed images", &test_streamed_crowd, 1},
        {"streamed images and room", &test_streamed_room, 1},
    };
    return SUITE("outputs", 60, tests);
}
