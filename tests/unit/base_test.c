/* base: errors, buffers, maps, heaps, text, uuids, digest, time. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <zlib.h>

#include "comfypool/base/base64.h"
#include "comfypool/base/gzip.h"
#include "comfypool/base/buf.h"
#include "comfypool/base/digest.h"
#include "comfypool/base/err.h"
#include "comfypool/base/heap.h"
#include "comfypool/base/log.h"
#include "comfypool/base/map.h"
#include "comfypool/base/time.h"
#include "comfypool/base/time_text.h"
#include "comfypool/base/uuid.h"
#include "suites.h"

START_TEST(errors_have_codes_and_come_back)
{
    for (int i = 1; i < ERR_COUNT; i++) {
        const enum err e = (enum err)i;
        ck_assert_str_ne(err_code(e), "");
        ck_assert_str_ne(err_title(e), "");
        ck_assert_int_eq(err_from_code(str_of(err_code(e))), e);
    }
    ck_assert_int_eq(err_from_code(STR("no_such_code")), ERR_NONE);
    ck_assert_int_eq(err_from_code(STR("")), ERR_NONE);
    ck_assert_uint_eq(err_http_status(ERR_JOB_NOT_FOUND), 404);
    ck_assert_uint_eq(err_http_status(ERR_NODE_FAILED), 500);
    ck_assert(err_is_retryable(ERR_LOST));
    ck_assert(!err_is_retryable(ERR_INTERRUPTED));
}
END_TEST

static const struct {
    const char *text;
    bool good;
    int64_t value;
} integers[] = {
    {"0", true, 0},
    {"-1", true, -1},
    {"9223372036854775807", true, INT64_MAX},
    {"-9223372036854775808", true, INT64_MIN},
    {"9223372036854775808", false, 0},
    {"-9223372036854775809", false, 0},
    {"", false, 0},
    {"-", false, 0},
    {"+1", false, 0},
    {"1 ", false, 0},
    {"1e3", false, 0},
};

START_TEST(integers_are_read_whole)
{
    int64_t v = 0;
    ck_assert_msg(str_to_int64(str_of(integers[_i].text), &v) == integers[_i].good, "\"%s\"",
                  integers[_i].text);
    if (integers[_i].good) {
        ck_assert_int_eq(v, integers[_i].value);
    }
}
END_TEST

START_TEST(buffer_keeps_its_maximum)
{
    struct buf b;
    buf_init(&b, 10);
    buf_add_text(&b, "12345");
    buf_printf(&b, "%d", 67890);
    ck_assert(!b.overflow);
    ck_assert_str_eq(buf_text(&b), "1234567890");
    buf_add_char(&b, 'x');
    ck_assert(b.overflow);
    ck_assert_uint_eq(b.len, 10);
    buf_clear(&b);
    buf_add_text(&b, "again");
    AUTO_FREE char *taken = buf_take(&b);
    ck_assert_str_eq(taken, "again");
    ck_assert_str_eq(buf_text(&b), "");
    buf_done(&b);
}
END_TEST

START_TEST(map_holds_what_a_list_would)
{
    enum { KEYS = 2000 };
    static char keys[KEYS][8];
    static bool there[KEYS];
    struct map m;
    map_init(&m);
    uint32_t random = 12345;
    for (int step = 0; step < 40000; step++) {
        random = random * 1664525u + 1013904223u;
        const uint32_t k = (random >> 8) % KEYS;
        (void)snprintf(keys[k], sizeof keys[k], "%u", k);
        if ((random >> 28) < 9) {
            ck_assert(!there[k] == (map_put(&m, str_of(keys[k]), keys[k]) == NULL));
            there[k] = true;
        } else {
            ck_assert(map_remove(&m, str_of(keys[k])) == (there[k] ? keys[k] : NULL));
            there[k] = false;
        }
    }
    size_t count = 0;
    for (uint32_t k = 0; k < KEYS; k++) {
        (void)snprintf(keys[k], sizeof keys[k], "%u", k);
        ck_assert(map_get(&m, str_of(keys[k])) == (there[k] ? keys[k] : NULL));
        count += there[k];
    }
    size_t walked = 0;
    size_t at = 0;
    while (map_next(&m, &at) != NULL) {
        walked++;
    }
    ck_assert_uint_eq(walked, count);
    ck_assert_uint_eq(m.len, count);
    map_done(&m);
}
END_TEST

struct item {
    struct heap_node node;
    int key;
};

static bool item_before(const struct heap_node *a, const struct heap_node *b)
{
    return heap_item(a, const struct item, node)->key < heap_item(b, const struct item, node)->key;
}

START_TEST(heap_sorts_and_lets_go)
{
    enum { ITEMS = 500 };
    static struct item items[ITEMS];
    struct heap h;
    heap_init(&h, item_before);
    uint32_t random = 7;
    for (int i = 0; i < ITEMS; i++) {
        random = random * 1664525u + 1013904223u;
        items[i] = (struct item){.key = (int)(random >> 16)};
        heap_push(&h, &items[i].node);
    }
    for (int i = 0; i < ITEMS; i += 3) {
        heap_remove(&h, &items[i].node);
        ck_assert(!heap_holds(&items[i].node));
        heap_remove(&h, &items[i].node); /* does nothing */
    }
    for (int i = 1; i < ITEMS; i += 3) {
        items[i].key = -items[i].key;
        heap_update(&h, &items[i].node);
    }
    int last = INT32_MIN;
    size_t left = 0;
    for (struct heap_node *top = heap_top(&h); top != NULL; top = heap_top(&h)) {
        const int key = heap_item(top, struct item, node)->key;
        ck_assert_int_ge(key, last);
        last = key;
        left++;
        heap_remove(&h, top);
    }
    ck_assert_uint_eq(left, ITEMS - (ITEMS + 2) / 3);
    heap_done(&h);
}
END_TEST

