/*
 * A configuration as a whole: its defaults, single values by their keys, and the checks across
 * sources.
 */
#include "comfypool/config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inner.h"

/* ---- life ------------------------------------------------------------------------------------ */

static bool is_member(const struct config_key *k, const char *section)
{
    return section == NULL ? !config_key_is_of_entry(k) : strcmp(k->section, section) == 0;
}

void config_members_reset(const char *section, void *base)
{
    for (size_t i = 0; i < config_keys_len; i++) {
        if (is_member(&config_keys[i], section)) {
            config_value_reset(&config_keys[i], config_place(&config_keys[i], base));
        }
    }
}

void config_members_clear(const char *section, void *base)
{
    for (size_t i = 0; i < config_keys_len; i++) {
        if (is_member(&config_keys[i], section)) {
            config_value_clear(&config_keys[i], config_place(&config_keys[i], base));
        }
    }
}

struct config_rule *config_rule_add(struct config *c)
{
    c->routing_rules =
        mem_grow(c->routing_rules, (c->routing_rules_len + 1) * sizeof *c->routing_rules);
    c->routing_rules[c->routing_rules_len] = (struct config_rule){0};
    return &c->routing_rules[c->routing_rules_len++];
}

static void drop_rules(struct config *c)
{
    for (unsigned i = 0; i < c->routing_rules_len; i++) {
        config_members_clear(CONFIG_RULE, &c->routing_rules[i]);
    }
    free(c->routing_rules);
    c->routing_rules = NULL;
    c->routing_rules_len = 0;
}

void config_init(struct config *c)
{
    *c = (struct config){0};
    config_members_reset(NULL, c);
    (void)config_listen_add(c, str_of(config_key_find("", STR("listen"))->fallback));
}

void config_done(struct config *c)
{
    config_backends_clear(c);
    drop_rules(c);
    config_listen_clear(c);
    config_members_clear(NULL, c);
    *c = (struct config){0};
}

/* ---- single values --------------------------------------------------------------------------- */

bool config_complain(struct buf *errors, const char *where, const char *why)
{
    buf_printf(errors, "%s: %s\n", where, why);
    return false;
}

bool config_set_key(struct config *c, const struct config_key *k, const char *value,
                    const char *where, struct buf *errors)
{
    char why[CONFIG_WHY_SIZE];
    return config_value_set(k, str_of(value), config_place(k, c), why) ||
           config_complain(errors, where, why);
}

bool config_set(struct config *c, const char *key, const char *value, const char *flag,
                struct buf *errors)
{
    const struct config_key *k = config_key_find_path(key);
    if (k == NULL || config_key_is_of_entry(k)) {
        return config_complain(errors, flag, "there is no such key");
    }
    return config_set_key(c, k, value, flag, errors);
}

/* ---- checks across keys ---------------------------------------------------------------------- */

static bool has_certificate(FILE *f)
{
    static const char *const begins[] = {"-----BEGIN CERTIFICATE-----",
                                         "-----BEGIN TRUSTED CERTIFICATE-----",
                                         "-----BEGIN X509 CERTIFICATE-----"};
    char line[128];
    while (fgets(line, sizeof line, f) != NULL) {
        for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
            if (strncmp(line, begins[i], strlen(begins[i])) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* Checks a file of certificates; else an invalid one would only show when its backend is asked. */
static bool ca_file_check(const char *path, const char *where, struct buf *errors)
{
    if (path == NULL) {
        return true;
    }
    errno = 0;
    FILE *f = fopen(path, "re");
    const bool good = f != NULL && has_certificate(f);
    const int why = errno; /* a directory fails only when read */
    if (f != NULL) {
        (void)fclose(f);
    }
    if (good) {
        return true;
    }
    if (f == NULL || why != 0) {
        buf_printf(errors, "%s: %s cannot be read: %s\n", where, path, strerror(why));
    } else {
        buf_printf(errors, "%s: %s has no certificate: it must be PEM, with a line %s\n", where,
                   path, "-----BEGIN CERTIFICATE-----");
    }
    return false;
}

bool config_validate(const struct config *c, struct buf *errors)
{
    bool good = ca_file_check(c->link.ca_file, "link.caFile", errors);
    for (unsigned i = 0; i < c->backends_len; i++) {
        const struct config_backend *b = &c->backends[i];
        AUTO_BUF struct buf where;
        buf_init(&where, BUF_NO_LIMIT);
        buf_printf(&where, "%s: caFile of %s", b->where == NULL ? "backends" : b->where, b->name);
        good = ca_file_check(b->ca_file, buf_text(&where), errors) && good;
    }
    return config_backends_check(c->backends, c->backends_len, errors) && good;
}
