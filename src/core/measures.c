/* Durations of the last runs by key; see the header. A key is one text: its kind and its parts. */
#include "comfypool/core/measures.h"

#include <stdlib.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/map.h"
#include "comfypool/core/workflow.h"

/* Ring of the last values. */
struct recent {
    int64_t us[MEASURES_LAST];
    unsigned char len;
    unsigned char next;
};

struct entry {
    struct entry *newer, *older; /* by last use */
    struct recent warm;
    struct recent cold;
    char key[];
};

struct measures {
    struct map by_key;
    struct entry *newest, *oldest;
};

struct measures *measures_new(void)
{
    struct measures *m = mem_zero(1, sizeof *m);
    map_init(&m->by_key);
    return m;
}

static void unlink_entry(struct measures *m, struct entry *e)
{
    *(e->newer == NULL ? &m->newest : &e->newer->older) = e->older;
    *(e->older == NULL ? &m->oldest : &e->older->newer) = e->newer;
}

static void link_newest(struct measures *m, struct entry *e)
{
    e->newer = NULL;
    e->older = m->newest;
    *(m->newest == NULL ? &m->oldest : &m->newest->newer) = e;
    m->newest = e;
}

static void forget(struct measures *m, struct entry *e)
{
    unlink_entry(m, e);
    (void)map_remove(&m->by_key, str_of(e->key));
    free(e);
}

void measures_free(struct measures *m)
{
    if (m == NULL) {
        return;
    }
    while (m->oldest != NULL) {
        forget(m, m->oldest);
    }
    map_done(&m->by_key);
    free(m);
}

/* ---- keys ------------------------------------------------------------------------------------ */

/* Nearest first; those from LEVELS on are asked for by name. */
enum level {
    LEVEL_RUN,
    LEVEL_COST,
    LEVEL_STRUCTURE,
    LEVEL_BACKEND,
    LEVEL_ALL,
    LEVELS,
    LEVEL_STRUCTURE_HERE = LEVELS, /* structure and backend */
    LEVEL_CLASS,                   /* node class and backend */
};

static void write_key(struct buf *out, enum level level, struct str cost_key, struct str backend)
{
    const size_t prefix =
        cost_key.n < WORKFLOW_KEY_PREFIX ? cost_key.n : (size_t)WORKFLOW_KEY_PREFIX;
    buf_clear(out);
    buf_add_char(out, (char)('0' + level));
    if (level == LEVEL_RUN || level == LEVEL_COST) {
        buf_add_str(out, cost_key);
    } else if (level == LEVEL_STRUCTURE || level == LEVEL_STRUCTURE_HERE) {
        buf_add(out, cost_key.p, prefix);
    } else if (level == LEVEL_CLASS) {
        buf_add_str(out, cost_key);
    }
    if (level == LEVEL_RUN || level == LEVEL_BACKEND || level >= LEVELS) {
        buf_add_char(out, '/');
        buf_add_str(out, backend);
    }
}

static struct entry *touch(struct measures *m, struct str key)
{
    struct entry *e = map_get(&m->by_key, key);
    if (e != NULL) {
        unlink_entry(m, e);
        link_newest(m, e);
    }
    return e;
}

static struct entry *touch_or_make(struct measures *m, struct str key)
{
    struct entry *e = touch(m, key);
    if (e != NULL) {
        return e;
    }
    if (m->by_key.len >= MEASURES_KEYS) {
        forget(m, m->oldest);
    }
    e = mem_zero(1, sizeof *e + key.n + 1);
    memcpy(e->key, key.p, key.n);
    link_newest(m, e);
    (void)map_put(&m->by_key, str_of(e->key), e);
    return e;
}

/* ---- values ---------------------------------------------------------------------------------- */

static void add(struct recent *r, int64_t us)
{
    r->us[r->next] = us;
    r->next = (unsigned char)((r->next + 1) % MEASURES_LAST);
    r->len = (unsigned char)(r->len < MEASURES_LAST ? r->len + 1 : MEASURES_LAST);
}

static int by_value(const void *x, const void *y)
{
    const int64_t a = *(const int64_t *)x;
    const int64_t b = *(const int64_t *)y;
    return (a > b) - (a < b);
}

