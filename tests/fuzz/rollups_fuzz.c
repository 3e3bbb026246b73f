/*
 * What a store may hold in its roll-ups and in the log before them, a disk that lies included: the
 * first byte says which. Broken bytes are told; what is taken has sane numbers, and a roll-up comes
 * back as it was when it is written and read again.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "comfypool/core/rollup.h"

static void hold(bool good)
{
    if (!good) {
        abort();
    }
}

static void check_observation(void *ctx, struct wall_us at, const struct observation *o)
{
    size_t *seen = ctx;
    (void)at;
    hold((unsigned)o->group < GROUP_COUNT);
    hold(!o->has_value || o->us >= 0);
    ++*seen;
}

static void check_measurement(struct str bytes)
{
    size_t seen = 0;
    (void)measurement_observe(bytes, check_observation, &seen);
    hold(seen <= 8 * (bytes.n + 1)); /* a run takes some bytes and is of a few groups */
}

static void check_rollup(struct str bytes)
{
    struct rollup r = {.count = 0};
    struct rollup again = {.count = 0};
    AUTO_BUF struct buf once;
    AUTO_BUF struct buf twice;
    buf_init(&once, BUF_NO_LIMIT);
    buf_init(&twice, BUF_NO_LIMIT);
    if (rollup_read(&r, bytes)) {
        rollup_write(&r, &once);
        hold(rollup_read(&again, buf_str(&once)));
        rollup_write(&again, &twice);
        hold(str_eq(buf_str(&once), buf_str(&twice)));
        rollup_merge(&again, &r);
        (void)rollup_quantile(&again, 0.5);
        (void)rollup_stddev(&again);
    }
    rollup_done(&again);
    rollup_done(&r);
}

int fuzz_rollups(const uint8_t *data, size_t size)
{
    if (size > 0) {
        const struct str bytes = {(const char *)data + 1, size - 1};
        (data[0] % 2 == 0 ? check_rollup : check_measurement)(bytes);
    }
    return 0;
}
