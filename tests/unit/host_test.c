/*
 * What the host knows of a process: the texts of /proc by tables, the search and the usage on a
 * small tree in a directory, and both once more on the real /proc, with a socket of the test's own.
 */
#include "../../src/host/internal.h"

#include <arpa/inet.h>
#include <ftw.h>
#include <ifaddrs.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suites.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* ---- this machine ---------------------------------------------------------------------------- */

static const struct {
    const char *host;
    bool here;
} hosts[] = {
    {"localhost", true},
    {"LOCALHOST.", true},
    {"gpu.localhost", true},
    {"127.0.0.1", true},
    {"127.200.0.9", true},
    {"127.1", true},
    {"2130706433", true},
    {"0.0.0.0", true},
    {"0", true},
    {"::1", true},
    {"[::1]", true},
    {"[::]", true},
    {"[::ffff:127.0.0.1]", true},
    {"[::ffff:0.0.0.0]", true},
    {"192.0.2.1", false},
    {"0.0.0.1", false},
    {"128.0.0.1", false},
    {"255.255.255.255", false},
    {"[::2]", false},
    {"[2001:db8::1]", false},
    {"[::ffff:192.0.2.1]", false},
    {"example.com", false},
    {"localhost.example.com", false},
    {"", false},
    {"[", false},
};

START_TEST(hosts_that_are_here)
{
    ck_assert_msg(host_is_here(hosts[_i].host) == hosts[_i].here, "\"%s\"", hosts[_i].host);
}
END_TEST

static void own_address(const struct sockaddr *a)
{
    char text[INET6_ADDRSTRLEN];
    char host[64];
    const bool v4 = a->sa_family == AF_INET;
    const size_t at =
        v4 ? offsetof(struct sockaddr_in, sin_addr) : offsetof(struct sockaddr_in6, sin6_addr);
    ck_assert_ptr_nonnull(inet_ntop(a->sa_family, (const char *)a + at, text, sizeof text));
    (void)snprintf(host, sizeof host, v4 ? "%s" : "[%s]", text);
    ck_assert_msg(host_is_here(host), "%s", host);
    if (v4) {
        (void)snprintf(host, sizeof host, "[::ffff:%s]", text);
        ck_assert_msg(host_is_here(host), "%s", host);
    }
    ck_assert_msg(here_by_bind(a, v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)),
                  "%s, by bind", text);
}

START_TEST(addresses_of_interfaces_are_here)
{
    struct ifaddrs *all = NULL;
    ck_assert_int_eq(getifaddrs(&all), 0);
    for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
        if (i->ifa_addr != NULL &&
            (i->ifa_addr->sa_family == AF_INET || i->ifa_addr->sa_family == AF_INET6)) {
            own_address(i->ifa_addr);
        }
    }
    freeifaddrs(all);
    const struct sockaddr_in other = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(0xc0000201)}; /* 192.0.2.1 */
    ck_assert(!here_by_bind((const struct sockaddr *)&other, sizeof other));
}
END_TEST

/* ---- texts ----------------------------------------------------------------------------------- */

/* The text in memory that ends where it ends, so that reading on is seen. */
static struct str exactly(struct str s)
{
    static char *last;
    free(last);
    last = malloc(s.n == 0 ? 1 : s.n);
    ck_assert_ptr_nonnull(last);
    if (s.n > 0) {
        memcpy(last, s.p, s.n);
    }
    return (struct str){last, s.n};
}

#define V4 "   0: 0100007F:1FFC 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000"