START_TEST(uuids_are_canonical_and_versioned)
{
    char v4[UUID_SIZE];
    char v7[UUID_SIZE];
    char other[UUID_SIZE];
    for (int i = 0; i < 100; i++) {
        uuid_v4(v4);
        uuid_v7((struct wall_us){1795347815682012}, v7);
        uuid_v7((struct wall_us){1795347815682012}, other);
        ck_assert(uuid_is_canonical(str_of(v4)) && uuid_is_canonical(str_of(v7)));
        ck_assert_int_eq(v4[14], '4');
        ck_assert_int_eq(v7[14], '7');
        ck_assert(strchr("89ab", v7[19]) != NULL);
        ck_assert_str_ne(v7, other);
        /* 1795347815682 ms = 0x1a203119d02 */
        ck_assert(strncmp(v7, "01a20311-9d02-7", 15) == 0);
    }
    ck_assert(!uuid_is_canonical(STR("762870EB-0015-4499-a5a4-b6825bf391e1")));
    ck_assert(!uuid_is_canonical(STR("762870eb-0015-4499-a5a4-b6825bf391e")));
    ck_assert(!uuid_is_canonical(STR("762870eb0015-4499-a5a4-b6825bf391e1x")));
}
END_TEST

START_TEST(digest_is_sha256)
{
    char hex[DIGEST_HEX_SIZE];
    digest_sha256_hex(STR("abc"), hex);
    ck_assert_str_eq(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest_sha256_hex((struct str){NULL, 0}, hex);
    ck_assert_str_eq(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}
END_TEST

START_TEST(hmac_is_rfc_4231)
{
    unsigned char sum[DIGEST_SIZE];
    digest_hmac_sha256(STR("Jefe"), STR("what do ya want for nothing?"), sum);
    static const unsigned char want[] = {0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e};
    ck_assert_mem_eq(sum, want, sizeof want);
}
END_TEST

static const struct {
    const char *bytes; /* NULL: refused */
    const char *text;
} codes[] = {
    {"", ""},        {"f", "Zg=="},        {"fo", "Zm8="},
    {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"\xff\xfe\xfd", "//79"},
    {NULL, "Zg="},   {NULL, "Zg"},         {NULL, "Z==="},
    {NULL, "Zm9 "},  {NULL, "Zm9v\n"},     {NULL, "Zg==Zg=="},
    {NULL, "Zm-_"},  {NULL, "===="},
};

START_TEST(base64_goes_both_ways)
{
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    const bool good = base64_read(str_of(codes[_i].text), &out);
    ck_assert_msg(good == (codes[_i].bytes != NULL), "%s", codes[_i].text);
    if (good) {
        ck_assert_msg(str_is(buf_str(&out), codes[_i].bytes), "%s", codes[_i].text);
        buf_clear(&out);
        base64_write(&out, str_of(codes[_i].bytes));
        ck_assert_str_eq(buf_text(&out), codes[_i].text);
    } else {
        ck_assert_uint_eq(out.len, 0);
    }
}
END_TEST

START_TEST(anchor_carries_both_ways)
{
    const struct time_anchor a = {.mono = {5000000}, .wall = {1700000000000000}};
    ck_assert_int_eq(anchor_wall(&a, (struct mono_us){5000123}).us, 1700000000000123);
    ck_assert_int_eq(anchor_mono(&a, (struct wall_us){1699999999999000}).us, 4999000);
    const struct mono_us before = time_mono();
    ck_assert(!mono_before(time_mono(), before));
    ck_assert_int_eq(mono_diff(mono_add(before, dur_ms(3)), before).us, 3000);
}
END_TEST

static const struct {
    const char *text;
    int64_t us; /* -1: refused */
} times[] = {
    {"0", 0},
    {"1795380692558", 1795380692558000},
    {"1795380692558.585", 1795380692558585},
    {"1970-01-01T00:00:00Z", 0},
    {"2026-11-25T18:15:00Z", 1795630500000000},
    {"2026-11-25T18:15:00.5Z", 1795630500500000},
    {"2026-11-25T19:15:00.123456789+01:00", 1795630500123456},
    {"2026-11-25T19:15:00 01:00", 1795630500000000},
    {"2026-11-25t17:15:00-01:00", 1795630500000000},
    {"2026-11-25", 1795564800000000},
    {"2024-02-29", 1709164800000000},
    {"2023-02-29", -1},
    {"2026-13-01", -1},
    {"2026-11-25T24:00:00Z", -1},
    {"2026-11-25T18:15:00", -1},
    {"2026-11-25T18:15:00.Z", -1},
    {"2026-11-25T18:15:00Zx", -1},
    {"1969-12-31", -1},
    {"yesterday", -1},
    {"", -1},
    {"-5", -1},
    {"1.", -1},
    {"1e3", -1},
    {"1234567890123456", -1},
    {"1796007564", -1}, /* seconds */
    {"99999999999.999", -1},
    {"100000000000", 100000000000000},
    {"0", 0},
};

START_TEST(times_are_read)
{
    struct wall_us t = {-1};
    const bool good = time_read(str_of(times[_i].text), &t);
    ck_assert_msg(good == (times[_i].us >= 0), "%s", times[_i].text);
    ck_assert_msg(!good || t.us == times[_i].us, "%s: %lld", times[_i].text, (long long)t.us);
}
END_TEST

START_TEST(times_are_written)
{
    char text[TIME_TEXT_SIZE];
    time_write((struct wall_us){1795630500123999}, text);
    ck_assert_str_eq(text, "2026-11-25T18:15:00.123Z");
    struct wall_us back;
    ck_assert(time_read(str_of(text), &back));
    ck_assert_int_eq(back.us, 1795630500123000);
}
END_TEST

/* ---- gzip ------------------------------------------------------------------------------------ */

/* Appends text as a member. */
static void add_member(const char *text, size_t n, struct buf *out)
{
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)text, .avail_in = (unsigned)n};
    ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
    const size_t room = n + 1024;
    z.next_out = (unsigned char *)buf_reserve(out, room);
    z.avail_out = (unsigned)room;
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    out->len += room - z.avail_out;
    (void)deflateEnd(&z);
}

