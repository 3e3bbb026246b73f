/* The error table, looked up; see the header. */
#include "comfypool/base/err.h"

static const struct {
    const char *code;
    const char *title;
    unsigned http;
    bool retryable;
} table[ERR_COUNT] = {[ERR_NONE] = {"", "", 200, false},
#define X(symbol, code, http, retry, title) [symbol] = {code, title, http, retry},
                      ERR_TABLE(X)
#undef X
};

const char *err_code(enum err e)
{
    return table[e].code;
}

const char *err_title(enum err e)
{
    return table[e].title;
}

unsigned err_http_status(enum err e)
{
    return table[e].http == 0 ? 500 : table[e].http;
}

bool err_is_retryable(enum err e)
{
    return table[e].retryable;
}

enum err err_from_code(struct str code)
{
    for (int i = 1; i < ERR_COUNT; i++) {
        if (str_is(code, table[i].code)) {
            return (enum err)i;
        }
    }
    return ERR_NONE;
}