static const struct {
    const char *name;
    const char *line;
    bool good;
    struct proc_socket want;
} socket_rows[] = {
    {"v4", V4 "        0 31337 1 0000000000000000 100 0 0 10 0\n", true, {8188, true, 1000, 31337}},
    {"v6",
     "  12: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A "
     "00000000:00000000 00:00000000 00000000     0        0 18446744073709551615 1 0",
     true,
     {8080, true, 0, 18446744073709551615u}},
    {"a connection",
     "   1: 0100007F:1FFC 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1000 0 5 1",
     true,
     {8188, false, 1000, 5}},
    {"ends behind the inode", V4 " 0 7", true, {8188, true, 1000, 7}},
    {"no inode", V4 " 0 ", false, {0}},
    {"no timeout", V4, false, {0}},
    {"the first line",
     "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when",
     false,
     {0}},
    {"inode too large", V4 " 0 18446744073709551616", false, {0}},
    {"inode is no number", V4 " 0 7x", false, {0}},
    {"port too large", "0: 0:10000 0:0 0A 0:0 0:0 0 0 0 1", false, {0}},
    {"port is no number", "0: 0:1g 0:0 0A 0:0 0:0 0 0 0 1", false, {0}},
    {"port is missing", "0: 0: 0:0 0A 0:0 0:0 0 0 0 1", false, {0}},
    {"no colon", "0: 0 0:0 0A 0:0 0:0 0 0 0 1", false, {0}},
    {"negative uid", "0: 0:1 0:0 0A 0:0 0:0 0 -1 0 1", false, {0}},
    {"blank", " \n", false, {0}},
    {"empty", "", false, {0}},
};

START_TEST(socket_lines)
{
    struct proc_socket got = {0};
    const bool good = proc_parse_socket(exactly(str_of(socket_rows[_i].line)), &got);
    ck_assert_msg(good == socket_rows[_i].good, "%s", socket_rows[_i].name);
    if (good) {
        const struct proc_socket *want = &socket_rows[_i].want;
        ck_assert_msg(got.port == want->port && got.listens == want->listens &&
                          got.uid == want->uid && got.inode == want->inode,
                      "%s", socket_rows[_i].name);
    }
}
END_TEST

/* Fields 4 to 21, then what comes behind the start time. */
#define BEFORE " 1 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 "
#define AFTER " 3133440 361 18446744073709551615 1\n"

static const struct {
    const char *row;
    const char *text;
    bool good;
    const char *name;
    bool dead;
    uint64_t start;
} stat_rows[] = {
    {"plain", "7 (python3) S" BEFORE "375679" AFTER, true, "python3", false, 375679},
    {"ends behind it", "7 (python3) R" BEFORE "375679", true, "python3", false, 375679},
    {"blanks", "7 (my  main loop) S" BEFORE "1" AFTER, true, "my  main loop", false, 1},
    {"parentheses", "7 (a) S 1 (b)) S" BEFORE "2" AFTER, true, "a) S 1 (b)", false, 2},
    {"a line break", "7 (a\nb) D" BEFORE "3" AFTER, true, "a\nb", false, 3},
    {"no name", "7 () S" BEFORE "4" AFTER, true, "", false, 4},
    {"zombie", "7 (x) Z" BEFORE "5" AFTER, true, "x", true, 5},
    {"dead", "7 (x) X" BEFORE "5" AFTER, true, "x", true, 5},
    {"largest", "7 (x) S" BEFORE "18446744073709551615" AFTER, true, "x", false, UINT64_MAX},
    {"long name",
     "7 (aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa) S" BEFORE "6",
     true, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false, 6},
    {"too large", "7 (x) S" BEFORE "18446744073709551616" AFTER, false, "", false, 0},
    {"negative", "7 (x) S" BEFORE "-1" AFTER, false, "", false, 0},
    {"cut before it", "7 (x) S" BEFORE, false, "", false, 0},
    {"cut", "7 (x) S 1 7 7", false, "", false, 0},
    {"cut behind the name", "7 (x)", false, "", false, 0},
    {"no end of the name", "7 (x S" BEFORE "1", false, "", false, 0},
    {"no name at all", "7 S" BEFORE "1", false, "", false, 0},
    {"crossed", "7 )x( S" BEFORE "1", false, "", false, 0},
    {"long state", "7 (x) SS" BEFORE "1", false, "", false, 0},
    {"empty", "", false, "", false, 0},
};