/* In pieces of so many bytes, steps of so many. NULL: it is whole; else why it is not. */
static const char *inflated(const struct buf *from, size_t piece, size_t step, struct buf *out)
{
    struct gunzip *g = gunzip_new();
    const char *why = NULL;
    for (size_t at = 0; at < from->len && why == NULL; at += piece) {
        gunzip_feed(g, from->data + at, from->len - at < piece ? from->len - at : piece);
        enum gunzip_step s = GUNZIP_MORE;
        while (s == GUNZIP_MORE) {
            const size_t before = out->len;
            s = gunzip_step(g, step, out, &why);
            ck_assert_uint_le(out->len - before, step);
        }
    }
    const bool whole = gunzip_is_whole(g);
    gunzip_free(g);
    return why != NULL ? why : whole ? NULL : "not whole";
}

static const size_t pieces[] = {1, 2, 7, 1000, 1 << 20};

START_TEST(gzip_comes_in_any_pieces)
{
    AUTO_BUF struct buf zeros;
    AUTO_BUF struct buf gz;
    buf_init(&zeros, BUF_NO_LIMIT);
    buf_init(&gz, BUF_NO_LIMIT);
    for (int i = 0; i < 100000; i++) {
        buf_add_char(&zeros, (char)(i % 3 == 0 ? i : 'a'));
    }
    add_member("one ", 4, &gz);
    add_member("", 0, &gz);
    add_member(zeros.data, zeros.len, &gz);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++) {
            AUTO_BUF struct buf out;
            buf_init(&out, BUF_NO_LIMIT);
            ck_assert_ptr_null(inflated(&gz, pieces[i], pieces[k], &out));
            ck_assert_uint_eq(out.len, 4 + zeros.len);
            ck_assert(memcmp(out.data, "one ", 4) == 0 &&
                      memcmp(out.data + 4, zeros.data, zeros.len) == 0);
        }
    }
}
END_TEST

