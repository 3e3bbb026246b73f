/* The reader and the writer of JSON text. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "comfypool/base/json_read.h"
#include "comfypool/base/json_write.h"
#include "suites.h"

/* name, text (with its length, for NUL bytes), strict and duplicate-free, lenient */
static const struct {
    const char *name;
    struct str text;
    bool strict;
    bool lenient;
} texts[] = {
    {"an object", STR_INIT("{\"a\":[1,2.5,-3e-7,true,false,null,\"x\"]}"), true, true},
    {"blanks", STR_INIT(" \t\r\n[ 1 , 2 ] \n"), true, true},
    {"the largest seed", STR_INIT("18446744073709551615"), true, true},
    {"beyond a double", STR_INIT("1e999"), true, true},
    {"an escaped NUL", STR_INIT("\"a\\u0000b\""), true, true},
    {"half a surrogate pair", STR_INIT("\"\\ud800\""), true, true},
    {"a surrogate pair", STR_INIT("\"\\ud83d\\ude00\""), true, true},
    {"duplicate members", STR_INIT("{\"a\":1,\"a\":2}"), false, true},
    {"duplicate members, one escaped", STR_INIT("{\"a\":1,\"\\u0061\":2}"), false, true},
    {"the same member in two objects", STR_INIT("[{\"a\":1},{\"a\":2}]"), true, true},
    {"the same member below itself", STR_INIT("{\"a\":{\"a\":{}}}"), true, true},
    {"NaN", STR_INIT("{\"a\":NaN}"), false, true},
    {"Infinity", STR_INIT("[Infinity,-Infinity]"), false, true},
    {"a raw control character", STR_INIT("\"a\001b\""), false, true},
    {"a raw NUL", STR_INIT("\"a\0b\""), false, true},
    {"invalid UTF-8", STR_INIT("\"\xff\xfe\""), false, true},
    {"overlong UTF-8", STR_INIT("\"\xc0\xaf\""), false, true},
    {"a surrogate in UTF-8", STR_INIT("\"\xed\xa0\x80\""), false, true},
    {"nothing", STR_INIT(""), false, false},
    {"half an object", STR_INIT("{\"a\":"), false, false},
    {"two values", STR_INIT("1 2"), false, false},
    {"a comma too many", STR_INIT("[1,]"), false, false},
    {"a comma too many in an object", STR_INIT("{\"a\":1,}"), false, false},
    {"a leading zero", STR_INIT("01"), false, false},
    {"a plus", STR_INIT("+1"), false, false},
    {"a dot without digits", STR_INIT("1."), false, false},
    {"a bad escape", STR_INIT("\"\\x\""), false, false},
    {"a bad \\u", STR_INIT("\"\\u12g4\""), false, false},
    {"a cut \\u", STR_INIT("\"\\u12"), false, false},
    {"a name without quotes", STR_INIT("{a:1}"), false, false},
    {"the wrong bracket", STR_INIT("[1}"), false, false},
    {"a word that is none", STR_INIT("nul"), false, false},
};

static bool reads(struct str text, bool lenient)
{
    struct js_reader r;
    (lenient ? js_read_lenient : js_read_strict)(&r, text, 64);
    struct js_token t = js_next(&r);
    while (t.kind != JS_END && t.kind != JS_ERROR) {
        t = js_next(&r);
    }
    ck_assert(t.kind == JS_END || r.why != NULL);
    return t.kind == JS_END;
}

START_TEST(text_is_judged)
{
    size_t offset = 0;
    const char *why = NULL;
    /* An exact copy on the heap, so that a reader that goes too far is seen. */
    AUTO_FREE char *copy = mem_alloc(texts[_i].text.n);
    memcpy(copy, texts[_i].text.p, texts[_i].text.n);
    const struct str text = {copy, texts[_i].text.n};
    ck_assert_msg(js_check(text, 64, &offset, &why) == texts[_i].strict, "%s, strict",
                  texts[_i].name);
    ck_assert_msg(reads(text, true) == texts[_i].lenient, "%s, lenient", texts[_i].name);
    if (!texts[_i].strict) {
        ck_assert_ptr_nonnull(why);
        ck_assert_uint_le(offset, text.n);
    }
}
END_TEST

