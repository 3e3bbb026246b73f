/*
 * Kinds of values, one row each: how a text is checked, read into its place in a struct, and freed.
 * A new kind is a row here and its name in inner.h. Invariant: stored values have passed their
 * check.
 */
#include <stdlib.h>
#include <string.h>

#include "comfypool/base/text.h"
#include "comfypool/core/event.h"

#include "inner.h"

/* Storage of one value of any kind. */
union value {
    int64_t number;
    bool truth;
    enum log_level level;
    enum config_keep keep;
    char *text;
    unsigned mask;
    struct config_list list;
};

/* ---- reading texts --------------------------------------------------------------------------- */

static bool read_int(const struct config_key *k, struct str text, void *to,
                     char why[CONFIG_WHY_SIZE])
{
    int64_t v = 0;
    const bool padded = text.n > 1 && (text.p[0] == '0' || (text.p[0] == '-' && text.p[1] == '0'));
    if (padded || !str_to_int64(text, &v)) {
        (void)snprintf(why, CONFIG_WHY_SIZE, "must be a whole number (%s)", k->unit);
        return false;
    }
    if (v < k->min || v > k->max) {
        (void)snprintf(why, CONFIG_WHY_SIZE, "must be from %lld to %lld (%s)", (long long)k->min,
                       (long long)k->max, k->unit);
        return false;
    }
    *(int64_t *)to = v;
    return true;
}

static bool read_bool(const struct config_key *k, struct str text, void *to,
                      char why[CONFIG_WHY_SIZE])
{
    (void)k;
    *(bool *)to = str_is(text, "true");
    return str_is(text, "true") || str_is(text, "false") ||
           config_say(why, "must be true or false");
}

static bool read_level(const struct config_key *k, struct str text, void *to,
                       char why[CONFIG_WHY_SIZE])
{
    (void)k;
    AUTO_FREE char *word = mem_copy(text);
    return log_level_from_text(word, to) ||
           config_say(why, "must be error, warning, info or debug");
}

static bool read_keep(const struct config_key *k, struct str text, void *to,
                      char why[CONFIG_WHY_SIZE])
{
    (void)k;
    *(enum config_keep *)to = str_is(text, "copy") ? CONFIG_KEEP_COPY : CONFIG_KEEP_NONE;
    return str_is(text, "none") || str_is(text, "copy") || config_say(why, "must be none or copy");
}

static bool read_text(const struct config_key *k, struct str text, void *to,
                      char why[CONFIG_WHY_SIZE])
{
    (void)k;
    (void)why;
    *(char **)to = mem_copy(text);
    return true;
}

static bool add_text(const struct config_key *k, struct str text, void *to,
                     char why[CONFIG_WHY_SIZE])
{
    (void)k;
    (void)why;
    struct config_list *l = to;
    l->items = mem_grow(l->items, (l->len + 2) * sizeof *l->items);
    l->items[l->len++] = mem_copy(text);
    l->items[l->len] = NULL;
    return true;
}

static bool add_class(const struct config_key *k, struct str text, void *to,
                      char why[CONFIG_WHY_SIZE])
{
    (void)k;
    const enum retry_class c = retry_class_from_name(text);
    if (c == RETRY_CLASS_COUNT) {
#define X(symbol, name, by_default) name ", "
        return config_say(why, "each must be one of " RETRY_CLASS_TABLE(X) "or the list empty");
#undef X
    }
    *(unsigned *)to |= 1u << c;
    return true;
}

static bool add_event(const struct config_key *k, struct str text, void *to,
                      char why[CONFIG_WHY_SIZE])
{
    (void)k;
    const enum event_type t = event_from_name(text);
    if (t == EVENT_TYPE_COUNT || !event_is_for_hooks(t)) {
        return config_say(why, "must be a durable event of a job, such as job:completed");
    }
    *(unsigned *)to |= 1u << t;
    return true;
}

static void free_text(void *value)
{
    mem_free_ptr(value);
}

static void free_list(void *value)
{
    struct config_list *l = value;
    for (unsigned i = 0; i < l->len; i++) {
        free(l->items[i]);
    }
    free(l->items);
}

/* ---- the table ------------------------------------------------------------------------------- */

/* clang-format off */
#define ONE_TEXT(check) {sizeof(char *), check, read_text, free_text, NULL, false}
#define LIST_OF(check) {sizeof(struct config_list), check, add_text, free_list, NULL, true}

