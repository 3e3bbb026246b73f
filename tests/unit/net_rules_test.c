/*
 * Addresses that requests may go to: by tables; and what counts as a literal is held against the
 * resolver itself (getaddrinfo with AI_NUMERICHOST asks nobody).
 */
#include "comfypool/base/net_rules.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>

#include "suites.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* "10.0.0.1" or "fe80::1"; dies on anything else. */
static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage a = {0};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        memcpy(&a, &v4, sizeof v4);
    } else {
        ck_assert_msg(inet_pton(AF_INET6, text, &v6.sin6_addr) == 1, "%s", text);
        memcpy(&a, &v6, sizeof v6);
    }
    return a;
}

/* ---- public or not --------------------------------------------------------------------------- */

static const struct {
    const char *address;
    bool is_public;
} publics[] = {
    {"0.0.0.0", false},
    {"0.255.255.255", false},
    {"1.0.0.0", true},
    {"8.8.8.8", true},
    {"9.255.255.255", true},
    {"10.0.0.0", false},
    {"10.255.255.255", false},
    {"11.0.0.0", true},
    {"100.63.255.255", true},
    {"100.64.0.0", false},
    {"100.127.255.255", false},
    {"100.128.0.0", true},
    {"126.255.255.255", true},
    {"127.0.0.1", false},
    {"127.255.255.255", false},
    {"128.0.0.0", true},
    {"169.253.255.255", true},
    {"169.254.169.254", false},
    {"169.255.0.0", true},
    {"172.15.255.255", true},
    {"172.16.0.0", false},
    {"172.31.255.255", false},
    {"172.32.0.0", true},
    {"191.255.255.255", true},
    {"192.0.0.0", false},
    {"192.0.0.255", false},
    {"192.0.1.0", true},
    {"192.0.2.1", false},
    {"192.0.3.0", true},
    {"192.88.99.1", false},
    {"192.167.255.255", true},
    {"192.168.0.0", false},
    {"192.168.255.255", false},
    {"192.169.0.0", true},
    {"198.17.255.255", true},
    {"198.18.0.0", false},
    {"198.19.255.255", false},
    {"198.20.0.0", true},
    {"198.51.100.7", false},
    {"203.0.113.7", false},
    {"203.0.114.0", true},
    {"223.255.255.255", true},
    {"224.0.0.1", false},
    {"239.255.255.255", false},
    {"240.0.0.0", false},
    {"255.255.255.255", false},
    {"::", false},
    {"::1", false},
    {"::2", false},
    {"::8.8.8.8", true},
    {"::10.0.0.1", false},
    {"::ffff:8.8.8.8", true},
    {"::ffff:10.0.0.1", false},
    {"::ffff:127.0.0.1", false},
    {"::ffff:0:8.8.8.8", true},
    {"::ffff:0:127.0.0.1", false},
    {"64:ff9b::8.8.8.8", true},
    {"64:ff9b::192.168.1.1", false},
    {"64:ff9b:1::8.8.8.8", false},
    {"64:ff9b:0:1::8.8.8.8", false},
    {"100::1", false},
    {"1fff:ffff::1", false},
    {"2000::1", true},
    {"2001::1", false},
    {"2001:1ff:ffff::1", false},
    {"2001:200::1", true},
    {"2001:db7:ffff::1", true},
    {"2001:db8::1", false},
    {"2001:db8:ffff::1", false},
    {"2001:db9::1", true},
    {"2002:808:808::1", true},
    {"2002:a00:1::1", false},
    {"2002:7f00:1::1", false},
    {"2003::1", true},
    {"2606:4700::1111", true},
    {"3fff:0:ffff::1", false},
    {"3fff:fff:ffff::1", false},
    {"3fff:1000::1", true},
    {"3ffe:ffff::1", true},
    {"4000::1", false},
    {"5f00::1", false},
    {"fbff::1", false},
    {"fc00::1", false},
    {"fd12:3456::1", false},
    {"fe00::1", false},
    {"fe80::1", false},
    {"febf::1", false},
    {"fec0::1", false},
    {"ff02::1", false},
    {"ffff::1", false},
};

