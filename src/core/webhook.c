/* Webhooks; see the header. */
#include "comfypool/core/webhook.h"

#include <inttypes.h>
#include <stdlib.h>

#include "comfypool/base/base64.h"
#include "comfypool/base/digest.h"
#include "comfypool/base/names.h"

static const char *const names[DELIVERY_STATE_COUNT] = {
#define X(symbol, name) [symbol] = (name),
    DELIVERY_STATE_TABLE(X)
#undef X
};

const char *delivery_state_name(enum delivery_state s)
{
    return names[s];
}

enum delivery_state delivery_state_from_name(struct str name)
{
    return (enum delivery_state)names_index(names, name);
}

void webhook_done(struct webhook *w)
{
    free(w->url);
    free(w->secret);
    *w = (struct webhook){0};
}

/* After the first two as Standard Webhooks proposes: rarer and rarer, over a day. */
static const int64_t pauses_s[] = {3, 10, 60, 300, 900, 3600, 7200, 14400, 21600, 28800};
enum { FIRST_TRIES = 3 };
enum { PAUSES = sizeof pauses_s / sizeof *pauses_s };

static const int64_t LIFE_US = INT64_C(24) * 3600 * 1000000;

bool webhook_pause(unsigned tries, struct wall_us since, struct wall_us now, uint32_t random,
                   struct dur_us *ret)
{
    const unsigned index = tries == 0 ? 0 : tries > PAUSES ? PAUSES - 1 : tries - 1;
    const int64_t pause_us = pauses_s[index] * 1000000;
    /* Plus or minus 10 %. */
    const int64_t jitter_us = pause_us / 5 * (random % 1024) / 1023 - pause_us / 10;
    const int64_t left_us = since.us + LIFE_US - now.us;
    /* Three tries are granted even if a day has passed, or seems to have. */
    if (left_us <= 0 && tries >= FIRST_TRIES) {
        return false;
    }
    /* The last try is at the end of the day. */
    ret->us = left_us <= 0 || pause_us + jitter_us < left_us ? pause_us + jitter_us : left_us;
    return true;
}

enum { MOST_KEY = 1024 };

static bool read_secret(struct str text, struct buf *key)
{
    static const struct str prefix = STR_INIT("whsec_");
    if (text.n <= prefix.n || memcmp(text.p, prefix.p, prefix.n) != 0) {
        return false;
    }
    return base64_read((struct str){text.p + prefix.n, text.n - prefix.n}, key) && key->len > 0;
}

bool webhook_secret_is_good(struct str text)
{
    AUTO_BUF struct buf key;
    buf_init(&key, MOST_KEY);
    return read_secret(text, &key);
}

void webhook_sign(struct str secret, struct str id, int64_t timestamp, struct str body,
                  struct buf *out)
{
    AUTO_BUF struct buf key;
    AUTO_BUF struct buf text;
    buf_init(&key, MOST_KEY);
    buf_init(&text, BUF_NO_LIMIT);
    (void)read_secret(secret, &key);
    buf_printf(&text, "%.*s.%" PRId64 ".", (int)id.n, id.p, timestamp);
    buf_add_str(&text, body);
    unsigned char mac[DIGEST_SIZE];
    digest_hmac_sha256(buf_str(&key), buf_str(&text), mac);
    buf_add_text(out, "v1,");
    base64_write(out, (struct str){(const char *)mac, sizeof mac});
}
