/* Files that jobs are given: uploads, parts and base64, and how they come to the backends. */
#include "harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suites.h"

#define HELLO "hello, file"

static char *upload(struct daemon *d, const char *bytes)
{
    struct answer *a = ask(d, "POST", "/uploads", "Content-Type: image/png", bytes);
    expect(a, 201, NULL);
    return text("%s", str_at(a->json, "sha256"));
}

static char *graph(int n)
{
    return q("{'1':{'class_type':'LoadImage','inputs':{'image':'x.png','n':%d}},'2':{'class_type':"
             "'SaveImage','inputs':{'images':['1',0]}}}",
             n);
}

static char *with(int n, const char *source)
{
    return text("{\"workflow\":%s,\"attachments\":[{\"nodeId\":\"1\",\"inputName\":\"image\",%s}]}",
                graph(n), source);
}

static double uploads_at(struct sim *s)
{
    const double n = num_at(sim_get(s, "/__sim"), "http.POST /upload");
    return n > 0 ? n : 0;
}

static const char *input_of(struct sim *s)
{
    json_t *history = sim_get(s, "/history?max_items=1");
    json_t *prompt =
        json_array_get(at(json_object_iter_value(json_object_iter(history)), "prompt"), 2);
    return str_at(prompt, "1.inputs.image");
}

START_TEST(test_uploads)
{
    struct daemon *d = DAEMON(.no_profile = true);
    char *sha = upload(d, HELLO);
    struct answer *a = get(d, "/uploads/%s", sha);
    CHECK(a->status == 200 && strcmp(a->body, HELLO) == 0);
    CHECK(strcmp(header_of(a, "X-Content-Type-Options"), "nosniff") == 0);
    CHECK(ask(d, "HEAD", text("/uploads/%s", sha), NULL, NULL)->status == 200);
    expect(ask(d, "PUT", text("/uploads/%s", sha), "Content-Type: a/b", HELLO), 200, NULL);
    char *other = "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"; /* "other" */
    expect(ask(d, "PUT", text("/uploads/%s", other), NULL, "other"), 201, NULL);
    expect(ask(d, "DELETE", text("/uploads/%s", other), NULL, NULL), 204, NULL);
    expect(ask(d, "PUT", text("/uploads/%s", sha), "Content-Type: a/b", "other"), 422,
           "upload_hash_mismatch");
    expect(get(d, "/uploads/%s", other), 404, "upload_not_found");
    expect(get(d, "/uploads/%064d", 0), 404, "upload_not_found");
    expect(get(d, "/uploads/..%%2f..%%2fsecret"), 404, "upload_not_found");
    daemon_kill(d);
    d = DAEMON(.no_profile = true);
    CHECK(strcmp(get(d, "/uploads/%s", sha)->body, HELLO) == 0, "it outlives the daemon");
    expect(ask(d, "DELETE", text("/uploads/%s", sha), NULL, NULL), 204, NULL);
    expect(get(d, "/uploads/%s", sha), 404, "upload_not_found");
    expect(ask(d, "DELETE", text("/uploads/%s", sha), NULL, NULL), 404, "upload_not_found");
}
END_TEST

/* Once for each content and connection, under the name that the server gave it. */
START_TEST(test_sent_once)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    await_backends_up(d, 1);
    char *sha = upload(d, HELLO);
    for (int i = 0; i < 3; i++) {
        json_t *j = run_job(d, with(i, q("'upload':'%s','filename':'cat.PNG'", sha)));
        CHECK(strcmp(str_at(j, "state"), "completed") == 0);
        CHECK(strcmp(input_of(s), text("comfypool/%.32s.PNG", sha)) == 0, "%s", input_of(s));
        CHECK(strstr(get(d, "/jobs/%s/workflow", str_at(j, "id"))->body, "x.png") != NULL);
    }
    CHECK(uploads_at(s) == 1);
    (void)run_job(d, with(4, q("'data':'aGVsbG8sIGZpbGU=','filename':'b.PNG'")));
    CHECK(uploads_at(s) == 1, "the same content by another way");
    sim_control(s, "{'drop':true}");
    AWAIT(strcmp(str_at(get(d, "/backends/s0")->json, "state"), "up") != 0);
    (void)run_job(d, with(5, q("'upload':'%s','filename':'cat.PNG'", sha)));
    CHECK(uploads_at(s) == 2, "the backend may have lost it");
}
END_TEST