START_TEST(public_addresses)
{
    const struct sockaddr_storage a = address(publics[_i].address);
    const struct sockaddr *p = (const struct sockaddr *)&a;
    ck_assert_msg(net_address_is_public(p) == publics[_i].is_public, "%s", publics[_i].address);
    ck_assert_msg(net_rules_allow(NULL, STR("x"), p) == publics[_i].is_public, "%s, no rules",
                  publics[_i].address);
    if (a.ss_family == AF_INET) { /* and what carries it is judged alike */
        char text[64];
        (void)snprintf(text, sizeof text, "::ffff:%s", publics[_i].address);
        const struct sockaddr_storage mapped = address(text);
        ck_assert_msg(net_address_is_public((const struct sockaddr *)&mapped) ==
                          publics[_i].is_public,
                      "%s", text);
    }
}
END_TEST

START_TEST(other_families_are_not_public)
{
    const struct sockaddr_storage a = {.ss_family = AF_UNIX};
    ck_assert(!net_address_is_public((const struct sockaddr *)&a));
    char *everything[] = {"0.0.0.0/0", "::/0", "x"};
    char why[128] = "";
    struct net_rules *r = net_rules_new(everything, 3, why, sizeof why);
    ck_assert_msg(r != NULL, "%s", why);
    ck_assert(!net_rules_allow(r, STR("x"), (const struct sockaddr *)&a));
    net_rules_free(r);
}
END_TEST

/* ---- literals -------------------------------------------------------------------------------- */

static const struct {
    const char *host;
    const char *address; /* NULL: no literal */
} literals[] = {
    {"127.0.0.1", "127.0.0.1"},
    {"127.0.0.1.", "127.0.0.1"},
    {"127.0.0.1..", NULL},
    {"8.8.8.8", "8.8.8.8"},
    {"2130706433", "127.0.0.1"},
    {"0x7f000001", "127.0.0.1"},
    {"0X7F000001", "127.0.0.1"},
    {"017700000001", "127.0.0.1"},
    {"127.1", "127.0.0.1"},
    {"127.0.1", "127.0.0.1"},
    {"0x7f.1", "127.0.0.1"},
    {"0177.0.0.1", "127.0.0.1"},
    {"00000000000000000000000000000000000000000000000000000000000000000000000000177.0.0.1",
     "127.0.0.1"},
    {"10.65535", "10.0.255.255"},
    {"0", "0.0.0.0"},
    {"4294967295", "255.255.255.255"},
    {"4294967296", NULL},
    {"256.0.0.1", NULL},
    {"1.2.3.256", NULL},
    {"1.2.3.4.5", NULL},
    {"1.2.3.", "1.2.0.3"},
    {".1.2.3.4", NULL},
    {"08.0.0.1", NULL},
    {"0x", NULL},
    {"0xg", NULL},
    {"-1", NULL},
    {"127.0.0.1 ", NULL},
    {"127.0.0.1 x", NULL},
    {" 127.0.0.1", NULL},
    {"127.0.0.1\t", NULL},
    {"[::1]", "::1"},
    {"::1", "::1"},
    {"[::]", "::"},
    {"[0:0:0:0:0:0:0:1]", "::1"},
    {"[::ffff:127.0.0.1]", "::ffff:127.0.0.1"},
    {"[::FFFF:7f00:1]", "::ffff:127.0.0.1"},
    {"[fe80::1%eth0]", "fe80::1"},
    {"fe80::1%25", "fe80::1"},
    {"[::1", NULL},
    {"::1]", NULL},
    {"[]", NULL},
    {"[", NULL},
    {"[::1]x", NULL},
    {"[1:2:3:4:5:6:7:8:9]", NULL},
    {"[0000000000000000000000000000000000000000000000000000001::1]", NULL},
    {"[127.0.0.1]", NULL},
    {":::", NULL},
    {"localhost", "127.0.0.1"},
    {"LocalHost.", "127.0.0.1"},
    {"a.localhost", "127.0.0.1"},
    {"a.b.LOCALHOST.", "127.0.0.1"},
    {"localhost..", NULL},
    {".localhost", NULL},
    {"xlocalhost", NULL},
    {"localhost.example.com", NULL},
    {"example.com", NULL},
    {"dead.beef", NULL},
    {"abc", NULL},
    {"", NULL},
    {".", NULL},
};

