/*
 * How bodies come: files as the body of /uploads or in a form, forms that are wrong, and JSON that
 * comes compressed, is damaged, or becomes larger than anything that may come.
 */
#include "harness.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "suites.h"

#define HELLO "hello, file"

/* ---- forms ----------------------------------------------------------------------------------- */

/* A part of a form with boundary x. filename: NULL, or as it is written. */
static char *part(const char *name, const char *filename, const char *bytes)
{
    return text("--x\r\nContent-Disposition: form-data; name=\"%s\"%s%s%s\r\n\r\n%s\r\n", name,
                filename == NULL ? "" : "; filename=\"", filename == NULL ? "" : filename,
                filename == NULL ? "" : "\"", bytes);
}

static struct answer *send_form(struct daemon *d, const char *method, const char *path,
                                const char *parts)
{
    return ask(d, method, path, "Content-Type: multipart/form-data; boundary=x",
               text("%s--x--\r\n", parts));
}

static bool says(const struct answer *a, const char *word)
{
    return strstr(str_at(a->json, "detail"), word) != NULL;
}

START_TEST(test_upload_in_a_form)
{
    struct daemon *d = DAEMON(.no_profile = true);
    struct answer *a = send_form(d, "POST", "/uploads", part("file", "cat.png", HELLO));
    expect(a, 201, NULL);
    CHECK(num_at(a->json, "size") == strlen(HELLO));
    char *hash = text("%s", str_at(a->json, "sha256"));
    CHECK(strcmp(get(d, "/uploads/%s", hash)->body, HELLO) == 0);
    /* Any name will do; a part of the name "job" is a file like another. */
    expect(send_form(d, "POST", "/uploads", part("job", "x", HELLO)), 201, NULL);
    expect(send_form(d, "PUT", text("/uploads/%s", hash), part("f", "x", HELLO)), 200, NULL);
    expect(send_form(d, "PUT", text("/uploads/%s", hash), part("f", "x", "other")), 422,
           "upload_hash_mismatch");
    a = send_form(d, "POST", "/uploads",
                  text("%s%s", part("one", "a", "1"), part("two", "b", "2")));
    expect(a, 400, "member_invalid");
    CHECK(says(a, "two"));
    a = send_form(d, "POST", "/uploads", part("name", NULL, "value"));
    expect(a, 400, "member_invalid");
    CHECK(says(a, "name"));
    /* As to a server's /upload/image. */
    a = send_form(d, "POST", "/uploads",
                  text("%s%s", part("image", "cat.png", HELLO), part("type", NULL, "input")));
    expect(a, 400, "member_invalid");
    CHECK(says(a, "part type") && says(a, "no other part"), "%s", a->body);
    expect(send_form(d, "POST", "/uploads", ""), 400, "member_invalid");
    expect(send_form(d, "POST", "/uploads", part("file", "e", "")), 400, "upload_empty");
    expect(ask(d, "POST", "/uploads", "Content-Type: multipart/form-data", "x"), 415, NULL);
    expect(ask(d, "POST", "/uploads", "Content-Type: multipart/form-data; boundary=x",
               part("file", "cut.png", HELLO)),
           400, "member_invalid");
}
END_TEST

/* Without the @ curl sends the name of a file in place of what is in it. */
START_TEST(test_names_in_place_of_files)
{
    static const char form[] = "Content-Type: application/x-www-form-urlencoded";
    static const char attached[] = ",'attachments':[{'nodeId':'1','inputName':'a','part':'pic'}]";
    static const char *const names[] = {"cat.png", "../my cat.jpeg", "clip.mp4"};
    static const char *const good[] = {"name=cat.png\n", "prompt: a cat", "cat.png\ndog.png"};
    struct daemon *d = DAEMON(.no_profile = true);
    char *job = part("job", NULL, sleep_body("a", 1, q(attached)));
    char *batch =
        part("job", NULL, sleep_body("a", 1, q("%s,'overrides':[{'1._tag':'b'}]", attached)));
    const char *const paths[] = {"/jobs", "/batches", "/uploads"};
    const char *const jobs[] = {job, batch, ""};
    for (size_t i = 0; i < 3; i++) {
        struct answer *a =
            send_form(d, "POST", paths[i], text("%s%s", jobs[i], part("pic", NULL, "cat.png")));
        expect(a, 400, "member_invalid");
        CHECK(says(a, "no file") && says(a, "-F pic=@"), "%s", a->body);
    }
    for (size_t i = 0; i < 3; i++) {
        struct answer *a = ask(d, "POST", "/uploads", form, names[i]);
        expect(a, 400, "member_invalid");
        CHECK(says(a, "--data-binary @"), "%s", a->body);
        expect(ask(d, "POST", "/uploads", "Content-Type: text/plain", names[i]), 201, NULL);
        expect(ask(d, "POST", "/uploads", form, good[i]), 201, NULL);
    }
    CHECK(json_array_size(at(get(d, "/jobs")->json, "jobs")) == 0);
    /* Some clients give bytes no filename. */
    expect(send_form(d, "POST", "/jobs", text("%s%s", job, part("pic", NULL, "\x89PNG bytes"))),
           202, NULL);
}
END_TEST