/* Refused was what the job without its file was: those that have theirs go anywhere. */
START_TEST(test_refused_without_file)
{
    static const char slow[] =
        "{'1':{'class_type':'LoadImage','inputs':{'image':'x.png'}},'2':{'class_type':'SaveImage',"
        "'inputs':{'images':['1',0],'_ms':1500}}}";
    struct sim *s[2] = {sim_plain(), sim_plain()};
    struct daemon *d = DAEMON(.sims = {s[0], s[1]}, .no_profile = true);
    await_backends_up(d, 2);
    char *bad = q("{'workflow':%s}", slow);
    char *good =
        q("{'workflow':%s,'attachments':[{'nodeId':'1','inputName':'image','upload':'%s'}]}", slow,
          upload(d, HELLO));
    expect(post(d, "/queue/pause", ""), 200, NULL);
    char *lost = submit(d, bad);
    char *other = submit(d, bad);
    char *ids[2] = {submit(d, good), submit(d, good)};
    expect(post(d, "/queue/resume", ""), 200, NULL);
    CHECK(strcmp(str_at(await_end(d, lost), "error.code"), "workflow_not_supported") == 0);
    CHECK(strcmp(str_at(await_end(d, other), "error.code"), "workflow_not_supported") == 0);
    AWAIT(is_state(d, ids[0], "running") && is_state(d, ids[1], "running"));
    for (size_t i = 0; i < 2; i++) {
        CHECK(strcmp(str_at(await_end(d, ids[i]), "state"), "completed") == 0);
    }
    CHECK(num_at(get(d, "/jobs/%s", ids[0])->json, "attempts") == 1);
}
END_TEST

/* Of what is kept already no byte is asked for. */
START_TEST(test_need_not_come)
{
    struct daemon *d = DAEMON(.no_profile = true);
    char *sha = upload(d, HELLO);
    char *head =
        text("PUT /uploads/%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 1000000\r\n"
             "Expect: 100-continue\r\n\r\n",
             sha, d->port);
    int fd = raw_open(d->port);
    raw_send(fd, head, strlen(head));
    struct answer *a = raw_answer(fd);
    expect(a, 200, NULL);
    CHECK(strcmp(str_at(a->json, "sha256"), sha) == 0 && num_at(a->json, "size") == strlen(HELLO));
    CHECK(strcmp(header_of(a, "Connection"), "close") == 0);
    expect(ask(d, "PUT", text("/uploads/%s", sha), "Expect: 100-continue", HELLO), 200, NULL);
    expect(ask(d, "DELETE", text("/uploads/%s", sha), NULL, NULL), 204, NULL);
    expect(ask(d, "PUT", text("/uploads/%s", sha), "Expect: 100-continue", HELLO), 201, NULL);
}
END_TEST

/* The files of a batch come with it. */
START_TEST(test_multipart_batch)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    char *job =
        text("{\"overrides\":[%s],%s", q("{'1.n':5},{'1.n':6}"), with(1, q("'part':'pic'")) + 1);
    char *body = text("--q1\r\nContent-Disposition: form-data; name=\"job\"\r\n\r\n%s\r\n--q1\r\n"
                      "Content-Disposition: form-data; name=\"pic\"; filename=\"a.png\"\r\n\r\n1"
                      "\r\n--q1--\r\n",
                      job);
    static const char type[] = "Content-Type: multipart/form-data; boundary=q1\nIdempotency-Key: k";
    struct answer *a = ask(d, "POST", "/batches", type, body);
    expect(a, 202, NULL);
    char *id = text("%s", str_at(a->json, "id"));
    AWAIT(num_at(get(d, "/batches/%s", id)->json, "counts.completed") == 2);
    CHECK(uploads_at(s) == 1);
    a = ask(d, "POST", "/batches", type, body);
    CHECK(strcmp(str_at(a->json, "id"), id) == 0, "the same key: the same batch");
    *strstr(body, "\r\n1\r\n") = '\r';
    strstr(body, "\r\n1\r\n")[2] = '2';
    expect(ask(d, "POST", "/batches", type, body), 422, "idempotency_key_reused");
}
END_TEST

