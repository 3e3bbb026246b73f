/* Bodies of parts: the same parts in whatever pieces they come; and parts of files by Range. */
#include "../../src/http/multipart.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "comfypool/http/http.h"
#include "comfypool/http/answer.h"
#include "suites.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define HEAD(name) "Content-Disposition: form-data; name=\"" name "\"\r\n\r\n"

/* What was told, as a text: "NAME:data;", "NAME(FILENAME):data;". */
static bool part_begins(void *ctx, struct str name, bool is_file, struct str filename,
                        const char **ret_why)
{
    struct buf *out = ctx;
    if (str_is(name, "refused")) {
        *ret_why = "no";
        return false;
    }
    buf_add_str(out, name);
    if (is_file) {
        buf_printf(out, "(%.*s)", (int)filename.n, filename.p);
    }
    buf_add_char(out, ':');
    return true;
}

static void part_data(void *ctx, const char *bytes, size_t n)
{
    buf_add(ctx, bytes, n);
}

static void part_ends(void *ctx)
{
    buf_add_char(ctx, ';');
}

static const struct multipart_ops ops = {part_begins, part_data, part_ends};

static const struct {
    const char *body;
    const char *told; /* NULL: it is refused, or not whole */
} bodies[] = {
    {"--b\r\n" HEAD("a") "1\r\n--b--\r\n", "a:1;"},
    {"--b\r\n" HEAD("a") "\r\n--b--", "a:;"},
    {"--b\r\n" HEAD("a") "--b--", "a:;"}, /* RFC 2046: an empty part needs no line of its own */
    {"--b\r\n" HEAD("a") "--b\r\n" HEAD("c") "2\r\n--b--", "a:;c:2;"},
    {"a preamble\r\n--b\r\n" HEAD("a") "1\r\n--b--\r\nan epilogue\r\n--b\r\n", "a:1;"},
    {"--b\r\n" HEAD("a") "\r\n--\r\n--\r\n-b\r\n--a\r\n\r\n--b--",
     "a:\r\n--\r\n--\r\n-b\r\n--a\r\n;"},
    {"--b\r\n" HEAD("a") "x--b--\r\r\n--b--", "a:x--b--\r;"},
    {"--b\r\nX: y\r\ncontent-disposition: form-data; filename=\"q \\\" \\\\.png\"; name=up"
     "\r\nContent-Type: image/png\r\n\r\n1\r\n--b--",
     "up(q \" \\.png):1;"},
    {"--b\r\nContent-Disposition: form-data; filename=\"\"; name=\"n\"\r\n\r\n1\r\n--b--",
     "n():1;"},
    {"--b\r\nContent-Disposition: form-data; filename=\"a; name=x y; name=z.png\"; name=\"n\""
     "\r\n\r\n1\r\n--b--",
     "n(a; name=x y; name=z.png):1;"},
    {"--b\r\nContent-Disposition: form-data; NAME = \"x\"; x;name=n ;y\r\n\r\n1\r\n--b--", "n:1;"},
    {"", NULL},
    {"--b", NULL},
    {"--b\r\n" HEAD("a") "1", NULL},
    {"--b\r\n" HEAD("a") "1\r\n--b", NULL},
    {"--b\r\n" HEAD("a") "1\r\n--b-", NULL},
    {"--b\r\n" HEAD("a") "1\r\n--bc--", NULL},
    {"--b\r\nX: y\r\n\r\n1\r\n--b--", NULL},
    {"--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b--", NULL},
    {"--b\r\nContent-Disposition: form-data; name=\"a\r\n\r\n1\r\n--b--", NULL},
    {"--b\n" HEAD("a") "1\n--b--", NULL},
    {"--b\r\n" HEAD("refused") "1\r\n--b--", NULL},
};

static bool feed(struct multipart *m, const char *body, size_t piece)
{
    const size_t n = strlen(body);
    const char *why = NULL;
    bool good = true;
    for (size_t at = 0; at < n && good; at += piece) {
        good = multipart_feed(m, body + at, at + piece < n ? piece : n - at, &why);
    }
    ck_assert_msg(good == (why == NULL), "%s", body);
    return good && multipart_is_whole(m);
}

START_TEST(pieces_make_no_difference)
{
    for (size_t piece = 1; piece <= strlen(bodies[_i].body) + 1; piece++) {
        AUTO_BUF struct buf told;
        buf_init(&told, BUF_NO_LIMIT);
        struct multipart *m = multipart_new(STR("multipart/form-data; boundary=b"), &ops, &told);
        const bool whole = feed(m, bodies[_i].body, piece);
        ck_assert_msg(whole == (bodies[_i].told != NULL), "in pieces of %zu: %s", piece,
                      bodies[_i].body);
        if (whole) {
            ck_assert_str_eq(buf_text(&told), bodies[_i].told);
        }
        multipart_free(m);
    }
}
END_TEST