const struct config_kind_row config_kinds[CONFIG_KIND_COUNT] = {
    /* size, check, read, free, unquoted, is_list */
    [CONFIG_INT] = {sizeof(int64_t), NULL, read_int, NULL, "a number", false},
    [CONFIG_BOOL] = {sizeof(bool), NULL, read_bool, NULL, "true or false", false},
    [CONFIG_LEVEL] = {sizeof(enum log_level), NULL, read_level, NULL, NULL, false},
    [CONFIG_KEEP] = {sizeof(enum config_keep), NULL, read_keep, NULL, NULL, false},
    [CONFIG_NAME] = ONE_TEXT(config_check_name),
    [CONFIG_URL] = ONE_TEXT(config_check_url),
    [CONFIG_PATH] = ONE_TEXT(config_check_text),
    [CONFIG_BESIDE] = ONE_TEXT(config_check_text),
    [CONFIG_HEADERS] = ONE_TEXT(config_check_text),
    [CONFIG_GPU] = ONE_TEXT(config_check_gpu),
    [CONFIG_ENDPOINT] = ONE_TEXT(config_check_endpoint),
    [CONFIG_HASH] = ONE_TEXT(config_check_hash),
    [CONFIG_PAIR] = ONE_TEXT(config_check_pair),
    [CONFIG_LABEL] = ONE_TEXT(config_check_selector),
    [CONFIG_CLASSES] = {sizeof(unsigned), NULL, add_class, NULL, NULL, true},
    [CONFIG_EVENTS] = {sizeof(unsigned), NULL, add_event, NULL, NULL, true},
    [CONFIG_LABELS] = LIST_OF(config_check_label),
    [CONFIG_HOSTS] = LIST_OF(config_check_host),
    [CONFIG_ORIGINS] = LIST_OF(config_check_origin),
    [CONFIG_RECEIVERS] = LIST_OF(config_check_receiver),
    [CONFIG_NETWORKS] = LIST_OF(config_check_network),
    [CONFIG_NAMES] = LIST_OF(config_check_name),
    [CONFIG_NODE_CLASSES] = LIST_OF(config_check_text),
    [CONFIG_INPUTS] = LIST_OF(config_check_input),
    /* Compound values have functions of their own. */
    [CONFIG_ADDRESSES] = {0},
    [CONFIG_BACKENDS] = {0},
    [CONFIG_RULES] = {0},
};
/* clang-format on */

/* ---- values in their places ------------------------------------------------------------------ */

bool config_value_read(const struct config_key *k, struct str text, void *to,
                       char why[CONFIG_WHY_SIZE])
{
    const struct config_kind_row *kind = &config_kinds[k->kind];
    if (kind->read == NULL) {
        return config_say(why, "must be a list");
    }
    return (kind->check == NULL || kind->check(text, why)) && kind->read(k, text, to, why);
}

void config_value_clear(const struct config_key *k, void *value)
{
    const struct config_kind_row *kind = &config_kinds[k->kind];
    if (kind->free != NULL) {
        kind->free(value);
    }
    memset(value, 0, kind->size);
}

void config_value_move(const struct config_key *k, void *to, void *from)
{
    const size_t size = config_kinds[k->kind].size;
    config_value_clear(k, to);
    memcpy(to, from, size);
    memset(from, 0, size);
}

bool config_next_entry(struct str *rest, struct str *ret)
{
    if (rest->p == NULL) {
        return false;
    }
    const char *comma = memchr(rest->p, ',', rest->n);
    const size_t n = comma == NULL ? rest->n : (size_t)(comma - rest->p);
    *ret = text_trim((struct str){rest->p, n});
    *rest = comma == NULL ? (struct str){NULL, 0} : (struct str){comma + 1, rest->n - n - 1};
    return true;
}

bool config_value_set(const struct config_key *k, struct str text, void *to,
                      char why[CONFIG_WHY_SIZE])
{
    union value fresh;
    struct str one = text;
    bool good = true;
    memset(&fresh, 0, sizeof fresh);
    if (!config_kinds[k->kind].is_list) {
        good = config_value_read(k, text, &fresh, why);
    } else {
        while (good && config_next_entry(&text, &one)) {
            good = config_value_read(k, one, &fresh, why);
        }
    }
    if (good) {
        config_value_move(k, to, &fresh);
    } else {
        config_value_clear(k, &fresh);
    }
    return good;
}

void config_value_reset(const struct config_key *k, void *value)
{
    char why[CONFIG_WHY_SIZE];
    config_value_clear(k, value);
    if (k->fallback != NULL && config_kinds[k->kind].read != NULL &&
        !config_value_set(k, str_of(k->fallback), value, why)) {
        abort(); /* a default in the table fails its own check */
    }
}