START_TEST(test_multipart)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    static const char type[] = "Content-Type: multipart/form-data; boundary=q1";
    char *body = text("--q1\r\nContent-Disposition: form-data; name=\"job\"\r\n\r\n%s\r\n"
                      "--q1\r\nContent-Disposition: form-data; name=\"pic\"; filename=\"a.png\""
                      "\r\n\r\n--q not a boundary\r\n\r\n--q1--\r\n",
                      with(1, q("'part':'pic'")));
    struct answer *a = ask(d, "POST", "/jobs?wait=60", text("%s\nIdempotency-Key: k", type), body);
    expect(a, 200, NULL);
    CHECK(strstr(input_of(s), ".png") != NULL, "%s", input_of(s));
    struct answer *again =
        ask(d, "POST", "/jobs?wait=60", text("%s\nIdempotency-Key: k", type), body);
    CHECK(strcmp(str_at(again->json, "id"), str_at(a->json, "id")) == 0);
    static const struct {
        const char *body;
        const char *code;
        const char *said;
    } bad[] = {
        {"--q1\r\nContent-Disposition: form-data; name=\"job\"\r\n\r\n{}", "member_invalid", ""},
        {"--q1\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--q1--\r\n",
         "member_invalid", "no part job, which holds the JSON; its parts are: x\""},
        {"--q1\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n"
         "--q1\r\nContent-Disposition: form-data; name=\"y\"\r\n\r\n1\r\n--q1--\r\n",
         "member_invalid", "its parts are: x, y\""},
        {"--q1\r\nContent-Disposition: form-data; name=\"job\"\r\n\r\n{}\r\n"
         "--q1\r\nContent-Disposition: form-data; name=\"job\"\r\n\r\n{}\r\n--q1--\r\n",
         "member_invalid", "two parts are named job;"},
        {"--q1\r\nContent-Disposition: form-data\r\n\r\n1\r\n--q1--\r\n", "member_invalid", ""},
        {"--q1\r\nX: y\r\n\r\n1\r\n--q1--\r\n", "member_invalid", ""},
        {"--q1 \r\n\r\n", "member_invalid", ""},
        {"", "member_invalid", ""},
        {"--q1\r\nContent-Disposition: form-data; name=\"job\"\r\n\r\n{oops\r\n--q1--\r\n",
         "json_invalid", ""},
    };
    body = text("--q1\r\nContent-Disposition: form-data; name=\"job\"\r\n\r\n%s\r\n--q1\r\n"
                "Content-Disposition: form-data; name=\"pic\"; filename=\"../../a.png\"\r\n\r\n1"
                "\r\n--q1--\r\n",
                with(1, q("'part':'pic'")));
    a = ask(d, "POST", "/jobs", type, body);
    expect(a, 400, "attachment_name_invalid");
    CHECK(strcmp(str_at(a->json, "pointer"), "/attachments/0/part") == 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        a = ask(d, "POST", "/jobs", type, bad[i].body);
        CHECK(a->status == 400 && strcmp(str_at(a->json, "code"), bad[i].code) == 0 &&
                  strstr(a->body, bad[i].said) != NULL,
              "%zu: %s", i, a->body);
    }
    expect(ask(d, "POST", "/jobs", "Content-Type: multipart/form-data", "x"), 415,
           "media_type_unsupported");
    a = ask(d, "POST", "/jobs", type,
            text("--q1\r\nContent-Disposition: form-data; name=\"job\"\r\n\r\n%s\r\n--q1--\r\n",
                 with(1, q("'part':'nope'"))));
    expect(a, 400, "attachment_part_missing");
    CHECK(strcmp(str_at(a->json, "pointer"), "/attachments/0/part") == 0);
}
END_TEST

