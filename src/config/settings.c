/* Settings, and what SIGHUP reloads; see the header. */
#include "comfypool/config/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inner.h"

void settings_init(struct settings *s)
{
    *s = (struct settings){.backends = NULL};
    config_init(&s->config);
    buf_init(&s->tokens_path, BUF_NO_LIMIT);
}

void settings_done(struct settings *s)
{
    free(s->backends);
    free(s->rules);
    tokens_done(&s->tokens);
    receivers_done(&s->receivers);
    buf_done(&s->tokens_path);
    config_done(&s->config);
}

static bool read_tokens(struct settings *s, struct buf *errors)
{
    if (!tokens_find(s->config.auth_tokens_file, &s->tokens_path)) {
        buf_clear(&s->tokens_path);
        return true;
    }
    return tokens_read(buf_text(&s->tokens_path), &s->tokens, errors);
}

bool settings_read_files(struct settings *s, struct buf *errors)
{
    return read_tokens(s, errors) && receivers_read(&s->config, &s->receivers, errors);
}

/* ---- SIGHUP ---------------------------------------------------------------------------------- */

/* Strips the last line end, for one line of the log. */
static const char *without_last_end(struct buf *errors)
{
    errors->len -= errors->len > 0 && errors->data[errors->len - 1] == '\n' ? 1 : 0;
    return buf_text(errors);
}

bool settings_reload_tokens(struct settings *s)
{
    AUTO_BUF struct buf errors;
    buf_init(&errors, BUF_NO_LIMIT);
    struct tokens fresh;
    if (s->tokens_path.len == 0) {
        return false;
    }
    if (!tokens_read(buf_text(&s->tokens_path), &fresh, &errors)) {
        LOG(LOG_ERROR, "the tokens were not reloaded; the old ones stay",
            LOG_S("errors", without_last_end(&errors)));
        return false;
    }
    tokens_done(&s->tokens);
    s->tokens = fresh;
    LOG(LOG_INFO, "the tokens were reloaded", LOG_S("file", buf_text(&s->tokens_path)),
        LOG_I("tokens", s->tokens.len));
    return true;
}

void settings_reload_headers(struct settings *s)
{
    for (unsigned i = 0; i < s->config.backends_len; i++) {
        AUTO_BUF struct buf errors;
        buf_init(&errors, BUF_NO_LIMIT);
        if (!config_reload_headers(&s->config.backends[i], &errors)) {
            LOG(LOG_ERROR, "the headers of a backend were not reloaded; the old ones stay",
                LOG_S("backend", s->config.backends[i].name),
                LOG_S("errors", without_last_end(&errors)));
        }
    }
    (void)config_list_backends(&s->config, s->backends);
}

/* ---- the state directory --------------------------------------------------------------------- */

bool settings_state_directory(const struct settings *s, struct buf *ret)
{
    const char *configured = s->config.state;
    const char *given = configured != NULL ? configured : getenv("STATE_DIRECTORY");
    if (given != NULL && *given != '\0') {
        buf_add_str(ret, (struct str){given, strcspn(given, configured != NULL ? "" : ":")});
        return true;
    }
    const char *xdg = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    if (xdg != NULL && *xdg == '/') {
        buf_printf(ret, "%s/comfypoold", xdg);
    } else if (home != NULL && *home == '/') {
        buf_printf(ret, "%s/.local/state/comfypoold", home);
    } else {
        fputs("there is no place for the state: give --state DIR\n", stderr);
        return false;
    }
    return true;
}