/* What came with a request that was refused is nobody's: it goes, unless somebody has it. */
#define OTHER "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa" /* "other" */

START_TEST(test_files_of_refused_requests)
{
    static const char attached[] = ",'attachments':[{'nodeId':'1','inputName':'a','part':'p'}]";
    struct daemon *d = DAEMON(.no_profile = true);
    char *file = part("p", "x.png", "other");
    char *job = part("job", NULL, sleep_body("a", 1, q(attached)));
    const struct {
        const char *path;
        const char *parts;
    } refused[] = {
        {"/uploads", text("%s%s", file, part("two", "y", "2"))},
        {"/jobs", file},
        {"/jobs", text("%s%s", file, part("job", NULL, "{oops"))},
        {"/jobs", text("%s%s", file, part("job", NULL, sleep_body("a", 1, "")))},
        {"/jobs", text("%s%s%s", file, part("q", "y", "other"), job)},
        {"/batches", text("%s%s", job, file)},
    };
    enum { REFUSED = sizeof refused / sizeof *refused };
    for (size_t i = 0; i < REFUSED; i++) {
        CHECK(send_form(d, "POST", refused[i].path, refused[i].parts)->status == 400, "row %zu", i);
        expect(get(d, "/uploads/" OTHER), 404, "upload_not_found");
    }
    daemon_kill(d); /* a start would find a file that was left */
    d = DAEMON(.no_profile = true);
    expect(get(d, "/uploads/" OTHER), 404, "upload_not_found");
    expect(ask(d, "POST", "/uploads", "Content-Type: a/b", "other"), 201, NULL);
    for (size_t i = 0; i < REFUSED; i++) {
        CHECK(send_form(d, "POST", refused[i].path, refused[i].parts)->status == 400, "row %zu", i);
        expect(get(d, "/uploads/" OTHER), 200, NULL);
    }
    daemon_kill(d);
    d = DAEMON(.no_profile = true);
    CHECK(strcmp(get(d, "/uploads/" OTHER)->body, "other") == 0);
}
END_TEST

START_TEST(test_empty)
{
    struct daemon *d = DAEMON(.no_profile = true);
    expect(ask(d, "POST", "/uploads", "Content-Type: image/png", ""), 400, "upload_empty");
    expect(ask(d, "POST", "/uploads", "Content-Type: image/png\nTransfer-Encoding: chunked", ""),
           400, "upload_empty");
    expect(ask(d, "PUT", text("/uploads/%064d", 1), "Content-Type: image/png", ""), 400,
           "upload_empty");
    char *with_part =
        text("%s%s",
             part("job", NULL,
                  text("{\"workflow\":%s,\"attachments\":[{\"nodeId\":\"1\",\"inputName\":\"a\","
                       "\"part\":\"p\"}]}",
                       sleeper("a", 1))),
             part("p", "x.png", ""));
    expect(send_form(d, "POST", "/jobs", with_part), 400, "upload_empty");
}
END_TEST

