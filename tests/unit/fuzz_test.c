/*
 * The fuzz targets without a fuzzer: the frames of every recording, as they are and with thousands
 * of small damages (seeded, so that a failure can be repeated), and what fuzzing found
 * (tests/fuzz/corpus).
 */
#include <check.h>
#include <glob.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "../fuzz/fuzz.h"
#include "comfypool/base/buf.h"
#include "suites.h"

static const struct {
    const char *name;
    int (*run)(const uint8_t *data, size_t size);
} targets[] = {
    {"decoder", fuzz_decoder},   {"decoder", fuzz_frames},      {"frames", fuzz_frames},
    {"profiler", fuzz_profiler}, {"ws_frames", fuzz_ws_frames}, {"workflow", fuzz_workflow},
    {"bodies", fuzz_bodies},     {"headers", fuzz_headers},     {"config", fuzz_config},
    {"tokens", fuzz_tokens},     {"rollups", fuzz_rollups},     {"multipart", fuzz_multipart},
    {"catalog", fuzz_catalog},   {"gzip", fuzz_gzip},           {"credentials", fuzz_credentials},
};

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* One small damage: a byte changed, a piece removed, doubled or moved from elsewhere. */
static void damage(struct buf *b, uint32_t *random)
{
    if (b->len < 8) {
        return;
    }
    const size_t at = next_random(random) % (b->len - 4);
    const size_t n = 1 + next_random(random) % 4;
    switch (next_random(random) % 4) {
    case 0:
        b->data[at] = "\"{}[],:01\\n"[next_random(random) % 10];
        break;
    case 1:
        memmove(b->data + at, b->data + at + n, b->len - at - n);
        b->len -= n;
        break;
    case 2:
        b->data[at] ^= (char)(1u << next_random(random) % 8);
        break;
    default:
        memmove(b->data + at, b->data + next_random(random) % (b->len - 4), 4);
        break;
    }
}

/* The frames of a recording, one a line; at most so many bytes. */
static void read_frames(const char *path, size_t most, struct buf *out)
{
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    char *line = NULL;
    size_t cap = 0;
    while (out->len < most && getline(&line, &cap, file) > 0) {
        json_auto_t *o = json_loads(line, JSON_ALLOW_NUL, NULL);
        const char *text = json_string_value(json_object_get(o, "text"));
        if (text != NULL) {
            buf_add_text(out, text);
            buf_add_char(out, '\n');
        }
    }
    free(line);
    (void)fclose(file);
}

static glob_t traces;
static glob_t corpus;

START_TEST(recorded_frames_damaged)
{
    AUTO_BUF struct buf frames;
    AUTO_BUF struct buf broken;
    buf_init(&frames, BUF_NO_LIMIT);
    buf_init(&broken, BUF_NO_LIMIT);
    read_frames(traces.gl_pathv[_i], 20000, &frames);
    (void)fuzz_decoder((const uint8_t *)frames.data, frames.len);
    (void)fuzz_frames((const uint8_t *)frames.data, frames.len);
    uint32_t random = 42u + (uint32_t)_i;
    for (int round = 0; round < 60; round++) {
        buf_clear(&broken);
        buf_add_str(&broken, buf_str(&frames));
        for (uint32_t k = 0; k <= next_random(&random) % 8; k++) {
            damage(&broken, &random);
        }
        (void)fuzz_decoder((const uint8_t *)broken.data, broken.len);
        (void)fuzz_frames((const uint8_t *)broken.data, broken.len);
        (void)fuzz_workflow((const uint8_t *)broken.data, broken.len < 2000 ? broken.len : 2000);
        (void)fuzz_ws_frames((const uint8_t *)broken.data, broken.len < 500 ? broken.len : 500);
    }
}
END_TEST

/* As it is, and with some damages. */
static void run_damaged(int (*run)(const uint8_t *data, size_t size), struct buf *b)
{
    AUTO_BUF struct buf broken;
    buf_init(&broken, BUF_NO_LIMIT);
    (void)run((const uint8_t *)buf_text(b), b->len);
    uint32_t random = 7u + (uint32_t)b->len;
    for (int round = 0; round < 60; round++) {
        buf_clear(&broken);
        buf_add_str(&broken, buf_str(b));
        for (uint32_t k = 0; k <= next_random(&random) % 4; k++) {
            damage(&broken, &random);
        }
        (void)run((const uint8_t *)buf_text(&broken), broken.len);
    }
}

/* tests/fuzz/corpus/TARGET/... */
START_TEST(corpus_is_replayed)
{
    const char *path = corpus.gl_pathv[_i];
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    AUTO_BUF struct buf b;
    buf_init(&b, BUF_NO_LIMIT);
    for (int c = fgetc(file); c != EOF; c = fgetc(file)) {
        buf_add_char(&b, (char)c);
    }
    (void)fclose(file);
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        AUTO_BUF struct buf dir;
        buf_init(&dir, 256);
        buf_printf(&dir, "/corpus/%s/", targets[i].name);
        if (strstr(path, buf_text(&dir)) != NULL) {
            run_damaged(targets[i].run, &b);
        }
    }
}
END_TEST

Suite *fuzz_suite(void)
{
    Suite *s = suite_create("fuzz");
    TCase *c = tcase_create("replay");
    tcase_set_timeout(c, 120);
    (void)glob("tests/traces/v*/*.jsonl", 0, NULL, &traces);
    (void)glob("tests/fuzz/corpus/*/*", 0, NULL, &corpus);
    tcase_add_loop_test(c, recorded_frames_damaged, 0, (int)traces.gl_pathc);
    tcase_add_loop_test(c, corpus_is_replayed, 0, (int)corpus.gl_pathc);
    suite_add_tcase(s, c);
    return s;
}