static int64_t median(const struct recent *r)
{
    int64_t sorted[MEASURES_LAST];
    memcpy(sorted, r->us, sizeof sorted);
    qsort(sorted, r->len, sizeof *sorted, by_value);
    return sorted[r->len / 2];
}

void measures_add(struct measures *m, struct str cost_key, struct str backend, bool cold,
                  struct dur_us took)
{
    AUTO_BUF struct buf key;
    buf_init(&key, BUF_NO_LIMIT);
    for (int level = 0; level <= LEVEL_STRUCTURE_HERE; level++) {
        write_key(&key, (enum level)level, cost_key, backend);
        struct entry *e = touch_or_make(m, buf_str(&key));
        add(cold ? &e->cold : &e->warm, took.us);
    }
}

bool measures_expect(struct measures *m, struct str cost_key, struct str backend,
                     struct dur_us *ret)
{
    AUTO_BUF struct buf key;
    buf_init(&key, BUF_NO_LIMIT);
    for (int level = 0; level < LEVELS; level++) {
        write_key(&key, (enum level)level, cost_key, backend);
        const struct entry *e = touch(m, buf_str(&key));
        if (e != NULL) {
            ret->us = median(e->warm.len > 0 ? &e->warm : &e->cold);
            return true;
        }
    }
    return false;
}

void measures_add_class(struct measures *m, struct str class_type, struct str backend,
                        struct dur_us took)
{
    AUTO_BUF struct buf key;
    buf_init(&key, BUF_NO_LIMIT);
    write_key(&key, LEVEL_CLASS, class_type, backend);
    add(&touch_or_make(m, buf_str(&key))->warm, took.us);
}

bool measures_class(struct measures *m, struct str class_type, struct str backend,
                    struct dur_us *ret)
{
    AUTO_BUF struct buf key;
    buf_init(&key, BUF_NO_LIMIT);
    write_key(&key, LEVEL_CLASS, class_type, backend);
    const struct entry *e = touch(m, buf_str(&key));
    if (e != NULL) {
        ret->us = median(&e->warm);
    }
    return e != NULL;
}

/* Returns the time of loading, over all backends; false: unknown. */
static bool loading_us(struct measures *m, struct str cost_key, struct buf *key, int64_t *ret)
{
    write_key(key, LEVEL_STRUCTURE, cost_key, STR(""));
    const struct entry *e = touch(m, buf_str(key));
    if (e == NULL || e->warm.len == 0 || e->cold.len == 0) {
        return false;
    }
    *ret = median(&e->cold) - median(&e->warm);
    return *ret > 0;
}

/* Guess where only one of the two was seen: loading takes a fifth. */
enum { GUESSED_SHARE = 5, LEAST_SHARE = 8 };

static void complete(const struct entry *e, bool known, int64_t loading, struct measures_times *t)
{
    if (e->warm.len == 0) {
        const int64_t warm = t->cold.us - (known ? loading : t->cold.us / GUESSED_SHARE);
        const int64_t least = t->cold.us / LEAST_SHARE;
        t->warm.us = warm > least ? warm : least;
    }
    if (e->cold.len == 0) {
        t->cold.us = t->warm.us + (known ? loading : t->warm.us / GUESSED_SHARE);
    }
    if (t->cold.us < t->warm.us) {
        t->cold = t->warm; /* noise: loading never saves time */
    }
}

bool measures_times(struct measures *m, struct str cost_key, struct str backend,
                    struct measures_times *ret)
{
    static const enum level levels[] = {LEVEL_RUN, LEVEL_STRUCTURE_HERE};
    AUTO_BUF struct buf key;
    buf_init(&key, BUF_NO_LIMIT);
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        write_key(&key, levels[i], cost_key, backend);
        const struct entry *e = touch(m, buf_str(&key));
        if (e != NULL) {
            int64_t loading = 0;
            ret->warm.us = e->warm.len > 0 ? median(&e->warm) : 0;
            ret->cold.us = e->cold.len > 0 ? median(&e->cold) : 0;
            const bool both = e->warm.len > 0 && e->cold.len > 0;
            complete(e, !both && loading_us(m, cost_key, &key, &loading), loading, ret);
            return true;
        }
    }
    return false;
}