/* Cut anywhere, each byte changed, or with something behind it. */
START_TEST(gzip_that_is_broken)
{
    AUTO_BUF struct buf gz;
    buf_init(&gz, BUF_NO_LIMIT);
    add_member("{\"a\":[1,2,3,1,2,3,1,2,3,1,2,3]}", 31, &gz);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        for (size_t n = 1; n < gz.len; n++) {
            AUTO_BUF struct buf out;
            buf_init(&out, BUF_NO_LIMIT);
            const struct buf part = {.data = gz.data, .len = n};
            ck_assert_ptr_nonnull(inflated(&part, pieces[i], 64, &out));
        }
        for (size_t at = 0; at < gz.len; at++) {
            AUTO_BUF struct buf out;
            buf_init(&out, BUF_NO_LIMIT);
            gz.data[at] = (char)(gz.data[at] ^ 0x20);
            const char *why = inflated(&gz, pieces[i], 64, &out);
            gz.data[at] = (char)(gz.data[at] ^ 0x20);
            const bool free_to_differ = at >= 4 && at < 10; /* time, flags of speed, system */
            ck_assert_msg(why != NULL || free_to_differ, "byte %zu", at);
        }
    }
    static const char *const tails[] = {"x", "\n", "\x1f\x8b", "{}"};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        AUTO_BUF struct buf more;
        AUTO_BUF struct buf out;
        buf_init(&more, BUF_NO_LIMIT);
        buf_init(&out, BUF_NO_LIMIT);
        buf_add(&more, gz.data, gz.len);
        buf_add_text(&more, tails[i]);
        ck_assert_msg(inflated(&more, 7, 64, &out) != NULL, "%s", tails[i]);
    }
}
END_TEST

START_TEST(log_levels_have_words)
{
    enum log_level level = LOG_ERROR;
    ck_assert(log_level_from_text("debug", &level));
    ck_assert_int_eq(level, LOG_DEBUG);
    ck_assert(!log_level_from_text("loud", &level));
}
END_TEST

Suite *base_suite(void)
{
    Suite *s = suite_create("base");
    TCase *c = tcase_create("base");
    tcase_add_test(c, errors_have_codes_and_come_back);
    tcase_add_loop_test(c, integers_are_read_whole, 0, sizeof integers / sizeof *integers);
    tcase_add_test(c, buffer_keeps_its_maximum);
    tcase_add_test(c, map_holds_what_a_list_would);
    tcase_add_test(c, heap_sorts_and_lets_go);
    tcase_add_test(c, uuids_are_canonical_and_versioned);
    tcase_add_test(c, digest_is_sha256);
    tcase_add_test(c, hmac_is_rfc_4231);
    tcase_add_loop_test(c, base64_goes_both_ways, 0, sizeof codes / sizeof *codes);
    tcase_add_test(c, anchor_carries_both_ways);
    tcase_add_loop_test(c, times_are_read, 0, sizeof times / sizeof *times);
    tcase_add_test(c, times_are_written);
    tcase_add_test(c, log_levels_have_words);
    tcase_add_test(c, gzip_comes_in_any_pieces);
    tcase_add_test(c, gzip_that_is_broken);
    suite_add_tcase(s, c);
    return s;
}