static const struct {
    const char *attachment;
    int status;
    const char *code;
    const char *pointer;
} bad_attachments[] = {
    {"{'nodeId':'1','inputName':'i','data':'eA==','filename':'../x'}", 400,
     "attachment_name_invalid", "/attachments/0/filename"},
    {"{'nodeId':'1','inputName':'i','data':'eA==','filename':'a\\\\b'}", 400,
     "attachment_name_invalid", "/attachments/0/filename"},
    {"{'nodeId':'1','inputName':'i','data':'eA==','filename':'a\\u0000'}", 400,
     "attachment_name_invalid", "/attachments/0/filename"},
    {"{'nodeId':'1','inputName':'i','data':'eA==','filename':'..'}", 400, "attachment_name_invalid",
     "/attachments/0/filename"},
    {"{'nodeId':'1','inputName':'i','data':'eA='}", 400, "attachment_data_invalid",
     "/attachments/0/data"},
    {"{'nodeId':'1','inputName':'i','data':5}", 400, "member_invalid", "/attachments/0/data"},
    {"{'nodeId':'7','inputName':'i','data':'eA=='}", 400, "attachment_node_not_found",
     "/attachments/0/nodeId"},
    {"{'nodeId':'1','inputName':'i','upload':'xyz'}", 400, "member_invalid",
     "/attachments/0/upload"},
    {"{'nodeId':'1','inputName':'i'}", 400, "member_invalid", "/attachments/0"},
    {"{'nodeId':'1','data':'eA=='}", 400, "member_invalid", "/attachments/0"},
    {"{'nodeId':'1','inputName':'i','data':'eA==','part':'p'}", 400, "member_invalid",
     "/attachments/0"},
    {"{'nodeId':'1','inputName':'i','data':'eA==','moon':1}", 400, "member_unknown",
     "/attachments/0/moon"},
    {"{'nodeId':'1','inputName':'i','data':'eA=='},{'nodeId':'1','inputName':'i','data':'eA=='}",
     400, "member_invalid", "/attachments/1"},
    {"5", 400, "member_invalid", "/attachments/0"},
    {"{'nodeId':'1','inputName':'i','upload':"
     "'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff'}",
     404, "upload_not_found", "/attachments/0"},
};

START_TEST(test_bad_attachments)
{
    struct daemon *d = DAEMON(.no_profile = true);
    for (size_t i = 0; i < sizeof bad_attachments / sizeof *bad_attachments; i++) {
        struct answer *a = post(d, "/jobs",
                                text("{\"workflow\":%s,\"attachments\":[%s]}", graph(1),
                                     q("%s", bad_attachments[i].attachment)));
        CHECK(a->status == bad_attachments[i].status &&
                  strcmp(str_at(a->json, "code"), bad_attachments[i].code) == 0 &&
                  strcmp(str_at(a->json, "pointer"), bad_attachments[i].pointer) == 0,
              "%s: %s", bad_attachments[i].attachment, a->body);
    }
    static const char url[] = "'nodeId':'1','inputName':'i','data':'data:image/png;base64,eA=='";
    struct answer *a =
        post(d, "/jobs", text("{\"workflow\":%s,\"attachments\":[{%s}]}", graph(1), q("%s", url)));
    expect(a, 400, "attachment_data_invalid");
    CHECK(strstr(str_at(a->json, "detail"), "up to the comma") != NULL);
    CHECK(json_array_size(at(get(d, "/jobs")->json, "jobs")) == 0, "nothing was queued");
}
END_TEST

