/* A tokens file: refused with lines that say where, or tokens that are all different. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "comfypool/config/tokens.h"

static void hold(bool good)
{
    if (!good) {
        abort();
    }
}

int fuzz_tokens(const uint8_t *data, size_t size)
{
    struct tokens t;
    struct buf errors;
    buf_init(&errors, BUF_NO_LIMIT);
    if (tokens_parse((struct str){(const char *)data, size}, "t", &t, &errors)) {
        hold(t.len > 0 && errors.len == 0);
    } else {
        hold(t.list == NULL && strncmp(buf_text(&errors), "t:", 2) == 0);
    }
    for (size_t i = 0; i < t.len; i++) {
        hold(strlen(t.list[i].sha256) == DIGEST_HEX_SIZE - 1 && t.list[i].name[0] != '\0');
        hold(t.list[i].role != ROLE_ANYBODY);
        hold(i == 0 || strcmp(t.list[i].name, t.list[i - 1].name) != 0);
    }
    tokens_done(&t);
    buf_done(&errors);
    return 0;
}
