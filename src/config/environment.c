/* The environment: one variable for each key with a single text as value. */
#include <string.h>
#include <unistd.h>

#include "comfypool/base/near.h"

#include "inner.h"

static const struct config_key *find_variable(struct str name)
{
    for (size_t i = 0; i < config_keys_len; i++) {
        char mine[CONFIG_PATH_SIZE * 2];
        config_key_variable(&config_keys[i], mine);
        if (str_is(name, mine)) {
            return &config_keys[i];
        }
    }
    return NULL;
}

static bool load_variable(struct config *c, const struct config_key *k, const char *name,
                          const char *value, struct buf *errors)
{
    if (k->kind == CONFIG_ADDRESSES) {
        return config_listen_add_text(c, value, CONFIG_ENVIRONMENT, name, errors);
    }
    if (k->kind == CONFIG_BACKENDS) {
        return config_backends_add_text(c, value, name, errors);
    }
    return config_set_key(c, k, value, name, errors);
}

/* Reports an unknown variable. strict: as an error; then false. */
static bool complain_unknown(const char *name, bool strict, struct buf *errors)
{
    struct near near = near_to(str_of(name));
    char mine[CONFIG_KEYS_MOST][CONFIG_PATH_SIZE * 2];
    for (size_t i = 0; i < config_keys_len; i++) {
        config_key_variable(&config_keys[i], mine[i]);
        near_try(&near, mine[i]);
    }
    AUTO_BUF struct buf what;
    buf_init(&what, BUF_NO_LIMIT);
    buf_printf(&what, "the variable %s is not known", name);
    if (near.name != NULL) {
        buf_printf(&what, "; did you mean %s?", near.name);
    } else {
        buf_add_text(&what, "; --print-config-keys lists what there is");
    }
    if (strict) {
        buf_printf(errors, "%s\n", buf_text(&what));
    } else {
        LOG_PLAIN(LOG_WARN, buf_text(&what));
    }
    return !strict;
}

bool config_load_env(struct config *c, bool strict, struct buf *errors)
{
    bool good = true;
    for (char **e = environ; e != NULL && *e != NULL; e++) {
        const char *equals = strchr(*e, '=');
        if (equals == NULL ||
            strncmp(*e, CONFIG_VARIABLE_PREFIX, sizeof CONFIG_VARIABLE_PREFIX - 1) != 0) {
            continue;
        }
        AUTO_FREE char *name = mem_copy((struct str){*e, (size_t)(equals - *e)});
        const struct config_key *k = find_variable(str_of(name));
        if (k == NULL) {
            if (strcmp(name, "COMFYPOOLD_CONFIG") != 0) {
                good = complain_unknown(name, strict, errors) && good;
            }
        } else if (equals[1] != '\0') {
            good = load_variable(c, k, name, equals + 1, errors) && good;
        }
    }
    return good;
}