/* What an active job needs is never deleted or evicted; over a kill, too. */
START_TEST(test_held)
{
    struct sim *s = sim_plain();
    struct daemon *d =
        DAEMON(.sims = {s}, .no_profile = true, .config = "uploads: {maxBytes: 30}\n");
    char *busy = submit(d, sleep_body("busy", 60000, ""));
    AWAIT(is_at_node(d, busy, "1"));
    char *first = upload(d, "0123456789");
    char *id = submit(d, with(1, q("'upload':'%s'", first)));
    expect(ask(d, "DELETE", text("/uploads/%s", first), NULL, NULL), 409, "job_active");
    char *second = upload(d, "abcdefghijklmno");
    (void)upload(d, "ABCDEFGHIJKLMNO"); /* no room for both: the older one that nobody needs goes */
    expect(get(d, "/uploads/%s", second), 404, "upload_not_found");
    expect(get(d, "/uploads/%s", first), 200, NULL);
    expect(ask(d, "POST", "/uploads", NULL, "0123456789012345678901234"), 413, "upload_too_large");
    expect(ask(d, "POST", "/uploads", NULL, "0123456789012345678901234567890"), 413,
           "upload_too_large");
    daemon_kill(d);
    d = DAEMON(.sims = {s}, .no_profile = true, .config = "uploads: {maxBytes: 30}\n");
    expect(ask(d, "DELETE", text("/uploads/%s", first), NULL, NULL), 409, "job_active");
    (void)cancel(d, busy);
    CHECK(strcmp(str_at(await_end(d, id), "state"), "completed") == 0);
    CHECK(strstr(input_of(s), text("%.32s", first)) != NULL);
    expect(ask(d, "DELETE", text("/uploads/%s", first), NULL, NULL), 204, NULL);
}
END_TEST

/* Data that is kept already is used now, like an upload that is named. */
START_TEST(test_data_is_a_use)
{
    struct sim *s = sim_plain();
    struct daemon *d =
        DAEMON(.sims = {s}, .no_profile = true, .config = "uploads: {maxBytes: 30}\n");
    await_backends_up(d, 1);
    char *first = upload(d, "0123456789");
    char *second = upload(d, "abcdefghij");
    (void)run_job(d, with(1, q("'data':'MDEyMzQ1Njc4OQ=='")));
    (void)upload(d, "ABCDEFGHIJKLMNO");
    AWAIT(get(d, "/uploads/%s", second)->status == 404);
    expect(get(d, "/uploads/%s", first), 200, NULL);
}
END_TEST

/* Thousands of files go for one that needs their room; others are answered in between. */
START_TEST(test_much_room_is_made)
{
    enum { FILES = 6000 };
    struct daemon *d = DAEMON(.no_profile = true);
    daemon_stop(d);
    for (int i = 0; i < FILES; i++) { /* what has no row gets one at the start */
        const char *dir = text("%s/uploads/%02x", d->state, i % 256);
        CHECK(i >= 256 || mkdir(dir, 0700) == 0);
        const int fd = open(text("%s/%02x%062d", dir, i % 256, i), O_WRONLY | O_CREAT, 0600);
        CHECK(fd >= 0 && write(fd, "1", 1) == 1);
        (void)close(fd);
    }
    d = DAEMON(.no_profile = true, .config = text("uploads: {maxBytes: %d}\n", FILES));
    CHECK(num_at(get(d, "/stats")->json, "uploads.files") == FILES);
    const int fd = raw_open(d->port);
    const char *large = text("POST /uploads HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                             "Content-Length: %d\r\n\r\n%0*d",
                             FILES, FILES, 7);
    raw_send(fd, large, strlen(large));
    unsigned between = 0;
    double files = FILES;
    while (files > 1) {
        files = num_at(get(d, "/stats")->json, "uploads.files");
        between += files > 1 && files < FILES ? 1 : 0;
    }
    expect(raw_answer(fd), 201, NULL);
    CHECK(between > 1, "%u", between);
    CHECK(num_at(get(d, "/stats")->json, "uploads.bytes") == FILES);
}
END_TEST