START_TEST(headers_are_bounded)
{
    AUTO_BUF struct buf body;
    buf_init(&body, BUF_NO_LIMIT);
    buf_add_text(&body, "--b\r\nX: ");
    for (int i = 0; i < 9000; i++) {
        buf_add_char(&body, 'x');
    }
    AUTO_BUF struct buf told;
    buf_init(&told, BUF_NO_LIMIT);
    const char *why = NULL;
    struct multipart *m = multipart_new(STR("multipart/form-data; boundary=b"), &ops, &told);
    ck_assert(!multipart_feed(m, body.data, body.len, &why) && why != NULL);
    multipart_free(m);
}
END_TEST

static const struct {
    const char *type;
    bool good;
} types[] = {
    {"multipart/form-data; boundary=b", true},
    {"multipart/form-data;boundary=\"a b\"", true},
    {"multipart/form-data; charset=utf-8; BOUNDARY=b; x=y", true},
    {"multipart/form-data", false},
    {"multipart/form-data; boundary=", false},
    {"multipart/form-data; boundary=\"\"", false},
    {"multipart/form-data; boundary=\"b", false},
    {"multipart/form-data; xboundary=b", false},
    {"multipart/form-data; boundary=1234567890123456789012345678901234567890123456789012345678901"
     "2345678901",
     false},
};

START_TEST(boundaries_are_checked)
{
    struct multipart *m = multipart_new(str_of(types[_i].type), &ops, NULL);
    ck_assert_msg((m != NULL) == types[_i].good, "%s", types[_i].type);
    multipart_free(m);
}
END_TEST

/* ---- parts of files -------------------------------------------------------------------------- */

static const struct {
    const char *range;
    const char *if_range;
    uint64_t size;
    enum http_part part;
    uint64_t from, len;
} ranges[] = {
    {"", "", 10, HTTP_WHOLE, 0, 10},
    {"bytes=0-0", "", 10, HTTP_PART, 0, 1},
    {"bytes=2-5", "", 10, HTTP_PART, 2, 4},
    {"bytes=2-", "", 10, HTTP_PART, 2, 8},
    {"bytes=9-99", "", 10, HTTP_PART, 9, 1},
    {"bytes=-3", "", 10, HTTP_PART, 7, 3},
    {"bytes=-30", "", 10, HTTP_PART, 0, 10},
    {"bytes=10-", "", 10, HTTP_NO_PART, 10, 0},
    {"bytes=10-20", "", 10, HTTP_NO_PART, 10, 0},
    {"bytes=-0", "", 10, HTTP_NO_PART, 10, 0},
    {"bytes=0-", "", 0, HTTP_NO_PART, 0, 0},
    {"bytes=-1", "", 0, HTTP_NO_PART, 0, 0},
    {"bytes=5-2", "", 10, HTTP_WHOLE, 0, 10},
    {"bytes=0-1,3-4", "", 10, HTTP_WHOLE, 0, 10},
    {"bytes=-", "", 10, HTTP_WHOLE, 0, 10},
    {"bytes=a-b", "", 10, HTTP_WHOLE, 0, 10},
    {"bytes= 0-1", "", 10, HTTP_WHOLE, 0, 10},
    {"lines=0-1", "", 10, HTTP_WHOLE, 0, 10},
    {"bytes=0-18446744073709551616", "", 10, HTTP_PART, 0, 10},
    {"bytes=99999999999999999999-", "", 10, HTTP_NO_PART, INT64_MAX, 0},
    {"bytes=0-999999999999999999", "", UINT64_C(5000000000), HTTP_PART, 0, UINT64_C(5000000000)},
    {"bytes=0-1", "\"e\"", 10, HTTP_PART, 0, 2},
    {"bytes=0-1", "\"other\"", 10, HTTP_WHOLE, 0, 10},
    {"bytes=0-1", "W/\"e\"", 10, HTTP_WHOLE, 0, 10},
    {"bytes=0-1", "Sun, 22 Nov 2026 11:51:00 GMT", 10, HTTP_WHOLE, 0, 10},
};

START_TEST(ranges_are_read)
{
    struct http_request rq = {.route = NULL};
    uint64_t from = 77;
    uint64_t len = 77;
    (void)snprintf(rq.range, sizeof rq.range, "%s", ranges[_i].range);
    (void)snprintf(rq.if_range, sizeof rq.if_range, "%s", ranges[_i].if_range);
    const enum http_part part = http_part_of(&rq, "\"e\"", ranges[_i].size, &from, &len);
    ck_assert_msg(part == ranges[_i].part && from == ranges[_i].from && len == ranges[_i].len,
                  "%s: %d, %llu from %llu", ranges[_i].range, (int)part, (unsigned long long)len,
                  (unsigned long long)from);
    rq.head = true;
    ck_assert(http_part_of(&rq, "\"e\"", 10, &from, &len) == HTTP_WHOLE);
}
END_TEST

Suite *multipart_suite(void)
{
    Suite *s = suite_create("multipart");
    TCase *c = tcase_create("parts");
    tcase_add_loop_test(c, pieces_make_no_difference, 0, COUNT(bodies));
    tcase_add_test(c, headers_are_bounded);
    tcase_add_loop_test(c, boundaries_are_checked, 0, COUNT(types));
    tcase_add_loop_test(c, ranges_are_read, 0, COUNT(ranges));
    suite_add_tcase(s, c);
    return s;
}