START_TEST(literal_hosts)
{
    struct sockaddr_storage got = {.ss_family = AF_UNIX};
    const bool is = net_literal(str_of(literals[_i].host), &got);
    ck_assert_msg(is == (literals[_i].address != NULL), "\"%s\"", literals[_i].host);
    if (is) {
        const struct sockaddr_storage want = address(literals[_i].address);
        ck_assert_msg(memcmp(&got, &want, sizeof want) == 0, "\"%s\"", literals[_i].host);
    } else {
        ck_assert_int_eq(got.ss_family, AF_UNIX);
    }
}
END_TEST

START_TEST(a_literal_with_a_nul_is_none)
{
    struct sockaddr_storage got;
    ck_assert(!net_literal((struct str){"127.0.0.1\0x", 11}, &got));
    ck_assert(!net_literal((struct str){"::1\0x", 5}, &got));
    ck_assert(!net_literal((struct str){NULL, 0}, &got));
}
END_TEST

/* What the resolver takes as a number must be taken as the same number here. */
static void hold_against_resolver(const char *host)
{
    struct sockaddr_storage got;
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
    struct addrinfo *a = NULL;
    const bool is = net_literal(str_of(host), &got);
    if (getaddrinfo(host, NULL, &hints, &a) != 0) {
        const size_t n = strlen(host);
        ck_assert_msg(!is || (n > 0 && host[n - 1] == '.'), "\"%s\" is no number", host);
        return;
    }
    ck_assert_msg(is, "\"%s\" is a number", host);
    const size_t at = a->ai_family == AF_INET ? offsetof(struct sockaddr_in, sin_addr)
                                              : offsetof(struct sockaddr_in6, sin6_addr);
    ck_assert_int_eq(got.ss_family, a->ai_family);
    ck_assert_msg(
        memcmp((char *)&got + at, (char *)a->ai_addr + at, a->ai_family == AF_INET ? 4 : 16) == 0,
        "\"%s\"", host);
    freeaddrinfo(a);
}

START_TEST(literals_are_the_resolvers)
{
    static const char alphabet[] = "0011279fFxX..::[]";
    uint32_t random = 20240817;
    for (int i = 0; i < 200000; i++) {
        char host[24];
        random = random * 1664525u + 1013904223u;
        const size_t n = (random >> 24) % (sizeof host - 1);
        for (size_t k = 0; k < n; k++) {
            random = random * 1664525u + 1013904223u;
            host[k] = alphabet[(random >> 16) % (sizeof alphabet - 1)];
        }
        host[n] = '\0';
        if (strchr(host, '[') == NULL) { /* getaddrinfo knows no brackets */
            hold_against_resolver(host);
        }
    }
    for (size_t i = 0; i < COUNT(literals); i++) {
        if (strstr(literals[i].host, "ocal") == NULL && strchr(literals[i].host, '[') == NULL &&
            strchr(literals[i].host, '%') == NULL && strstr(literals[i].host, "OCAL") == NULL) {
            hold_against_resolver(literals[i].host);
        }
    }
}
END_TEST

/* ---- entries --------------------------------------------------------------------------------- */