/* Somebody empties the server's input folder while we are connected. */
START_TEST(test_sent_again)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    await_backends_up(d, 1);
    char *sha = upload(d, HELLO);
    char *one = text("{\"maxAttempts\":1,%s", with(1, q("'upload':'%s'", sha)) + 1);
    (void)run_job(d, one);
    sim_control(s, "{'emptied':true}");
    json_t *j = run_job(d, one);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0, "%s", str_at(j, "error.message"));
    CHECK(num_at(j, "attempts") == 2 && uploads_at(s) == 2);
    struct answer *a = get(d, "/jobs/%s/attempts", str_at(j, "id"));
    CHECK(strcmp(str_at(a->json, "attempts.0.outcome"), "rejected") == 0);
    /* It says the same of a file that has just come: then it means it. */
    j = run_job(d,
                text("{\"workflow\":%s,%s}",
                     q("{'1':{'class_type':'LoadImage','inputs':{'image':'x','_invalid':true}},"
                       "'2':{'class_type':'SaveImage','inputs':{'images':['1',0]}}}"),
                     q("'attachments':[{'nodeId':'1','inputName':'image','upload':'%s'}]", sha)));
    CHECK(strcmp(str_at(j, "error.code"), "workflow_not_supported") == 0 &&
          num_at(j, "attempts") == 2);
}
END_TEST

/* A job that has ended holds nothing; tried again, it needs its file. */
START_TEST(test_retry_without_file)
{
    struct daemon *d = DAEMON(.no_profile = true);
    char *sha = upload(d, HELLO);
    char *id = submit(d, with(1, q("'upload':'%s'", sha)));
    (void)cancel(d, id);
    expect(ask(d, "DELETE", text("/uploads/%s", sha), NULL, NULL), 204, NULL);
    expect(post(d, text("/jobs/%s/retry", id), ""), 409, "job_not_retriable");
    (void)upload(d, HELLO);
    expect(post(d, text("/jobs/%s/retry", id), ""), 202, NULL);
    expect(ask(d, "DELETE", text("/uploads/%s", sha), NULL, NULL), 409, "job_active");
}
END_TEST

/* By whichever way it comes. */
START_TEST(test_too_large)
{
    static const char type[] = "Content-Type: multipart/form-data; boundary=q1";
    struct daemon *d = DAEMON(.no_profile = true, .config = "uploads: {maxFileBytes: 10}\n");
    expect(ask(d, "POST", "/uploads", NULL, "0123456789"), 201, NULL);
    expect(ask(d, "POST", "/uploads", NULL, "0123456789x"), 413, "upload_too_large");
    expect(post(d, "/jobs", with(1, "\"data\":\"MDEyMzQ1Njc4OQ==\"")), 202, NULL);
    expect(post(d, "/jobs", with(2, "\"data\":\"MDEyMzQ1Njc4OXg=\"")), 413, "upload_too_large");
    char *body = text("--q1\r\nContent-Disposition: form-data; name=\"job\"\r\n\r\n%s\r\n--q1\r\n"
                      "Content-Disposition: form-data; name=\"pic\"; filename=\"a\"\r\n\r\n"
                      "0123456789x\r\n--q1--\r\n",
                      with(3, q("'part':'pic'")));
    expect(ask(d, "POST", "/jobs", type, body), 413, "upload_too_large");
    CHECK(json_array_size(at(get(d, "/jobs")->json, "jobs")) == 1);
}
END_TEST