START_TEST(test_part_that_nobody_wants)
{
    struct daemon *d = DAEMON(.no_profile = true);
    static const char attached[] =
        ",'attachments':[{'nodeId':'1','inputName':'a','part':'picture'}]";
    char *job = part("job", NULL, sleep_body("a", 1, q(attached)));
    char *bare = part("job", NULL, sleep_body("a", 1, ""));
    struct answer *a =
        send_form(d, "POST", "/jobs",
                  text("%s%s%s", job, part("picture", "x", "1"), part("left-over", "y", "2")));
    expect(a, 400, "member_invalid");
    CHECK(says(a, "left-over") && says(a, "picture"));
    a = send_form(d, "POST", "/jobs", text("%s%s", bare, part("left-over", "y", "2")));
    expect(a, 400, "member_invalid");
    CHECK(says(a, "left-over"));
    a = send_form(d, "POST", "/jobs", text("%s%s", bare, part("\xff\xfe", "y", "2")));
    expect(a, 400, "member_invalid");
    char *batch =
        part("job", NULL, sleep_body("a", 1, q("%s,'overrides':[{'1._tag':'b'}]", attached)));
    a = send_form(d, "POST", "/batches",
                  text("%s%s%s", batch, part("picture", "x", "1"), part("left-over", "y", "2")));
    expect(a, 400, "member_invalid");
    CHECK(says(a, "left-over"));
    CHECK(json_array_size(at(get(d, "/jobs")->json, "jobs")) == 0);
}
END_TEST

/* The job of a form counts among the bodies that come in at a time, and goes with its sender. */
START_TEST(test_job_parts_at_once)
{
    enum { MOST = 100000, SENT = 90000, SENDERS = 9 };
    struct daemon *d = DAEMON(.config = "http:\n  maxBodyBytes: 100000\n", .no_profile = true);
    static const char head[] =
        "POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
        "Content-Disposition: form-data; name=\"job\"\r\n\r\n";
    char *blanks = text("%*s", MOST + 1, "");
    char *job = part("job", NULL, text("%.*s%s", SENT, blanks, sleep_body("a", 1, "")));
    int fds[SENDERS];
    for (int i = 0; i < SENDERS; i++) {
        fds[i] = raw_open(d->port);
        raw_send(fds[i], head, strlen(head));
        raw_send(fds[i], blanks, SENT);
    }
    AWAIT(send_form(d, "POST", "/jobs", job)->status == 429);
    for (int i = 0; i < SENDERS; i++) {
        (void)close(fds[i]);
    }
    AWAIT(send_form(d, "POST", "/jobs", job)->status == 202);
    struct answer *a = send_form(d, "POST", "/jobs", part("job", NULL, blanks));
    expect(a, 413, "body_too_large");
    CHECK(says(a, "job"));
}
END_TEST

/* ---- gzip ------------------------------------------------------------------------------------ */

struct bytes {
    char *data;
    size_t n;
};

static struct bytes gzipped(const char *from, size_t n)
{
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)from, .avail_in = (unsigned)n};
    CHECK(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) == Z_OK);
    const size_t room = n + n / 1000 + 1024;
    struct bytes b = {malloc(room), 0};
    z.next_out = (unsigned char *)b.data;
    z.avail_out = (unsigned)room;
    CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
    b.n = room - z.avail_out;
    (void)deflateEnd(&z);
    return b;
}

/* In pieces of so many bytes. */
static struct answer *send_bytes(struct daemon *d, const char *request, const char *headers,
                                 struct bytes body, size_t piece)
{
    const char *head = text("%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s"
                            "Content-Length: %zu\r\n\r\n",
                            request, headers, body.n);
    const int fd = raw_open(d->port);
    raw_send(fd, head, strlen(head));
    for (size_t at = 0; at < body.n; at += piece) {
        raw_send(fd, body.data + at, body.n - at < piece ? body.n - at : piece);
    }
    return raw_answer(fd);
}

#define GZIP "Content-Encoding: gzip\r\n"