static const struct {
    const char *entry;
    const char *why; /* a part of what is said; NULL: good */
} entries[] = {
    {"10.0.0.0/8", NULL},
    {"0.0.0.0/0", NULL},
    {"192.168.1.7/32", NULL},
    {"192.168.1.7", NULL},
    {"fd00::/8", NULL},
    {"::/0", NULL},
    {"::1/128", NULL},
    {"::1", NULL},
    {"[::1]", NULL},
    {"::ffff:10.0.0.0/104", NULL},
    {"hooks.example.com", NULL},
    {"hooks.example.com.", NULL},
    {"my_host-1", NULL},
    {"localhost", NULL},
    {"xn--bcher-kva.example", NULL},
    {"dead.beef", NULL},
    {"", "is empty"},
    {".", "is empty"},
    {"/", "before the /"},
    {"/8", "before the /"},
    {"10.0.0/8", "before the /"},
    {"example.com/24", "before the /"},
    {"fe80::1%eth0/64", "before the /"},
    {"10.0.0.0/", "between 0 and 32"},
    {"10.0.0.0/33", "between 0 and 32"},
    {"10.0.0.0/-1", "between 0 and 32"},
    {"10.0.0.0/+8", "between 0 and 32"},
    {"10.0.0.0/8x", "between 0 and 32"},
    {"10.0.0.0/8/8", "between 0 and 32"},
    {"10.0.0.0/99999999999999999999", "between 0 and 32"},
    {"10.0.0.0/255.0.0.0", "between 0 and 32"},
    {"fd00::/129", "between 0 and 128"},
    {"10.0.0.1/8", "first address"},
    {"172.16.0.0/11", "first address"},
    {"fd00::1/8", "first address"},
    {"fe80::1%eth0", "a zone"},
    {"http://example.com", "without scheme and port"},
    {"http://10.0.0.0/8", "without scheme and port"},
    {"example.com:80", "without scheme and port"},
    {"127.1", "four numbers"},
    {"10.0.0", "four numbers"},
    {"0x7f000001", "four numbers"},
    {"2130706433", "four numbers"},
    {"300.1.1.1", "four numbers"},
    {"*.example.com", "*"},
    {"a b", "letters, digits"},
    {"b\xc3\xbc"
     "cher.example",
     "letters, digits"},
    {"a..b", "empty"},
    {".a", "empty"},
    {"-a.b", "hyphen"},
    {"a-.b", "hyphen"},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b", "63"},
};

START_TEST(rule_entries)
{
    char why[160] = "";
    const bool good = net_rules_check_entry(str_of(entries[_i].entry), why, sizeof why);
    ck_assert_msg(good == (entries[_i].why == NULL), "\"%s\": %s", entries[_i].entry, why);
    if (!good) {
        ck_assert_msg(strstr(why, entries[_i].why) != NULL, "\"%s\": %s", entries[_i].entry, why);
    }
}
END_TEST

START_TEST(a_name_has_an_end)
{
    char name[300];
    char why[160] = "";
    for (size_t i = 0; i < sizeof name; i++) {
        name[i] = i % 10 == 9 ? '.' : 'a';
    }
    ck_assert(net_rules_check_entry((struct str){name, 253}, why, sizeof why));
    ck_assert(!net_rules_check_entry((struct str){name, 255}, why, sizeof why));
    ck_assert_msg(strstr(why, "253") != NULL, "%s", why);
    ck_assert(!net_rules_check_entry((struct str){"a\0b", 3}, why, sizeof why));
    ck_assert(!net_rules_check_entry((struct str){NULL, 0}, why, sizeof why));
}
END_TEST

START_TEST(a_wrong_entry_is_named)
{
    char *list[] = {"10.0.0.0/8", "example.com", "10.0.0.0/99"};
    char why[160] = "";
    ck_assert_ptr_null(net_rules_new(list, 3, why, sizeof why));
    ck_assert_msg(strncmp(why, "\"10.0.0.0/99\": ", 15) == 0, "%s", why);
}
END_TEST

/* ---- rules ----------------------------------------------------------------------------------- */

static char *const allowed[] = {
    "10.0.0.0/8", "192.168.1.128/25",      "172.16.5.5",          "fd00::/8",
    "[::1]",      "::ffff:100.64.0.0/106", "Hooks.Internal.test", "localhost."};