START_TEST(depth_is_bounded)
{
    struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    for (int i = 0; i < 100000; i++) {
        buf_add_char(&b, '[');
    }
    ck_assert(!reads(buf_str(&b), true));
    buf_clear(&b);
    for (int i = 0; i < 64; i++) {
        buf_add_char(&b, '[');
    }
    for (int i = 0; i < 64; i++) {
        buf_add_char(&b, ']');
    }
    ck_assert(reads(buf_str(&b), false));
    size_t offset = 0;
    const char *why = NULL;
    ck_assert(!js_check(buf_str(&b), 63, &offset, &why));
    ck_assert_uint_eq(offset, 63);
    buf_done(&b);
}
END_TEST

static const struct {
    const char *quoted;
    struct str text;
} strings[] = {
    {"\"plain\"", STR_INIT("plain")},
    {"\"\\u00e9\\n\\\"\\/\"", STR_INIT("\xc3\xa9\n\"/")},
    {"\"\\ud83d\\ude00\"", STR_INIT("\xf0\x9f\x98\x80")},
    {"\"\\ud83dx\"", STR_INIT("\xef\xbf\xbdx")},
    {"\"\\ude00\"", STR_INIT("\xef\xbf\xbd")},
    {"\"\\ud83d\\u0041\"", STR_INIT("\xef\xbf\xbd"
                                    "A")},
    {"\"a\\u0000b\"", STR_INIT("a\0b")},
    {"\"\xff\"", STR_INIT("\xef\xbf\xbd")},
};

START_TEST(strings_are_decoded)
{
    struct js_reader r;
    js_read_lenient(&r, str_of(strings[_i].quoted), 4);
    const struct js_token t = js_next(&r);
    ck_assert_int_eq(t.kind, JS_STRING);
    AUTO_BUF struct buf scratch;
    buf_init(&scratch, BUF_NO_LIMIT);
    ck_assert_msg(str_eq(js_text(t, &scratch), strings[_i].text), "%s", strings[_i].quoted);
    if (memchr(strings[_i].text.p, '\0', strings[_i].text.n) == NULL) {
        ck_assert(js_is(t, strings[_i].text.p));
    }
    ck_assert(!js_is(t, "another"));
}
END_TEST

START_TEST(numbers_keep_their_digits)
{
    struct js_reader r;
    js_read_strict(&r, STR("[18446744073709551615,0.1000000000000000055511151231257827,8.0,1E-7]"),
                   4);
    static const char *const raw[] = {"18446744073709551615",
                                      "0.1000000000000000055511151231257827", "8.0", "1E-7"};
    (void)js_next(&r);
    for (size_t i = 0; i < 4; i++) {
        const struct js_token t = js_next(&r);
        ck_assert(str_is(t.text, raw[i]));
        int64_t n = 0;
        ck_assert(!js_int(t, &n));
        double d = 0;
        ck_assert(js_double(t, &d));
    }
    double d = 0;
    js_read_lenient(&r, STR("1e999"), 1);
    ck_assert(js_double(js_next(&r), &d) && isinf(d));
    js_read_lenient(&r, STR("NaN"), 1);
    ck_assert(js_double(js_next(&r), &d) && isnan(d));
}
END_TEST

START_TEST(skip_gives_the_whole_value)
{
    struct js_reader r;
    js_read_strict(&r, STR(" { \"a\" : [ {\"x\":1} , 2 ] , \"b\" : \"q\" } "), 8);
    ck_assert_int_eq(js_next(&r).kind, JS_OBJECT);
    ck_assert_int_eq(js_next(&r).kind, JS_KEY);
    ck_assert(str_is(js_skip(&r), "[ {\"x\":1} , 2 ]"));
    ck_assert_int_eq(js_next(&r).kind, JS_KEY);
    ck_assert(str_is(js_skip(&r), "\"q\""));
    ck_assert_uint_eq(js_skip(&r).n, 0);
    ck_assert_int_eq(js_next(&r).kind, JS_END);
}
END_TEST