/* A retry on another backend sends it there; where it cannot be sent no prompt is. */
START_TEST(test_retry_elsewhere)
{
    struct sim *s[2] = {sim_start("--fault", "http500@*", NULL), sim_plain()};
    struct daemon *d = DAEMON(.sims = {s[0], s[1]}, .no_profile = true,
                              .config = "link: {submitSettleMs: 100}\njobs: {retryDelayMs: 10}\n");
    await_backends_up(d, 2);
    char *sha = upload(d, HELLO);
    for (int i = 0; i < 3; i++) {
        json_t *j = run_job(d, with(i, q("'upload':'%s'", sha)));
        CHECK(strcmp(str_at(j, "state"), "completed") == 0 &&
              strcmp(str_at(j, "backend"), "s1") == 0);
    }
    CHECK(uploads_at(s[1]) == 1);
    /* Its file is gone: an attempt that failed, and no prompt without its input. */
    const int posted = ledger_count(s[1], "posted", NULL);
    sim_control(s[1], "{'drop':true}");
    AWAIT(strcmp(str_at(get(d, "/backends/s1")->json, "state"), "up") != 0);
    (void)remove(text("%s/uploads/%.2s/%s", d->state, sha, sha));
    json_t *j = run_job(d, text("{\"maxAttempts\":1,%s", with(9, q("'upload':'%s'", sha)) + 1));
    CHECK(strcmp(str_at(j, "error.code"), "upload_failed") == 0, "%s", str_at(j, "error.code"));
    CHECK(ledger_count(s[1], "posted", NULL) == posted);
}
END_TEST

/* Two jobs wait for the same two files at once: a small one, which comes first, and a large one. */
START_TEST(test_sent_for_several)
{
    enum { LARGE = 24 << 20 };
    struct sim *s = sim_plain();
    struct daemon *d =
        DAEMON(.no_profile = true,
               .config = text("backends: [{name: s0, url: '%s', maxInFlight: 2}]\n", s->url));
    await_backends_up(d, 1);
    char *small = upload(d, HELLO);
    char *large = upload(d, text("%0*d", LARGE, 0));
    char *ids[4];
    expect(post(d, "/queue/pause", ""), 200, NULL);
    for (int i = 0; i < 4; i++) {
        ids[i] = submit(d, text("{\"workflow\":%s,%s}", graph(i),
                                q("'attachments':[{'nodeId':'1','inputName':'image','upload':'%s'},"
                                  "{'nodeId':'1','inputName':'mask','upload':'%s'}]",
                                  small, large)));
    }
    expect(post(d, "/queue/resume", ""), 200, NULL);
    for (int i = 0; i < 4; i++) {
        CHECK(strcmp(str_at(await_end(d, ids[i]), "state"), "completed") == 0);
    }
    CHECK(uploads_at(s) == 2);
}
END_TEST

/* ---- outputs of other jobs ------------------------------------------------------------------- */

static char *chained(int n, const char *job, int output, const char *more)
{
    return text("{%s%s", more, with(n, q("'job':'%s','output':%d", job, output)) + 1);
}

/* An output is brought to where the next job runs, from its backend or from its copy. */
START_TEST(test_chain)
{
    struct sim *s[2] = {sim_plain(), sim_plain()};
    struct daemon *d = DAEMON(.sims = {s[0], s[1]}, .no_profile = true);
    await_backends_up(d, 2);
    char *first = submit(d, q("{'workflow':{'1':{'class_type':'SaveImage','inputs':{'_ms':300,"
                              "'_file':'a.jpg'}}},'backends':{'only':['s0']}}"));
    char *next = submit(d, chained(1, first, 0, q("'backends':{'only':['s1']},")));
    CHECK(strcmp(str_at(job_now(d, next), "waitingReason"), "dependency") == 0);
    json_t *j = await_end(d, next);
    CHECK(strcmp(str_at(j, "state"), "completed") == 0, "%s", str_at(j, "error.message"));
    CHECK(uploads_at(s[1]) == 1 && strstr(input_of(s[1]), ".jpg") != NULL, "%s", input_of(s[1]));
    struct answer *made = get(d, "/jobs/%s/outputs/0", first);
    char sha[65];
    (void)snprintf(sha, sizeof sha, "%.32s", strstr(input_of(s[1]), "/") + 1);
    FILE *f = popen(text("sha256sum %s/uploads/%.2s/%s*", d->state, sha, sha), "r");
    char sum[65] = "";
    CHECK(f != NULL && fscanf(f, "%64s", sum) == 1 && strncmp(sum, sha, 32) == 0);
    (void)pclose(f);
    expect(made, 200, NULL);
    /* It has ended already; and many that need the same. */
    for (int i = 0; i < 3; i++) {
        j = run_job(d, chained(10 + i, first, 0, ""));
        CHECK(strcmp(str_at(j, "state"), "completed") == 0);
    }
    expect(post(d, "/jobs", chained(2, first, 1, "")), 404, "output_not_found");
    struct answer *a = post(d, "/jobs", chained(2, "0190d3a4-5b00-7000-8000-000000000000", 0, ""));
    expect(a, 404, "dependency_not_found");
    CHECK(strcmp(str_at(a->json, "pointer"), "/attachments/0/job") == 0, "%s",
          str_at(a->json, "pointer"));
}
END_TEST

