/* The addresses to listen on: single ones, comma-separated ones, and which are local. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "inner.h"

void config_listen_clear(struct config *c)
{
    for (unsigned i = 0; i < c->listen_len; i++) {
        free(c->listen[i]);
    }
    free(c->listen);
    c->listen = NULL;
    c->listen_len = 0;
}

bool config_listen_add(struct config *c, struct str address)
{
    for (unsigned i = 0; i < c->listen_len; i++) {
        if (str_is(address, c->listen[i]) && !str_ends_with(address, STR(":0"))) {
            return false;
        }
    }
    c->listen = mem_grow(c->listen, (c->listen_len + 1) * sizeof *c->listen);
    c->listen[c->listen_len++] = mem_copy(address);
    return true;
}

bool config_listen_add_text(struct config *c, const char *text, enum config_source from,
                            const char *where, struct buf *errors)
{
    bool good = true;
    struct str rest = str_of(text);
    struct str one;
    if (c->listen_from < from) {
        config_listen_clear(c);
        c->listen_from = from;
    }
    while (config_next_entry(&rest, &one)) {
        char why[CONFIG_WHY_SIZE];
        if (!config_check_address(one, why)) {
            good = config_complain(errors, where, why);
        } else if (!config_listen_add(c, one)) {
            good = config_complain(errors, where, "the same address is given twice");
        }
    }
    return good;
}

bool config_set_listen(struct config *c, const char *addresses, struct buf *errors)
{
    return config_listen_add_text(c, addresses, CONFIG_FLAG, "--listen", errors);
}

bool config_address_is_local(const char *address)
{
    static const char *const others[] = {"unix:", "localhost:", "[::1]:"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (strncmp(address, others[i], strlen(others[i])) == 0) {
            return true;
        }
    }
    struct in_addr a;
    const char *colon = strrchr(address, ':');
    AUTO_FREE char *host =
        mem_copy((struct str){address, colon == NULL ? 0 : (size_t)(colon - address)});
    return inet_pton(AF_INET, host, &a) == 1 && (ntohl(a.s_addr) >> 24) == 127;
}