START_TEST(stat_texts)
{
    struct proc_stat got = {.name = ""};
    const bool good = proc_parse_stat(exactly(str_of(stat_rows[_i].text)), &got);
    ck_assert_msg(good == stat_rows[_i].good, "%s", stat_rows[_i].row);
    if (good) {
        ck_assert_str_eq(got.name, stat_rows[_i].name);
        ck_assert_msg(got.dead == stat_rows[_i].dead && got.start_time == stat_rows[_i].start, "%s",
                      stat_rows[_i].row);
    }
}
END_TEST

static const struct {
    const char *text;
    int64_t want; /* -1: refused */
} statm_rows[] = {
    {"765 406 377 5 0 123 0\n", 406 * 4096},
    {"0 0 0 0 0 0 0\n", 0},
    {"1 2", 2 * 4096},
    {"1 2251799813685247 3", 2251799813685247 * 4096},
    {"1 2251799813685248 3", -1},
    {"1 9223372036854775808 3", -1},
    {"1 99999999999999999999 3", -1},
    {"1 -2 3", -1},
    {"1 x 3", -1},
    {"1", -1},
    {"1 ", -1},
    {"", -1},
};

START_TEST(statm_texts)
{
    int64_t got = -1;
    const bool good = proc_parse_statm(exactly(str_of(statm_rows[_i].text)), 4096, &got);
    ck_assert_msg(good == (statm_rows[_i].want >= 0), "\"%s\"", statm_rows[_i].text);
    if (good) {
        ck_assert_int_eq(got, statm_rows[_i].want);
    }
}
END_TEST

static const struct {
    const char *text;
    bool good;
    int64_t got, put;
} io_rows[] = {
    {"rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 6\n"
     "cancelled_write_bytes: 7\n",
     true, 5, 6},
    {"write_bytes: 6\nread_bytes: 5", true, 5, 6},
    {"read_bytes: 9223372036854775807\nwrite_bytes: 0\n", true, INT64_MAX, 0},
    {"read_bytes: 9223372036854775808\nwrite_bytes: 0\n", false, 0, 0},
    {"read_bytes: 5\n", false, 0, 0},
    {"read_bytes: 5\ncancelled_write_bytes: 7\n", false, 0, 0},
    {"read_bytes: 5\nwrite_bytes:\n", false, 0, 0},
    {"read_bytes: 5\nwrite_bytes: x\n", false, 0, 0},
    {"read_bytes: 5\nwrite_bytes", false, 0, 0},
    {"read_bytes:5\nwrite_bytes:6\n", false, 0, 0},
    {"\n\n", false, 0, 0},
    {"", false, 0, 0},
};

START_TEST(io_texts)
{
    int64_t got = -7;
    int64_t put = -7;
    const bool good = proc_parse_io(exactly(str_of(io_rows[_i].text)), &got, &put);
    ck_assert_msg(good == io_rows[_i].good, "\"%s\"", io_rows[_i].text);
    ck_assert_int_eq(got, good ? io_rows[_i].got : -7);
    ck_assert_int_eq(put, good ? io_rows[_i].put : -7);
}
END_TEST

#define DEV_HEAD                                                                                   \
    "Inter-|   Receive                                                |  Transmit\n"               \
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs\n"

static const struct {
    const char *name;
    const char *text;
    bool good;
    int64_t received, sent;
} dev_rows[] = {
    {"two",
     DEV_HEAD "    lo: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n"
              "  eth0: 100 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0\n"
              "wlan0:3 1 0 0 0 0 0 0 4 1 0 0 0 0 0 0\n",
     true, 103, 24},
    {"only lo", DEV_HEAD "    lo: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n", true, 0, 0},
    {"not lo", DEV_HEAD "   lo0: 9 1 0 0 0 0 0 0 8 1 0 0 0 0 0 0\n", true, 9, 8},
    {"ends behind it", DEV_HEAD "  eth0: 100 1 0 0 0 0 0 0 20", true, 100, 20},
    {"cut", DEV_HEAD "  eth0: 100 1 0 0 0 0 0 0", false, 0, 0},
    {"cut at the name", DEV_HEAD "  eth0:", false, 0, 0},
    {"one is broken", DEV_HEAD "eth0: 1 1 0 0 0 0 0 0 2 1\neth1: x\n", false, 0, 0},
    {"largest", "e: 9223372036854775807 0 0 0 0 0 0 0 1", true, INT64_MAX, 1},
    {"too large a sum", "e: 9223372036854775807 0 0 0 0 0 0 0 1\nf: 1 0 0 0 0 0 0 0 1", false, 0,
     0},
    {"too large", "e: 18446744073709551615 0 0 0 0 0 0 0 1", false, 0, 0},
    {"negative", "e: -1 0 0 0 0 0 0 0 1", false, 0, 0},
    {"no name", ": 1 0 0 0 0 0 0 0 2", true, 1, 2},
    {"no interface", DEV_HEAD, false, 0, 0},
    {"empty", "", false, 0, 0},
};