static const struct {
    const char *host;
    const char *address;
    bool allow;
} rules[] = {
    {"x", "8.8.8.8", true},
    {"x", "10.1.2.3", true},
    {"x", "11.0.0.0", true},
    {"x", "192.168.1.127", false},
    {"x", "192.168.1.128", true},
    {"x", "192.168.1.255", true},
    {"x", "192.168.2.128", false},
    {"x", "172.16.5.5", true},
    {"x", "172.16.5.4", false},
    {"x", "::ffff:10.1.2.3", true},
    {"x", "::ffff:172.16.5.5", true},
    {"x", "::ffff:172.16.5.4", false},
    {"x", "::10.1.2.3", false},
    {"x", "64:ff9b::10.1.2.3", false},
    {"x", "100.64.1.1", true},
    {"x", "::ffff:100.127.1.1", true},
    {"x", "fd00::1", true},
    {"x", "fdff::1", true},
    {"x", "fc00::1", false},
    {"x", "::1", true},
    {"x", "::2", false},
    {"x", "127.0.0.1", false},
    {"hooks.internal.test", "127.0.0.1", true},
    {"HOOKS.internal.TEST.", "fe80::1", true},
    {"hooks.internal.test..", "127.0.0.1", false},
    {"a.hooks.internal.test", "127.0.0.1", false},
    {"ooks.internal.test", "127.0.0.1", false},
    {"localhost", "127.0.0.1", true},
    {"", "127.0.0.1", false},
};

START_TEST(allowed_addresses)
{
    char why[160] = "";
    struct net_rules *r = net_rules_new(allowed, COUNT(allowed), why, sizeof why);
    ck_assert_msg(r != NULL, "%s", why);
    const struct sockaddr_storage a = address(rules[_i].address);
    ck_assert_msg(net_rules_allow(r, str_of(rules[_i].host), (const struct sockaddr *)&a) ==
                      rules[_i].allow,
                  "%s at %s", rules[_i].host, rules[_i].address);
    net_rules_free(r);
}
END_TEST

START_TEST(a_family_does_not_allow_the_other)
{
    char *six[] = {"::/0"};
    char *four[] = {"0.0.0.0/0"};
    char why[160] = "";
    struct net_rules *all_six = net_rules_new(six, 1, why, sizeof why);
    struct net_rules *all_four = net_rules_new(four, 1, why, sizeof why);
    const struct sockaddr_storage v4 = address("127.0.0.1");
    const struct sockaddr_storage v6 = address("::1");
    ck_assert(!net_rules_allow(all_six, STR(""), (const struct sockaddr *)&v4));
    ck_assert(net_rules_allow(all_six, STR(""), (const struct sockaddr *)&v6));
    ck_assert(net_rules_allow(all_four, STR(""), (const struct sockaddr *)&v4));
    ck_assert(!net_rules_allow(all_four, STR(""), (const struct sockaddr *)&v6));
    net_rules_free(all_six);
    net_rules_free(all_four);
    net_rules_free(NULL);
}
END_TEST

Suite *net_rules_suite(void)
{
    Suite *s = suite_create("net rules");
    TCase *t = tcase_create("net rules");
    tcase_add_loop_test(t, public_addresses, 0, (int)COUNT(publics));
    tcase_add_test(t, other_families_are_not_public);
    tcase_add_loop_test(t, literal_hosts, 0, (int)COUNT(literals));
    tcase_add_test(t, a_literal_with_a_nul_is_none);
    tcase_add_test(t, literals_are_the_resolvers);
    tcase_add_loop_test(t, rule_entries, 0, (int)COUNT(entries));
    tcase_add_test(t, a_name_has_an_end);
    tcase_add_test(t, a_wrong_entry_is_named);
    tcase_add_loop_test(t, allowed_addresses, 0, (int)COUNT(rules));
    tcase_add_test(t, a_family_does_not_allow_the_other);
    suite_add_tcase(s, t);
    return s;
}
