/*
 * The whole way from what a socket says to a profile: text frames, one a line, through the decoder
 * (with its fast path) and the profiler, as for one attempt whose prompt is the first one named. A
 * first line that is a workflow is taken as such. Each frame comes a millisecond after the one
 * before. The profile is checked after every 16 frames and at the end.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "comfypool/comfy/decoder.h"
#include "profile_check.h"

static const char WORKFLOW[] = "{\"1\":{\"inputs\":{}},\"2\":{\"inputs\":{\"x\":[\"1\",0]}},"
                               "\"3\":{\"inputs\":{\"x\":[\"2\",0]}},\"4\":{\"inputs\":{}}}";

static struct str take_line(struct str *rest)
{
    const char *end = rest->n == 0 ? NULL : memchr(rest->p, '\n', rest->n);
    const struct str line = {rest->p, end == NULL ? rest->n : (size_t)(end - rest->p)};
    const size_t used = line.n + (end == NULL ? 0 : 1);
    *rest = (struct str){rest->p + used, rest->n - used};
    return line;
}

/* Frames of other prompts are not the attempt's. */
static bool is_ours(const struct frame *f, char **prompt)
{
    if (f->prompt_id.p == NULL) {
        return false;
    }
    if (*prompt == NULL) {
        *prompt = mem_copy(f->prompt_id);
    }
    return str_is(f->prompt_id, *prompt);
}

static void live(struct watched *w, struct decoder *d, struct str rest, struct mono_us now)
{
    AUTO_FREE char *prompt = NULL;
    AUTO_BUF struct buf message;
    buf_init(&message, BUF_NO_LIMIT);
    for (unsigned i = 0; rest.n > 0; i++) {
        buf_clear(&message);
        buf_add_str(&message, take_line(&rest));
        const struct frame *f = decoder_text(d, &message);
        now.us += 1000;
        if (is_ours(f, &prompt)) {
            watched_feed(w, now, f);
        }
        if (i % 16 == 0) {
            watched_check(w, now, ATTEMPT_LOST);
        }
    }
    watched_check(w, now, ATTEMPT_COMPLETED);
}

int fuzz_frames(const uint8_t *data, size_t size)
{
    const struct mono_us now = {1000000};
    struct str rest = {(const char *)data, size};
    struct str after_first = rest;
    struct watched *w = watched_new(take_line(&after_first), now);
    if (w != NULL) {
        rest = after_first;
    } else {
        w = watched_new(str_of(WORKFLOW), now);
    }
    struct decoder *d = decoder_new();
    live(w, d, rest, now);
    decoder_free(d);
    watched_free(w);
    return 0;
}