START_TEST(net_dev_texts)
{
    int64_t received = -7;
    int64_t sent = -7;
    const bool good = proc_parse_net_dev(exactly(str_of(dev_rows[_i].text)), &received, &sent);
    ck_assert_msg(good == dev_rows[_i].good, "%s", dev_rows[_i].name);
    ck_assert_int_eq(received, good ? dev_rows[_i].received : -7);
    ck_assert_int_eq(sent, good ? dev_rows[_i].sent : -7);
}
END_TEST

static const struct {
    const char *text;
    const char *kind;
    bool good;
    uint64_t want;
} link_rows[] = {
    {"net:[4026531833]", "net", true, 4026531833},
    {"socket:[1]", "socket", true, 1},
    {"socket:[18446744073709551615]", "socket", true, UINT64_MAX},
    {"socket:[18446744073709551616]", "socket", false, 0},
    {"socket:[]", "socket", false, 0},
    {"socket:[1", "socket", false, 0},
    {"socket:1]", "socket", false, 0},
    {"socket:[1x]", "socket", false, 0},
    {"socket:[", "socket", false, 0},
    {"socket", "socket", false, 0},
    {"socke", "socket", false, 0},
    {"pipe:[1]", "socket", false, 0},
    {"/dev/null", "socket", false, 0},
    {"", "socket", false, 0},
};

START_TEST(link_texts)
{
    uint64_t got = 0;
    const bool good =
        proc_parse_link(exactly(str_of(link_rows[_i].text)), link_rows[_i].kind, &got);
    ck_assert_msg(good == link_rows[_i].good, "\"%s\"", link_rows[_i].text);
    ck_assert_uint_eq(got, link_rows[_i].want);
}
END_TEST

/* All parsers, on every beginning of every text of theirs and of the others. */
static void parse_all(struct str text)
{
    struct proc_socket sock;
    struct proc_stat stat;
    int64_t a = 0;
    int64_t b = 0;
    uint64_t c = 0;
    (void)proc_parse_socket(text, &sock);
    (void)proc_parse_stat(text, &stat);
    (void)proc_parse_statm(text, 4096, &a);
    (void)proc_parse_io(text, &a, &b);
    (void)proc_parse_net_dev(text, &a, &b);
    (void)proc_parse_link(text, "net", &c);
}

static void parse_beginnings(const char *text)
{
    for (size_t n = 0; n <= strlen(text); n++) {
        parse_all(exactly((struct str){text, n}));
    }
}

START_TEST(cut_texts_are_no_danger)
{
    for (size_t i = 0; i < COUNT(socket_rows); i++) {
        parse_beginnings(socket_rows[i].line);
    }
    for (size_t i = 0; i < COUNT(stat_rows); i++) {
        parse_beginnings(stat_rows[i].text);
    }
    for (size_t i = 0; i < COUNT(dev_rows); i++) {
        parse_beginnings(dev_rows[i].text);
    }
    for (size_t i = 0; i < COUNT(io_rows); i++) {
        parse_beginnings(io_rows[i].text);
    }
}
END_TEST

/* ---- a tree instead of /proc ----------------------------------------------------------------- */

static char root[256];
static uv_loop_t loop;