/* Quotes, brackets and escapes inside strings of every length. */
START_TEST(checked_texts_are_skipped)
{
    for (int n = 0; n < 40; n++) {
        AUTO_BUF struct buf b;
        buf_init(&b, BUF_NO_LIMIT);
        buf_printf(&b,
                   "{\"a\":[{\"%*s\\\"]}\\\\\":\"}%*s\\\\\"},\"\xc3\xa4]\\u0022\",[[]]],\"b\":{}}",
                   n, "", 40 - n, "");
        size_t offset = 0;
        const char *why = NULL;
        ck_assert(js_check(buf_str(&b), 8, &offset, &why));
        struct js_reader r;
        js_read_checked(&r, buf_str(&b));
        ck_assert_int_eq(js_next(&r).kind, JS_OBJECT);
        ck_assert_int_eq(js_next(&r).kind, JS_KEY);
        const struct str a = js_skip(&r);
        ck_assert(str_ends_with(a, STR(",[[]]]")) && a.p[0] == '[');
        ck_assert(js_is(js_next(&r), "b"));
        ck_assert(str_is(js_skip(&r), "{}"));
        ck_assert_int_eq(js_next(&r).kind, JS_OBJECT_END);
        ck_assert_int_eq(js_next(&r).kind, JS_END);
    }
    struct js_reader r; /* nobody checked: no harm */
    js_read_checked(&r, STR("{\"a\":[\"\\"));
    (void)js_next(&r);
    (void)js_next(&r);
    ck_assert_uint_eq(js_skip(&r).n, 0);
    ck_assert_int_eq(js_next(&r).kind, JS_ERROR);
}
END_TEST

static const struct {
    const char *dirty;
    const char *clean; /* NULL: beyond repair */
} cleanings[] = {
    {"{\"a\": NaN, \"b\": [Infinity, -Infinity, 1e999, 1.50]}",
     "{\"a\":null,\"b\":[null,null,1e999,1.50]}"},
    {"\"\\ud800 \001 \xff\"", "\"\xef\xbf\xbd \\u0001 \xef\xbf\xbd\""},
    {"{\"seed\": 18446744073709551615}", "{\"seed\":18446744073709551615}"},
    {"\"a\\u0000\\n\\\"\"", "\"a\\u0000\\n\\\"\""},
    {"{\"a\":", NULL},
    {"[1] 2", NULL},
};

START_TEST(a_backends_json_is_made_valid)
{
    AUTO_BUF struct buf out;
    buf_init(&out, BUF_NO_LIMIT);
    buf_add_text(&out, "kept");
    const bool good = js_clean(str_of(cleanings[_i].dirty), &out);
    ck_assert_msg(good == (cleanings[_i].clean != NULL), "%s", cleanings[_i].dirty);
    if (good) {
        ck_assert_str_eq(buf_text(&out) + 4, cleanings[_i].clean);
        ck_assert(reads((struct str){out.data + 4, out.len - 4}, false));
    } else {
        ck_assert_str_eq(buf_text(&out), "kept");
    }
}
END_TEST

START_TEST(writer_writes_what_is_meant)
{
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    struct js_out o = js_out_to(&b);
    js_open(&o, '{');
    js_member_string(&o, "text", "a\"\\\n\x01\xc3\xa9");
    js_member_ms(&o, "whole", 1500000);
    js_member_ms(&o, "part", 1500);
    js_member_ms(&o, "micro", 1795347815682012);
    js_member_ms(&o, "minus", -20);
    js_member_int(&o, "least", INT64_MIN);
    js_member_bool(&o, "yes", true);
    js_key(&o, "list");
    js_open(&o, '[');
    js_real(&o, 20);
    js_real(&o, 0.25);
    js_real(&o, NAN);
    js_null(&o);
    js_raw(&o, STR("{\"raw\":1}"));
    js_close(&o, ']');
    js_close(&o, '}');
    ck_assert_str_eq(buf_text(&b),
                     "{\"text\":\"a\\\"\\\\\\n\\u0001\xc3\xa9\",\"whole\":1500,\"part\":1.5,"
                     "\"micro\":1795347815682.012,\"minus\":-0.02,"
                     "\"least\":-9223372036854775808,\"yes\":true,"
                     "\"list\":[20,0.25,null,null,{\"raw\":1}]}");
    ck_assert(reads(buf_str(&b), false));
}
END_TEST

Suite *json_suite(void)
{
    Suite *s = suite_create("json");
    TCase *c = tcase_create("json");
    tcase_add_loop_test(c, text_is_judged, 0, sizeof texts / sizeof *texts);
    tcase_add_test(c, depth_is_bounded);
    tcase_add_loop_test(c, strings_are_decoded, 0, sizeof strings / sizeof *strings);
    tcase_add_test(c, numbers_keep_their_digits);
    tcase_add_test(c, skip_gives_the_whole_value);
    tcase_add_test(c, checked_texts_are_skipped);
    tcase_add_loop_test(c, a_backends_json_is_made_valid, 0, sizeof cleanings / sizeof *cleanings);
    tcase_add_test(c, writer_writes_what_is_meant);
    suite_add_tcase(s, c);
    return s;
}