START_TEST(test_chain_breaks)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    await_backends_up(d, 1);
    char *gone = submit(d, sleep_body("a", 60000, ""));
    char *next = submit(d, chained(1, gone, 0, ""));
    (void)cancel(d, gone);
    CHECK(strcmp(str_at(await_end(d, next), "error.code"), "dependency_failed") == 0);
    /* Ended without such an output: known only then. */
    char *first = submit(d, sleep_body("b", 300, ""));
    next = submit(d, chained(2, first, 7, ""));
    json_t *j = await_end(d, next);
    CHECK(strcmp(str_at(j, "error.code"), "output_unavailable") == 0, "%s",
          str_at(j, "error.code"));
    /* The file cannot be had for a while, and the daemon is another one then. */
    sim_control(s, "{'broken':true}");
    first = text("%s", str_at(run_job(d, sleep_body("c", 1, "")), "id"));
    next = submit(d, chained(4, first, 0, ""));
    char *cancelled = submit(d, chained(5, first, 0, ""));
    CHECK(strcmp(str_at(job_now(d, next), "waitingReason"), "dependency") == 0);
    CHECK(strcmp(str_at(cancel(d, cancelled), "state"), "cancelled") == 0);
    daemon_kill(d);
    d = DAEMON(.sims = {s}, .no_profile = true);
    CHECK(strcmp(str_at(job_now(d, next), "waitingReason"), "dependency") == 0);
    sim_control(s, "{'broken':false}");
    CHECK(strcmp(str_at(await_end(d, next), "state"), "completed") == 0);
    /* From its copy, when the backend that made it is gone. */
    first = text("%s", str_at(run_job(d, q("{'workflow':{'1':{'class_type':'SaveImage','inputs':{"
                                           "'_ms':1}}},'outputs':{'keep':'copy'}}")),
                              "id"));
    AWAIT(strcmp(str_at(get(d, "/jobs/%s/outputs", first)->json, "outputs.0.kept"), "yes") == 0);
    sim_control(s, "{'broken':true}");
    CHECK(strcmp(str_at(run_job(d, chained(6, first, 0, "")), "state"), "completed") == 0);
}
END_TEST

Suite *inputs_suite(void)
{
    static const struct named_test tests[] = {
        {"uploads", &test_uploads, 1},
        {"sent once", &test_sent_once, 1},
        {"refused without its file", &test_refused_without_file, 0},
        {"multipart", &test_multipart, 1},
        {"bad attachments", &test_bad_attachments, 1},
        {"held", &test_held, 1},
        {"data is a use", &test_data_is_a_use, 1},
        {"much room is made", &test_much_room_is_made, 0},
        {"retry elsewhere", &test_retry_elsewhere, 1},
        {"chain", &test_chain, 1},
        {"chain breaks", &test_chain_breaks, 1},
        {"sent for several", &test_sent_for_several, 1},
        {"need not come", &test_need_not_come, 1},
        {"too large", &test_too_large, 1},
        {"retry without file", &test_retry_without_file, 1},
        {"sent again", &test_sent_again, 1},
        {"multipart batch", &test_multipart_batch, 1},
    };
    return SUITE("inputs", 90, tests);
}