static void set_up(void)
{
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(root, sizeof root, "%s/host_XXXXXX", tmp == NULL ? "/tmp" : tmp);
    ck_assert_ptr_nonnull(mkdtemp(root));
    ck_assert_int_eq(uv_loop_init(&loop), 0);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static void tear_down(void)
{
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    (void)nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* root/NAME, with its directories. */
static const char *place(const char *name)
{
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *slash = strchr(path + strlen(root) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    return path;
}

static void put(const char *name, const char *text)
{
    FILE *f = fopen(place(name), "we");
    ck_assert_ptr_nonnull(f);
    (void)fputs(text, f);
    ck_assert_int_eq(fclose(f), 0);
}

static void put_link(const char *name, const char *target)
{
    ck_assert_int_eq(symlink(target, place(name)), 0);
}

__attribute__((format(printf, 2, 3))) static const char *text_of(char *to, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(to, 256, format, args);
    va_end(args);
    return to;
}

/* A process with one socket. */
static void put_process(int pid, const char *name, uint64_t start, uint64_t inode)
{
    char path[256];
    char text[256];
    put(text_of(path, "%d/stat", pid),
        text_of(text, "%d (%s) S" BEFORE "%llu" AFTER, pid, name, (unsigned long long)start));
    put_link(text_of(path, "%d/fd/0", pid), "/dev/null");
    put_link(text_of(path, "%d/fd/1", pid), "pipe:[12]");
    put_link(text_of(path, "%d/fd/12", pid),
             text_of(text, "socket:[%llu]", (unsigned long long)inode));
}

#define TABLE_HEAD "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\n"
#define TABLE_ROW(port, state, uid, inode)                                                         \
    "   0: 0100007F:" port " 00000000:0000 " state " 00000000:00000000 00:00000000 00000000 " uid  \
    " 0 " inode " 1 0\n"

/* Port 8188 is 1FFC. */
static void put_tables(void)
{
    put("self/net/tcp", TABLE_HEAD "broken\n" TABLE_ROW("1FFC", "01", "1000", "50") TABLE_ROW(
                            "1FFD", "0A", "1000", "51") TABLE_ROW("1FFC", "0A", "1000", "60"));
    put("self/net/tcp6", TABLE_HEAD TABLE_ROW("1FFC", "0A", "1001", "61"));
}

static struct host_process found;
static char why[320];

static bool find(int port)
{
    found = (struct host_process){0};
    why[0] = '\0';
    return proc_find_listener(root, port, &found, why, sizeof why);
}

static void not_found(int port, const char *part)
{
    ck_assert(!find(port));
    ck_assert_msg(strstr(why, part) != NULL, "%s", why);
}

START_TEST(the_listener_is_found)
{
    put_tables();
    put_process(10, "client", 5, 50);
    put_process(11, "another", 6, 51);
    put_process(12, "python3", 7, 60);
    put("uptime", "1 1\n");
    put("13/fd", "not a directory");
    put("14x/fd/0", "");
    ck_assert_msg(find(8188), "%s", why);
    ck_assert_int_eq(found.pid, 12);
    ck_assert_uint_eq(found.start_time, 7);
    ck_assert_str_eq(found.name, "python3");
    ck_assert_msg(find(8189), "%s", why);
    ck_assert_int_eq(found.pid, 11);
}
END_TEST

START_TEST(the_first_of_several_is_found)
{
    put_tables();
    put_process(20, "worker", 900, 60);
    put_process(21, "master", 899, 61); /* by IPv6 */
    put_process(22, "worker", 901, 60);
    put_process(19, "child", 899, 60);
    ck_assert_msg(find(8188), "%s", why);
    ck_assert_int_eq(found.pid, 19); /* as old as 21 */
}
END_TEST

START_TEST(without_ipv6_it_is_found)
{
    put_tables();
    put_process(12, "python3", 7, 60);
    ck_assert_int_eq(unlink(place("self/net/tcp6")), 0);
    ck_assert_msg(find(8188), "%s", why);
}
END_TEST

START_TEST(why_it_is_not_found)
{
    not_found(8188, "is /proc mounted?");
    put_tables();
    not_found(9000, "nothing listens on port 9000");
    not_found(8188, "hides processes of user 1001");
    put_process(10, "python3", 5, 50); /* only a connection */
    not_found(8188, "no process that listens on port 8188 can be seen");
    put_process(11, "python3", 5, 60);
    put("11/stat", "11 (python3");
    not_found(8188, "no process that listens on port 8188 can be seen");
}
END_TEST

START_TEST(forwarders_are_not_taken_for_it)
{
    put_tables();
    put_process(12, "docker-proxy", 7, 60);
    not_found(8188, "is held by docker-proxy (pid 12), which passes connections on");
}
END_TEST

/* Root's right to read everything; whoever runs the tests. */
static void give_up_reading_all(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}, {0}};
    ck_assert_int_eq(syscall(SYS_capset, &head, data), 0);
}

START_TEST(what_may_not_be_looked_into)
{
    put_tables();
    put_process(12, "python3", 7, 60);
    ck_assert_int_eq(chmod(place("12/fd"), 0), 0);
    give_up_reading_all();
    not_found(8188, "belongs to user 1001 and the daemon may not look into it");
    ck_assert_int_eq(chmod(place("12/fd"), 0700), 0);
}
END_TEST

/* ---- usage ----------------------------------------------------------------------------------- */

static void put_usage(void)
{
    put_process(12, "python3", 7, 60);
    put("12/statm", "765 2 377 5 0 123 0\n");
    put("12/io", "rchar: 1\nread_bytes: 5\nwrite_bytes: 6\n");
    put("12/net/dev", DEV_HEAD "eth0: 100 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0\n");
    put_link("12/ns/net", "net:[4026531833]");
}

START_TEST(usage_is_read)
{
    struct host_usage u;
    put_usage();
    ck_assert(proc_read_usage(root, 12, 7, &u));
    ck_assert(u.has_memory && u.has_disk && u.has_network && u.has_namespace);
    ck_assert_int_eq(u.resident_bytes, 2 * sysconf(_SC_PAGESIZE));
    ck_assert_int_eq(u.read_bytes, 5);
    ck_assert_int_eq(u.write_bytes, 6);
    ck_assert_int_eq(u.received_bytes, 100);
    ck_assert_int_eq(u.sent_bytes, 20);
    ck_assert_uint_eq(u.namespace_inode, 4026531833);
    ck_assert_str_eq(u.missing, "");
}
END_TEST

static const struct {
    const char *file;
    const char *instead; /* NULL: gone */
    bool memory, disk, network, ns;
    const char *missing;
} partial[] = {
    {"12/statm", NULL, false, true, true, true, "statm: No such file or directory"},
    {"12/statm", "1", false, true, true, true, "statm: not understood"},
    {"12/io", NULL, true, false, true, true, "io: No such file or directory"},
    {"12/io", "read_bytes: 99999999999999999999\nwrite_bytes: 1\n", true, false, true, true,
     "io: not understood"},
    {"12/net/dev", NULL, true, true, false, true, "net/dev: No such file or directory"},
    {"12/net/dev", "", true, true, false, true, "net/dev: not understood"},
    {"12/ns/net", NULL, true, true, true, false, "ns/net: No such file or directory"},
    {"12/ns/net", "a file", true, true, true, false, "ns/net: Invalid argument"},
};

START_TEST(each_part_may_be_missing)
{
    struct host_usage u;
    put_usage();
    ck_assert_int_eq(unlink(place(partial[_i].file)), 0);
    if (partial[_i].instead != NULL) {
        put(partial[_i].file, partial[_i].instead);
    }
    ck_assert(proc_read_usage(root, 12, 7, &u));
    ck_assert_int_eq(u.has_memory, partial[_i].memory);
    ck_assert_int_eq(u.has_disk, partial[_i].disk);
    ck_assert_int_eq(u.has_network, partial[_i].network);
    ck_assert_int_eq(u.has_namespace, partial[_i].ns);
    ck_assert_str_eq(u.missing, partial[_i].missing);
}
END_TEST

START_TEST(all_parts_may_be_missing)
{
    struct host_usage u;
    put_usage();
    ck_assert_int_eq(chmod(place("12/io"), 0), 0);
    ck_assert_int_eq(unlink(place("12/ns/net")), 0);
    ck_assert_int_eq(chmod(place("12/statm"), 0), 0);
    ck_assert_int_eq(chmod(place("12/net"), 0), 0);
    give_up_reading_all();
    ck_assert(proc_read_usage(root, 12, 7, &u));
    ck_assert(!u.has_memory && !u.has_disk && !u.has_network && !u.has_namespace);
    ck_assert_str_eq(u.missing, "statm: Permission denied; io: Permission denied; "
                                "net/dev: Permission denied; ns/net: No such file or directory");
    ck_assert_int_eq(chmod(place("12/net"), 0700), 0);
}
END_TEST

START_TEST(another_process_is_not_read)
{
    struct host_usage u;
    put_usage();
    ck_assert(!proc_read_usage(root, 12, 8, &u));
    ck_assert(!u.has_memory && !u.has_disk && !u.has_network && !u.has_namespace);
    ck_assert(!proc_read_usage(root, 13, 7, &u));
    ck_assert(!proc_read_usage(root, -1, 7, &u));
    put("12/stat", "12 (python3) Z" BEFORE "7" AFTER);
    ck_assert(!proc_read_usage(root, 12, 7, &u));
    put("12/stat", "");
    ck_assert(!proc_read_usage(root, 12, 0, &u));
    ck_assert_int_eq(unlink(place("12/stat")), 0);
    ck_assert(!proc_read_usage(root, 12, 7, &u));
}
END_TEST

/* ---- on the loop ----------------------------------------------------------------------------- */

static int answers;
static bool has_found;
static bool inside_start;

static void on_found(void *ctx, const struct host_process *p, const char *text)
{
    ck_assert_ptr_eq(ctx, &answers);
    ck_assert(!inside_start);
    answers++;
    has_found = p != NULL;
    if (p != NULL) {
        found = *p;
    }
    (void)snprintf(why, sizeof why, "%s", text);
}

static struct host_search *search(const char *where, int port)
{
    inside_start = true;
    struct host_search *s = search_start(&loop, where, port, on_found, &answers);
    inside_start = false;
    return s;
}

START_TEST(searches_answer_on_the_loop)
{
    put_tables();
    put_process(12, "python3", 7, 60);
    (void)search(root, 8188);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert(answers == 1 && has_found);
    ck_assert_int_eq(found.pid, 12);
    ck_assert_str_eq(why, "");
    (void)search(root, 9000);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert(answers == 2 && !has_found);
    ck_assert_msg(strstr(why, "nothing listens on port 9000") != NULL, "%s", why);
}
END_TEST

START_TEST(cancelled_searches_are_silent)
{
    enum { MANY = 20 }; /* more than the pool has threads: some run, some wait */
    struct host_search *all[MANY];
    for (int i = 0; i < MANY; i++) {
        all[i] = search("/proc", 1);
    }
    for (int i = 0; i < MANY; i++) {
        host_search_cancel(all[i]);
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(answers, 0);
    ck_assert_int_eq(uv_loop_alive(&loop), 0);
}
END_TEST

/* ---- the real thing -------------------------------------------------------------------------- */

/* A socket that listens on a port of the kernel's choice. */
static int listen_somewhere(int family, int *ret_port)
{
    struct sockaddr_storage a = {.ss_family = (sa_family_t)family};
    socklen_t n = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&a, n) != 0) {
        (void)close(fd);
        return -1;
    }
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    in_port_t port = 0;
    memcpy(&port, (char *)&a + offsetof(struct sockaddr_in, sin_port), sizeof port);
    *ret_port = ntohs(port);
    return fd;
}