START_TEST(test_gzip)
{
    struct sim *s = sim_plain();
    struct daemon *d = DAEMON(.sims = {s}, .no_profile = true);
    await_backends_up(d, 1);
    const char *body = NULL;
    for (size_t piece = 1; piece < 100000; piece *= 300) {
        body = sleep_body(text("a%zu", piece), 1,
                          ",'priority':3,'metadata':{'n':18446744073709551615}");
        struct bytes b = gzipped(body, strlen(body));
        struct answer *a = send_bytes(d, "POST /jobs", GZIP, b, piece);
        expect(a, 202, NULL);
        CHECK(strstr(a->body, "\"priority\":3") != NULL &&
              strstr(a->body, "18446744073709551615") != NULL);
        free(b.data);
    }
    body = sleep_body("b", 1, ",'overrides':[{'1._ms':2}]");
    struct bytes batch = gzipped(body, strlen(body));
    expect(send_bytes(d, "POST /batches", GZIP, batch, batch.n), 202, NULL);
    /* Where nothing need come, an empty body is no gzip, and fine; where a body must, it is not. */
    const struct bytes none = {NULL, 0};
    expect(send_bytes(d, "POST /queue/pause", GZIP, none, 1), 200, NULL);
    expect(send_bytes(d, "POST /jobs", GZIP, none, 1), 400, "json_invalid");
    struct bytes empty = gzipped("{}", 2);
    expect(send_bytes(d, "POST /queue/resume", GZIP, empty, empty.n), 200, NULL);
    expect(send_bytes(d, "GET /stats", GZIP, none, 1), 200, NULL);
    /* One key, one body, however it comes. */
    body = sleep_body("c", 1, "");
    struct bytes keyed = gzipped(body, strlen(body));
    struct answer *first =
        ask(d, "POST", "/jobs", "Content-Type: application/json\nIdempotency-Key: k", body);
    struct answer *second =
        send_bytes(d, "POST /jobs", GZIP "Idempotency-Key: k\r\n", keyed, keyed.n);
    CHECK(second->status == 202 &&
          strcmp(str_at(first->json, "id"), str_at(second->json, "id")) == 0);
    free(batch.data);
    free(empty.data);
    free(keyed.data);
}
END_TEST

START_TEST(test_gzip_that_is_broken)
{
    struct daemon *d = DAEMON(.no_profile = true);
    const char *body = sleep_body("a", 1, "");
    struct bytes b = gzipped(body, strlen(body));
    for (size_t n = 1; n < b.n; n += b.n / 9) {
        struct answer *a = send_bytes(d, "POST /jobs", GZIP, (struct bytes){b.data, n}, 7);
        expect(a, 400, "json_invalid");
        CHECK(says(a, "gzip"));
    }
    struct bytes more = {malloc(b.n + 1), b.n + 1};
    memcpy(more.data, b.data, b.n);
    more.data[b.n] = '\n';
    expect(send_bytes(d, "POST /jobs", GZIP, more, 7), 400, "json_invalid");
    expect(send_bytes(d, "POST /jobs", GZIP, (struct bytes){text("%s", body), strlen(body)}, 7),
           400, "json_invalid");
    /* Others than gzip, and files. */
    struct answer *a = send_bytes(d, "POST /jobs", "Content-Encoding: br\r\n", b, b.n);
    expect(a, 415, "media_type_unsupported");
    CHECK(strstr(header_of(a, "Accept-Encoding"), "gzip") != NULL);
    a = send_bytes(d, "POST /uploads", GZIP, b, b.n);
    expect(a, 415, "media_type_unsupported");
    CHECK(strcmp(header_of(a, "Accept-Encoding"), "identity") == 0);
    expect(send_bytes(d, "POST /uploads", "Content-Encoding: identity\r\n", b, b.n), 201, NULL);
    a = send_bytes(d, "POST /uploads", GZIP "Expect: 100-continue\r\n", (struct bytes){b.data, 0},
                   1);
    expect(a, 415, NULL);
    free(more.data);
    free(b.data);
}
END_TEST

/* 300 MiB of blanks in 300 KiB: refused when it is larger than a body may be; others are served
   meanwhile. */
START_TEST(test_bomb)
{
    struct daemon *d = DAEMON(.no_profile = true);
    const size_t n = (size_t)300 << 20;
    char *blanks = malloc(n);
    memset(blanks, ' ', n);
    struct bytes b = gzipped(blanks, n);
    free(blanks);
    expect(send_bytes(d, "POST /jobs", GZIP, b, b.n), 413, "body_too_large");
    /* A client that hangs up in the middle of it. */
    const char *head =
        text("POST /jobs HTTP/1.1\r\nHost: localhost\r\n" GZIP "Content-Length: %zu\r\n\r\n", b.n);
    const int fd = raw_open(d->port);
    raw_send(fd, head, strlen(head));
    raw_send(fd, b.data, 20000);
    (void)close(fd);
    expect(get(d, "/healthz"), 200, NULL);
    free(b.data);
    /* Members of nothing, many of them. */
    struct bytes nothing = gzipped("", 0);
    struct bytes many = {malloc(nothing.n * 100000), nothing.n * 100000};
    for (size_t i = 0; i < 100000; i++) {
        memcpy(many.data + i * nothing.n, nothing.data, nothing.n);
    }
    expect(send_bytes(d, "POST /jobs", GZIP, many, many.n), 400, "json_invalid");
    free(many.data);
    free(nothing.data);
    expect(get(d, "/healthz"), 200, NULL);
}
END_TEST

