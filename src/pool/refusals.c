/* Which refusals count for which jobs; see the header. core/breaker.c keeps them; the keys are made
   here: a workflow's hash, followed by the files that the job's nodes are given. */
#include "refusals.h"

#include <stdio.h>

#include "attempt.h"
#include "backends.h"
#include "inputs.h"
#include "jobs.h"
#include "state.h"

/* A hash and two numbers in hexadecimal. */
enum { KEY_SIZE = DIGEST_HEX_SIZE + 2 * 17 };

enum likeness {
    SAME_INPUTS, /* which inputs are files */
    SAME_FILES,  /* ... and which files */
    LIKENESSES,
};

/* Computes a number for the inputs that are files, and one for the files. */
static void digest(const struct job *j, uint64_t ret[LIKENESSES])
{
    AUTO_BUF struct buf inputs;
    AUTO_BUF struct buf files;
    buf_init(&inputs, BUF_NO_LIMIT);
    buf_init(&files, BUF_NO_LIMIT);
    for (size_t i = 0; i < j->files.len; i++) {
        const struct input *in = &j->files.inputs[i];
        buf_printf(&inputs, "%s\n%s\n", in->file.node_id, in->file.input);
        const bool is_output = in->file.job_id[0] != '\0'; /* the hash is known later */
        buf_printf(&files, "%s %lld\n", is_output ? in->file.job_id : in->file.sha256,
                   is_output ? (long long)in->file.output : -1LL);
    }
    ret[SAME_INPUTS] = map_hash(buf_str(&inputs));
    ret[SAME_FILES] = map_hash(buf_str(&files));
}

static struct str make_key(const struct job *j, struct str hash, enum likeness like,
                           char (*ret)[KEY_SIZE])
{
    uint64_t of[LIKENESSES];
    if (j->files.len == 0) {
        return hash;
    }
    digest(j, of);
    int n = snprintf(*ret, KEY_SIZE, "%.*s/%016llx", (int)hash.n, hash.p,
                     (unsigned long long)of[SAME_INPUTS]);
    if (like == SAME_FILES) {
        n += snprintf(*ret + n, KEY_SIZE - (size_t)n, "/%016llx",
                      (unsigned long long)of[SAME_FILES]);
    }
    return (struct str){*ret, (size_t)n};
}

/* Returns the number of likenesses; without files all are the same. */
static int likenesses(const struct job *j)
{
    return j->files.len == 0 ? 1 : LIKENESSES;
}

void refusals_add(struct attempt *a, struct mono_us now, const char *why)
{
    const struct job *j = a->job;
    struct breaker *known = &a->backend->pool->breaker;
    char key[KEY_SIZE];
    for (int like = 0; like < likenesses(j); like++) {
        const struct str k = make_key(j, job_hash(j), (enum likeness)like, &key);
        breaker_refused(known, k, a->backend->id, now, why);
    }
}

void refusals_over(struct attempt *a)
{
    const struct job *j = a->job;
    struct breaker *known = &a->backend->pool->breaker;
    char key[KEY_SIZE];
    for (int like = 0; j->files.len > 0 && like < LIKENESSES; like++) {
        breaker_worked(known, make_key(j, job_hash(j), (enum likeness)like, &key), a->backend->id);
    }
}

enum refused refusal_of(const struct job *j, struct str hash, const struct backend *b,
                        struct mono_us now, const char **ret_why)
{
    const struct breaker *known = &b->pool->breaker;
    char key[KEY_SIZE];
    for (int like = likenesses(j) - 1; like >= 0; like--) {
        const struct str k = make_key(j, hash, (enum likeness)like, &key);
        const struct breaker_view v = breaker_view(known, k, b->id, now);
        if (!v.refused) {
            continue;
        }
        if (ret_why != NULL) {
            *ret_why = v.reason;
        }
        const bool exact = like == likenesses(j) - 1;
        return exact && !mono_before(v.refused_at, j->times.submitted) ? REFUSAL_HERE : REFUSAL_OLD;
    }
    return REFUSAL_NONE;
}

bool refusals_know(const struct job *j, struct str hash)
{
    const struct breaker *known = &j->pool->breaker;
    char key[KEY_SIZE];
    return breaker_knows(known, hash) ||
           (known->by_hash.len > 0 && j->files.len > 0 &&
            breaker_knows(known, make_key(j, hash, SAME_INPUTS, &key)));
}

void refusals_add_lane(const struct job *j, struct buf *ret)
{
    char key[KEY_SIZE];
    if (j->files.len == 0) {
        return;
    }
    const struct str exact = make_key(j, job_hash(j), SAME_FILES, &key);
    const struct str k = breaker_knows(&j->pool->breaker, exact)
                             ? exact
                             : make_key(j, job_hash(j), SAME_INPUTS, &key);
    buf_add(ret, k.p + DIGEST_HEX_SIZE - 1, k.n - (DIGEST_HEX_SIZE - 1));
}