static void find_ourselves(int family)
{
    int port = 0;
    const int fd = listen_somewhere(family, &port);
    if (fd < 0) {
        ck_assert_int_eq(family, AF_INET6); /* may be switched off */
        return;
    }
    answers = 0;
    (void)host_search_start(&loop, port, on_found, &answers);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)close(fd);
    ck_assert_msg(answers == 1 && has_found, "%s", why);
    ck_assert_int_eq(found.pid, getpid());
}

START_TEST(the_test_finds_itself)
{
    struct host_usage u;
    struct stat st;
    find_ourselves(AF_INET6);
    find_ourselves(AF_INET);
    ck_assert_msg(host_read_usage(found.pid, found.start_time, &u), "we are gone");
    ck_assert_str_eq(u.missing, "");
    ck_assert(u.has_memory && u.has_disk && u.has_network && u.has_namespace);
    ck_assert_int_gt(u.resident_bytes, 1 << 20);
    ck_assert_int_eq(stat("/proc/self/ns/net", &st), 0);
    ck_assert_uint_eq(u.namespace_inode, st.st_ino);
    ck_assert(!host_read_usage(found.pid, found.start_time + 1, &u));
}
END_TEST

START_TEST(an_ended_process_is_gone)
{
    struct host_usage u;
    struct proc_stat stat = {0};
    char text[1024];
    char path[64];
    int port = 0;
    const int fd = listen_somewhere(AF_INET, &port);
    const pid_t pid = fork();
    if (pid == 0) {
        (void)pause();
        _exit(0);
    }
    ck_assert(fd >= 0 && pid > 0);
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    ck_assert_ptr_nonnull(f);
    const size_t n = fread(text, 1, sizeof text, f);
    (void)fclose(f);
    ck_assert(proc_parse_stat((struct str){text, n}, &stat));
    ck_assert(host_read_usage(pid, stat.start_time, &u));
    (void)close(fd); /* now it alone has the socket */
    (void)host_search_start(&loop, port, on_found, &answers);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_msg(answers == 1 && has_found, "%s", why);
    ck_assert(found.pid == pid && found.start_time == stat.start_time);
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    siginfo_t info;
    ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    ck_assert_msg(!host_read_usage(pid, stat.start_time, &u), "a zombie has no usage");
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    ck_assert(!host_read_usage(pid, stat.start_time, &u));
    (void)host_search_start(&loop, port, on_found, &answers);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert(answers == 2 && !has_found);
}
END_TEST