static struct answer *shut_behind(struct daemon *d, const char *headers, const char *bytes,
                                  size_t n)
{
    const char *head =
        text("POST /jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" GZIP "%s\r\n\r\n",
             headers);
    char *all = malloc(strlen(head) + n);
    memcpy(all, head, strlen(head));
    memcpy(all + strlen(head), bytes, n);
    const int fd = raw_open(d->port);
    raw_send(fd, all, strlen(head) + n);
    CHECK(shutdown(fd, SHUT_WR) == 0);
    free(all);
    return raw_answer(fd);
}

/* What takes many turns of the loop and lies in libmicrohttpd's buffer as a whole, as one piece and
   as many chunks; its sender has shut its side. */
START_TEST(test_paused_body_of_a_closed_side)
{
    enum { CHUNK = 2000 };
    struct daemon *d = DAEMON(.no_profile = true);
    const size_t n = (size_t)24 << 20;
    char *blanks = malloc(n);
    memset(blanks, ' ', n);
    struct bytes b = gzipped(blanks, n);
    char *chunks = malloc(b.n + b.n / CHUNK * 16 + 64);
    size_t len = 0;
    for (size_t at = 0; at < b.n; at += CHUNK) {
        const size_t size = b.n - at < CHUNK ? b.n - at : CHUNK;
        len += (size_t)sprintf(chunks + len, "%zx\r\n", size);
        memcpy(chunks + len, b.data + at, size);
        len += size;
        len += (size_t)sprintf(chunks + len, "\r\n");
    }
    len += (size_t)sprintf(chunks + len, "0\r\n\r\n");
    CHECK(b.n < 30000, "it comes in one read");
    for (int i = 0; i < 3; i++) {
        expect(shut_behind(d, text("Content-Length: %zu", b.n), b.data, b.n), 400, "json_invalid");
        expect(shut_behind(d, "Transfer-Encoding: chunked", chunks, len), 400, "json_invalid");
        /* Not to its end: nothing to answer, and nothing is held. */
        CHECK(shut_behind(d, text("Content-Length: %zu", b.n), b.data, b.n - 9) == NULL);
        CHECK(shut_behind(d, "Transfer-Encoding: chunked", chunks, len - 9) == NULL);
    }
    AWAIT(num_at(get(d, "/stats")->json, "http.connections") <= 1);
    free(chunks);
    free(b.data);
    free(blanks);
}
END_TEST

/* What is looked at while a body comes does not end one that comes slowly. */
START_TEST(test_slow_chunks)
{
    struct daemon *d = DAEMON(.no_profile = true);
    const int slow = raw_open(d->port);
    static const char upload[] = "POST /uploads HTTP/1.1\r\nHost: localhost\r\n"
                                 "Connection: close\r\nContent-Type: application/octet-stream\r\n"
                                 "Transfer-Encoding: chunked\r\n\r\n";
    raw_send(slow, upload, sizeof upload - 1);
    for (int i = 0; i < 3; i++) {
        (void)poll(NULL, 0, 700);
        raw_send(slow, "1\r\nx\r\n", 6);
    }
    raw_send(slow, "0\r\n\r\n", 5);
    CHECK(raw_answer(slow)->status == 201);
}
END_TEST

Suite *bodies_suite(void)
{
    static const struct named_test tests[] = {
        {"an upload in a form", &test_upload_in_a_form, 0},
        {"names in place of files", &test_names_in_place_of_files, 0},
        {"files of refused requests", &test_files_of_refused_requests, 0},
        {"empty", &test_empty, 0},
        {"a part that nobody wants", &test_part_that_nobody_wants, 0},
        {"job parts at once", &test_job_parts_at_once, 0},
        {"gzip", &test_gzip, 0},
        {"gzip that is broken", &test_gzip_that_is_broken, 0},
        {"paused body of a closed side", &test_paused_body_of_a_closed_side, 0},
        {"a bomb", &test_bomb, 0},
        {"slow chunks", &test_slow_chunks, 0},
    };
    return SUITE("bodies", 90, tests);
}