Suite *host_suite(void)
{
    Suite *s = suite_create("host");
    TCase *texts = tcase_create("texts");
    tcase_add_loop_test(texts, hosts_that_are_here, 0, (int)COUNT(hosts));
    tcase_add_test(texts, addresses_of_interfaces_are_here);
    tcase_add_loop_test(texts, socket_lines, 0, (int)COUNT(socket_rows));
    tcase_add_loop_test(texts, stat_texts, 0, (int)COUNT(stat_rows));
    tcase_add_loop_test(texts, statm_texts, 0, (int)COUNT(statm_rows));
    tcase_add_loop_test(texts, io_texts, 0, (int)COUNT(io_rows));
    tcase_add_loop_test(texts, net_dev_texts, 0, (int)COUNT(dev_rows));
    tcase_add_loop_test(texts, link_texts, 0, (int)COUNT(link_rows));
    tcase_add_test(texts, cut_texts_are_no_danger);
    suite_add_tcase(s, texts);
    TCase *tree = tcase_create("tree");
    tcase_add_checked_fixture(tree, set_up, tear_down);
    tcase_add_test(tree, the_listener_is_found);
    tcase_add_test(tree, the_first_of_several_is_found);
    tcase_add_test(tree, without_ipv6_it_is_found);
    tcase_add_test(tree, why_it_is_not_found);
    tcase_add_test(tree, forwarders_are_not_taken_for_it);
    tcase_add_test(tree, what_may_not_be_looked_into);
    tcase_add_test(tree, usage_is_read);
    tcase_add_loop_test(tree, each_part_may_be_missing, 0, (int)COUNT(partial));
    tcase_add_test(tree, all_parts_may_be_missing);
    tcase_add_test(tree, another_process_is_not_read);
    tcase_add_test(tree, searches_answer_on_the_loop);
    tcase_add_test(tree, cancelled_searches_are_silent);
    tcase_add_test(tree, the_test_finds_itself);
    tcase_add_test(tree, an_ended_process_is_gone);
    suite_add_tcase(s, tree);
    return s;
}
