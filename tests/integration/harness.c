/* See the header. Everything allocated here hangs on globals until the test's process ends, so that
   the leak checker is content and tests need no clean-up. */
#include "harness.h"

#include <curl/curl.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "schema.h"

enum { MAX_CHILDREN = 64, START_S = 30, END_S = 20 };

static struct {
    char dir[512];
    pid_t owner;
    struct sim *sims[MAX_CHILDREN];
    size_t sims_len;
    struct daemon *daemons[MAX_CHILDREN];
    size_t daemons_len;
    void **kept;
    size_t kept_len, kept_cap;
    json_t **json;
    size_t json_len, json_cap;
    char *last_sent;
    const struct answer *last_came;
} home;

/* api/openapi.yaml: read once in the suite's process, before the tests fork. */
static struct schema *contract;

static void *keep(void *p)
{
    if (home.kept_len == home.kept_cap) {
        home.kept_cap = home.kept_cap == 0 ? 256 : home.kept_cap * 2;
        home.kept = realloc(home.kept, home.kept_cap * sizeof *home.kept);
    }
    home.kept[home.kept_len++] = p;
    return p;
}

static json_t *keep_json(json_t *j)
{
    if (j == NULL) {
        return NULL;
    }
    if (home.json_len == home.json_cap) {
        home.json_cap = home.json_cap == 0 ? 256 : home.json_cap * 2;
        home.json = realloc(home.json, home.json_cap * sizeof *home.json);
    }
    home.json[home.json_len++] = j;
    return j;
}

/* ---- time, text, files ----------------------------------------------------------------------- */

double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void pause_a_moment(void)
{
    (void)poll(NULL, 0, 5);
}

char *q(const char *format, ...)
{
    char *s = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&s, format, args) < 0) {
        abort();
    }
    va_end(args);
    for (char *p = s; *p != '\0'; p++) {
        *p = *p == '\'' ? '"' : *p;
    }
    return keep(s);
}

char *text(const char *format, ...)
{
    char *s = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&s, format, args) < 0) {
        abort();
    }
    va_end(args);
    return keep(s);
}

char *path_of(const char *format, ...)
{
    char name[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(name, sizeof name, format, args);
    va_end(args);
    return text("%s/%s", home.dir, name);
}

char *write_file(const char *name, const char *content)
{
    char *path = path_of("%s", name);
    FILE *f = fopen(path, "we");
    if (f == NULL || fputs(content, f) < 0 || fclose(f) != 0) {
        abort();
    }
    return path;
}

static char *read_all(const char *path, size_t *ret_len)
{
    FILE *f = fopen(path, "re");
    size_t n = 0;
    size_t cap = 65536;
    char *s = malloc(cap + 1);
    while (f != NULL) {
        const size_t got = fread(s + n, 1, cap - n, f);
        n += got;
        if (got == 0) {
            break;
        }
        if (n == cap) {
            cap *= 2;
            s = realloc(s, cap + 1);
        }
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    s[n] = '\0';
    if (ret_len != NULL) {
        *ret_len = n;
    }
    return s;
}

char *read_file(const char *path)
{
    return keep(read_all(path, NULL));
}

json_t *json_of(const char *text)
{
    return keep_json(json_loads(text, JSON_ALLOW_NUL, NULL));
}

/* ---- failures -------------------------------------------------------------------------------- */

static void print_end(const char *what, const char *path, size_t most)
{
    size_t n = 0;
    char *s = read_all(path, &n);
    if (n > 0) {
        fprintf(stderr, "  --- end of %s\n%s\n", what, n > most ? s + n - most : s);
    }
    free(s);
}

_Noreturn void check_failed(const char *file, int line, const char *condition, const char *format,
                            ...)
{
    char why[4096];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, sizeof why, format, args);
    va_end(args);
    fprintf(stderr, "FAILED %s:%d: %s %s\n", file, line, condition, why);
    if (home.last_sent != NULL) {
        fprintf(stderr, "  last sent: %.2000s\n", home.last_sent);
    }
    if (home.last_came != NULL) {
        fprintf(stderr, "  last came: %ld\n%s%.4000s\n", home.last_came->status,
                home.last_came->headers, home.last_came->body);
    }
    for (size_t i = 0; i < home.daemons_len; i++) {
        print_end("the daemon's log", home.daemons[i]->err, 3000);
    }
    for (size_t i = 0; i < home.sims_len; i++) {
        print_end("a ledger", home.sims[i]->ledger, 2500);
        print_end("a simulator's stderr", home.sims[i]->err, 1000);
    }
    _ck_assert_failed(file, line, condition, "%s", why);
    abort();
}

static bool has_report(const char *path)
{
    static const char *const marks[] = {"ERROR: AddressSanitizer",
                                        "runtime error:", "LeakSanitizer",
                                        "a transition that is not in the table"};
    char *s = read_all(path, NULL);
    bool found = false;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const char *p = strstr(s, marks[i]);
        if (p != NULL) {
            found = true;
            fprintf(stderr, "  --- %s\n%.6000s\n", path, p);
        }
    }
    free(s);
    return found;
}

/* ---- children -------------------------------------------------------------------------------- */

/* passed: a descriptor that becomes 3; 0: none. */
static void child_setup(const char *out, const char *err, pid_t parent, int passed)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(127);
    }
    const int o = open(out, O_WRONLY | O_CREAT | O_APPEND, 0600);
    const int e = open(err, O_WRONLY | O_CREAT | O_APPEND, 0600);
    const int n = open("/dev/null", O_RDONLY);
    (void)dup2(n, 0);
    (void)dup2(o, 1);
    (void)dup2(e, 2);
    if (passed != 0) {
        (void)dup2(passed, 3);
    }
    for (int i = passed != 0 ? 4 : 3; i < 1024; i++) {
        (void)close(i);
    }
    (void)setpgid(0, 0);
}

/* Reads the port of "listening on http://127.0.0.1:PORT"; 0 when the child ended before. */
static int await_line(const char *out, pid_t pid, int *status, const char *err)
{
    const double until = now_s() + START_S;
    while (now_s() < until) {
        char *s = read_all(out, NULL);
        const char *p = strstr(s, "listening on http://");
        const char *colon = p != NULL && strchr(p, '\n') != NULL ? strrchr(p, ':') : NULL;
        const int port = colon == NULL ? 0 : atoi(colon + 1);
        free(s);
        if (port != 0) {
            return port;
        }
        if (waitpid(pid, status, WNOHANG) == pid) {
            return 0;
        }
        pause_a_moment();
    }
    print_end("stderr of a child that does not start", err, 4000);
    check_failed(__FILE__, __LINE__, "a child listens", "no line within %d s", (int)START_S);
}

static const char *binary(const char *variable)
{
    const char *path = getenv(variable);
    if (path == NULL) {
        fprintf(stderr, "%s is not set: run scripts/test\n", variable);
        exit(2);
    }
    return path;
}

struct sim *sim_start(const char *first, ...)
{
    struct sim *s = keep(calloc(1, sizeof *s));
    const size_t i = home.sims_len;
    (void)snprintf(s->name, sizeof s->name, "s%zu", i);
    s->ledger = path_of("ledger%zu", i);
    s->truth = path_of("truth%zu", i);
    s->err = path_of("sim%zu.err", i);
    char *out = path_of("sim%zu.out", i);
    const char *argv[MAX_ARGUMENTS + 8] = {
        binary("TEST_COMFYSIM"), "--port", "0", "--ledger", s->ledger, "--truth", s->truth};
    size_t n = 7;
    va_list args;
    va_start(args, first);
    for (const char *a = first; a != NULL; a = va_arg(args, const char *)) {
        argv[n++] = a;
    }
    va_end(args);
    argv[n] = NULL;
    const pid_t parent = getpid();
    s->pid = fork();
    if (s->pid == 0) {
        child_setup(out, s->err, parent, 0);
        execv(argv[0], (char **)(uintptr_t)argv);
        _exit(127);
    }
    home.sims[home.sims_len++] = s;
    int status = 0;
    s->port = await_line(out, s->pid, &status, s->err);
    CHECK(s->port != 0, "comfysim ended: %s", read_file(s->err));
    (void)snprintf(s->url, sizeof s->url, "http://127.0.0.1:%d", s->port);
    return s;
}

void sim_kill(struct sim *s)
{
    (void)kill(s->pid, SIGKILL);
    (void)waitpid(s->pid, NULL, 0);
    s->pid = 0;
}

void daemon_limit_files(struct daemon *d, uint64_t bytes)
{
    const struct rlimit r = {bytes == 0 ? RLIM_INFINITY : bytes, RLIM_INFINITY};
    CHECK(prlimit(d->pid, RLIMIT_FSIZE, &r, NULL) == 0);
}

struct daemon *daemon_start(const struct daemon_options *o)
{
    struct daemon *d = keep(calloc(1, sizeof *d));
    const size_t i = home.daemons_len;
    d->state = o->state != NULL ? text("%s", o->state) : path_of("state");
    d->out = path_of("daemon%zu.out", i);
    d->err = path_of("daemon%zu.err", i);
    const char *argv[MAX_ARGUMENTS * 3] = {binary("TEST_DAEMON"), "--listen", "127.0.0.1:0",
                                           "--state", d->state};
    size_t n = 5;
    if (!o->no_profile) {
        argv[n++] = "--profile";
    }
    if (o->config != NULL) {
        argv[n++] = "--config";
        argv[n++] = write_file(text("config%zu.yaml", i), o->config);
    }
    for (size_t k = 0; k < sizeof o->sims / sizeof *o->sims && o->sims[k] != NULL; k++) {
        argv[n++] = "--backend";
        argv[n++] = text("%s=%s", o->sims[k]->name, o->sims[k]->url);
    }
    for (size_t k = 0; k < MAX_ARGUMENTS && o->arguments[k] != NULL; k++) {
        argv[n++] = o->arguments[k];
    }
    argv[n] = NULL;
    const pid_t parent = getpid();
    d->pid = fork();
    if (d->pid == 0) {
        child_setup(d->out, d->err, parent, o->activation_fd);
        (void)unsetenv("TEST_DAEMON");
        for (size_t k = 0; k < 4 && o->environment[k] != NULL; k++) {
            (void)putenv((char *)(uintptr_t)o->environment[k]);
        }
        if (o->activation_fd != 0) {
            (void)setenv("LISTEN_FDS", "1", 1);
            (void)setenv("LISTEN_PID", text("%d", (int)getpid()), 1);
        }
        execv(argv[0], (char **)(uintptr_t)argv);
        _exit(127);
    }
    home.daemons[home.daemons_len++] = d;
    d->port = await_line(d->out, d->pid, &d->status, d->err);
    if (d->port == 0) {
        d->pid = 0;
        CHECK(o->may_fail, "the daemon ended: %s", read_file(d->err));
    }
    (void)snprintf(d->url, sizeof d->url, "http://127.0.0.1:%d", d->port);
    return d;
}

/* Bounded: false when it still lives. */
static bool reap(pid_t pid, int *status, double seconds)
{
    const double until = now_s() + seconds;
    while (waitpid(pid, status, WNOHANG) != pid) {
        if (now_s() > until) {
            return false;
        }
        pause_a_moment();
    }
    return true;
}

void daemon_stop(struct daemon *d)
{
    if (d->pid == 0) {
        return;
    }
    const double from = now_s();
    (void)kill(d->pid, SIGTERM);
    CHECK(reap(d->pid, &d->status, END_S), "the daemon does not end on SIGTERM within %d s",
          (int)END_S);
    d->pid = 0;
    d->ended_in = now_s() - from;
    CHECK(!has_report(d->err), "a sanitizer's report in %s", d->err);
    CHECK(WIFEXITED(d->status) && WEXITSTATUS(d->status) == 0,
          "the daemon ended with wait status %#x, not with 0", (unsigned)d->status);
    char *log = read_file(d->err);
    CHECK(strstr(log, "a request was held again") == NULL);
}

int open_files(const struct daemon *d)
{
    int n = 0;
    for (int fd = 0; fd < 1024; fd++) {
        n += access(text("/proc/%d/fd/%d", (int)d->pid, fd), F_OK) == 0;
    }
    return n;
}

void daemon_kill(struct daemon *d)
{
    (void)kill(d->pid, SIGKILL);
    (void)waitpid(d->pid, &d->status, 0);
    d->pid = 0;
    CHECK(!has_report(d->err), "a sanitizer's report in %s", d->err);
}

int daemon_wait(struct daemon *d)
{
    if (d->pid != 0) {
        CHECK(reap(d->pid, &d->status, END_S), "the daemon does not end by itself");
        d->pid = 0;
    }
    CHECK(!has_report(d->err), "a sanitizer's report in %s", d->err);
    CHECK(WIFEXITED(d->status), "wait status %#x", (unsigned)d->status);
    return WEXITSTATUS(d->status);
}

/* ---- life of a test -------------------------------------------------------------------------- */

void harness_begin(void)
{
    const char *tmp = getenv("TMPDIR");
    memset(&home, 0, sizeof home);
    (void)snprintf(home.dir, sizeof home.dir, "%s/comfypool-it.XXXXXX", tmp == NULL ? "/tmp" : tmp);
    if (mkdtemp(home.dir) == NULL) {
        perror(home.dir);
        exit(2);
    }
    home.owner = getpid();
    (void)signal(SIGPIPE, SIG_IGN);
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct ledger {
    json_t *posted;  /* prompt id: times */
    json_t *success; /* tag: times */
};

static void count(json_t *counts, const char *key, const char *what, const char *where)
{
    json_t *n = json_object_get(counts, key);
    CHECK(n == NULL, "%s %s twice (%s)", key, what, where);
    (void)json_object_set_new(counts, key, json_integer(1));
}

/* Promise 3 of the design, and that nothing ran twice. */
static void check_ledgers(void)
{
    json_auto_t *posted = json_object();
    json_auto_t *success = json_object();
    for (size_t i = 0; i < home.sims_len; i++) {
        char *lines = read_all(home.sims[i]->ledger, NULL);
        char *rest = lines;
        for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
            json_auto_t *e = json_loads(line, 0, NULL);
            const char *event = str_at(e, "event");
            if (strcmp(event, "posted") == 0 && has(e, "prompt_id")) {
                count(posted, str_at(e, "prompt_id"), "was POSTed", home.sims[i]->name);
            } else if (strcmp(event, "success") == 0 && *str_at(e, "tag") != '\0') {
                count(success, str_at(e, "tag"), "succeeded", home.sims[i]->name);
            }
        }
        free(lines);
    }
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void harness_end(void)
{
    for (size_t i = 0; i < home.daemons_len; i++) {
        daemon_stop(home.daemons[i]);
    }
    for (size_t i = 0; i < home.sims_len; i++) {
        struct sim *s = home.sims[i];
        int status = 0;
        if (s->pid != 0) {
            (void)kill(s->pid, SIGTERM);
            CHECK(reap(s->pid, &status, END_S) && status == 0, "comfysim ended with %d", status);
            s->pid = 0;
        }
        CHECK(!has_report(s->err), "a sanitizer's report of comfysim");
    }
    check_ledgers();
    for (size_t i = 0; i < home.json_len; i++) {
        json_decref(home.json[i]);
    }
    free(home.json);
    (void)nftw(home.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    for (size_t i = 0; i < home.kept_len; i++) {
        free(home.kept[i]);
    }
    free(home.kept);
    home.kept = NULL;
    home.json = NULL;
    curl_global_cleanup();
}

Suite *harness_suite(const char *name, int timeout, const struct named_test *tests, size_t n)
{
    Suite *s = suite_create(name);
    contract = contract == NULL ? schema_load("api/openapi.yaml") : contract;
    for (size_t i = 0; i < n; i++) {
        TCase *c = tcase_create(tests[i].name);
        tcase_set_timeout(c, timeout);
        tcase_add_checked_fixture(c, harness_begin, harness_end);
        tcase_add_loop_test(c, *tests[i].test, 0, tests[i].rows == 0 ? 1 : tests[i].rows);
        suite_add_tcase(s, c);
    }
    return s;
}

/* ---- asking ---------------------------------------------------------------------------------- */

struct collected {
    char *data;
    size_t len, cap;
};

static size_t collect(char *p, size_t size, size_t n, void *ctx)
{
    struct collected *c = ctx;
    const size_t len = size * n;
    if (c->len + len + 1 > c->cap) {
        c->cap = (c->len + len + 1) * 2;
        c->data = realloc(c->data, c->cap);
    }
    memcpy(c->data + c->len, p, len);
    c->len += len;
    c->data[c->len] = '\0';
    return len;
}

static void check_profiles_in(const struct answer *a)
{
    if (json_is_object(json_object_get(a->json, "phases"))) {
        check_profile(a->json);
    } else if (json_is_object(json_object_get(a->json, "profileStats"))) {
        check_profile(json_object_get(a->json, "profileStats"));
    }
}

/* What holds for every answer of the daemon. */
static void check_answer(const char *method, const char *path, struct answer *a)
{
    const char *type = header_of(a, "Content-Type");
    const bool is_json = strstr(type, "json") != NULL && strstr(type, "ndjson") == NULL;
    if (is_json && a->len > 0) {
        json_error_t e;
        /* Output of a job may hold NUL and numbers beyond a double; nothing else does. */
        a->json =
            keep_json(json_loadb(a->body, a->len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &e));
        if (a->json == NULL) { /* a seed or a client's number beyond 64 bits: for the test's eyes */
            a->json = keep_json(
                json_loadb(a->body, a->len,
                           JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &e));
            CHECK(a->json != NULL, "the answer is no JSON: %s", e.text);
            return;
        }
    }
    if (a->status >= 400 && strcmp(method, "HEAD") != 0 && a->status != 501) {
        CHECK(strcmp(type, "application/problem+json") == 0 || strstr(path, "readyz") != NULL,
              "a problem is problem+json");
        if (strstr(path, "readyz") == NULL) {
            CHECK(*str_at(a->json, "code") != '\0' && *str_at(a->json, "detail") != '\0' &&
                  *str_at(a->json, "title") != '\0' && *str_at(a->json, "type") != '\0');
            CHECK((long)num_at(a->json, "status") == a->status);
        }
    }
    char why[1024] = "";
    const char *code = str_at(a->json, "code");
    if (strcmp(code, "route_not_found") == 0 || strcmp(code, "method_not_allowed") == 0) {
        return; /* not in the contract: that is what they say */
    }
    CHECK(schema_check(contract, method, path, (unsigned)a->status, a->json, why, sizeof why),
          "not as api/openapi.yaml says: %s", why);
    check_profiles_in(a);
}

static struct answer *transfer(const char *url, const char *method, const char *headers,
                               const char *body)
{
    struct answer *a = keep(calloc(1, sizeof *a));
    struct collected got = {0};
    struct collected head = {0};
    (void)collect((char[]){""}, 1, 0, &got);
    (void)collect((char[]){""}, 1, 0, &head);
    home.last_sent = text("%s %s\n%s%s%s", method, url, headers == NULL ? "" : headers,
                          headers == NULL ? "" : "\n", body == NULL ? "" : body);
    home.last_came = NULL;
    CURL *c = curl_easy_init();
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    char *copy = strdup(headers == NULL ? "" : headers);
    char *rest = copy;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        list = *line == '\0' ? list : curl_slist_append(list, line);
    }
    (void)curl_easy_setopt(c, CURLOPT_URL, url);
    (void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(c, CURLOPT_TIMEOUT, 100L);
    (void)curl_easy_setopt(c, CURLOPT_HTTPHEADER, list);
    (void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, collect);
    (void)curl_easy_setopt(c, CURLOPT_WRITEDATA, &got);
    (void)curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, collect);
    (void)curl_easy_setopt(c, CURLOPT_HEADERDATA, &head);
    if (body != NULL) {
        (void)curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
        (void)curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
    }
    if (strcmp(method, "HEAD") == 0) {
        (void)curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    } else {
        (void)curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
    }
    const CURLcode rc = curl_easy_perform(c);
    (void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &a->status);
    curl_easy_cleanup(c);
    curl_slist_free_all(list);
    free(copy);
    a->headers = keep(head.data);
    a->body = keep(got.data);
    a->len = got.len;
    home.last_came = a;
    CHECK(rc == CURLE_OK, "%s %s: %s", method, url, curl_easy_strerror(rc));
    return a;
}

struct answer *ask(struct daemon *d, const char *method, const char *path, const char *headers,
                   const char *body)
{
    struct answer *a = transfer(text("%s%s", d->url, path), method, headers, body);
    check_answer(method, path, a);
    return a;
}

struct answer *get(struct daemon *d, const char *format, ...)
{
    char path[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(path, sizeof path, format, args);
    va_end(args);
    return ask(d, "GET", path, NULL, NULL);
}

struct answer *post(struct daemon *d, const char *path, const char *body)
{
    return ask(d, "POST", path, "Content-Type: application/json", body);
}

char *header_of(const struct answer *a, const char *name)
{
    const size_t n = strlen(name);
    for (const char *p = a->headers; p != NULL && *p != '\0';) {
        if (strncasecmp(p, name, n) == 0 && p[n] == ':') {
            p += n + 1;
            p += strspn(p, " ");
            return text("%.*s", (int)strcspn(p, "\r\n"), p);
        }
        p = strchr(p, '\n');
        p = p == NULL ? NULL : p + 1;
    }
    return text("%s", "");
}

void expect(const struct answer *a, long status, const char *code)
{
    CHECK(a->status == status, "the status is %ld and should be %ld", a->status, status);
    if (code != NULL) {
        CHECK(strcmp(str_at(a->json, "code"), code) == 0, "the code should be %s", code);
    }
}

char *submit(struct daemon *d, const char *body)
{
    struct answer *a = post(d, "/jobs", body);
    expect(a, 202, NULL);
    char *id = text("%s", str_at(a->json, "id"));
    CHECK(strcmp(header_of(a, "Location"), text("/jobs/%s", id)) == 0);
    return id;
}

static bool is_terminal(const char *state)
{
    return strcmp(state, "completed") == 0 || strcmp(state, "failed") == 0 ||
           strcmp(state, "cancelled") == 0;
}

json_t *run_job(struct daemon *d, const char *body)
{
    struct answer *a = post(d, "/jobs?wait=60", body);
    expect(a, 200, NULL);
    CHECK(is_terminal(str_at(a->json, "state")));
    return a->json;
}

json_t *job_now(struct daemon *d, const char *id)
{
    struct answer *a = get(d, "/jobs/%s", id);
    expect(a, 200, NULL);
    return a->json;
}

json_t *await_end(struct daemon *d, const char *id)
{
    struct answer *a = get(d, "/jobs/%s?wait=60", id);
    expect(a, 200, NULL);
    CHECK(is_terminal(str_at(a->json, "state")), "job %s does not end", id);
    return a->json;
}

const char *state_of(struct daemon *d, const char *id)
{
    return str_at(job_now(d, id), "state");
}

bool is_state(struct daemon *d, const char *id, const char *state)
{
    return strcmp(state_of(d, id), state) == 0;
}

bool is_at_node(struct daemon *d, const char *id, const char *node)
{
    return strcmp(str_at(job_now(d, id), "progress.nodeId"), node) == 0;
}

json_t *profile_of(struct daemon *d, const char *id)
{
    struct answer *a = get(d, "/jobs/%s/profile", id);
    expect(a, 200, NULL);
    return a->json;
}

json_t *cancel(struct daemon *d, const char *id)
{
    struct answer *a = ask(d, "POST", text("/jobs/%s/cancel", id), NULL, "");
    expect(a, 200, NULL);
    return a->json;
}

void await_ready(struct daemon *d)
{
    AWAIT(get(d, "/readyz")->status == 200);
}

void await_backends_up(struct daemon *d, int n)
{
    int up = 0;
    const double until = now_s() + PATIENCE_S;
    do {
        struct answer *a = get(d, "/backends");
        up = 0;
        for (size_t i = 0; i < json_array_size(at(a->json, "backends")); i++) {
            json_t *b = json_array_get(at(a->json, "backends"), i);
            up += strcmp(str_at(b, "state"), "up") == 0 && !is_true(b, "reading");
        }
        pause_a_moment();
    } while (up < n && now_s() < until);
    CHECK(up >= n, "%d of %d backends are up", up, n);
}

/* ---- simulators ------------------------------------------------------------------------------ */

long sim_post(struct sim *s, const char *path, const char *body)
{
    return transfer(text("%s%s", s->url, path), "POST", "Content-Type: application/json", body)
        ->status;
}

void sim_control(struct sim *s, const char *quoted_body)
{
    CHECK(sim_post(s, "/__sim", q("%s", quoted_body)) == 200);
}

json_t *sim_ask(struct sim *s, const char *path, const char *body)
{
    struct answer *a =
        transfer(text("%s%s", s->url, path), "POST", "Content-Type: application/json", body);
    return keep_json(json_loads(a->body, 0, NULL));
}

json_t *sim_get(struct sim *s, const char *path)
{
    struct answer *a = transfer(text("%s%s", s->url, path), "GET", NULL, NULL);
    return keep_json(json_loads(a->body, JSON_DECODE_INT_AS_REAL, NULL));
}

double sim_says(struct sim *s, const char *path)
{
    json_t *j = sim_get(s, "/__sim");
    json_t *v = at(j, path);
    return json_is_boolean(v) ? json_is_true(v) : num_at(j, path);
}

static int count_in_ledger(struct sim *s, const char *event, const char *key, const char *value)
{
    char *lines = read_all(s->ledger, NULL);
    char *rest = lines;
    int n = 0;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        json_auto_t *e = json_loads(line, 0, NULL);
        n += e != NULL && strcmp(str_at(e, "event"), event) == 0 &&
             (value == NULL || strcmp(str_at(e, key), value) == 0);
    }
    free(lines);
    return n;
}

int ledger_count(struct sim *s, const char *event, const char *tag)
{
    return count_in_ledger(s, event, "tag", tag);
}

int ledger_of_prompt(struct sim *s, const char *event, const char *prompt_id)
{
    return count_in_ledger(s, event, "prompt_id", prompt_id);
}

json_t *truth_of(struct sim *s, const char *prompt_id)
{
    char *lines = read_all(s->truth, NULL);
    char *rest = lines;
    json_t *found = NULL;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        json_t *e = json_loads(line, 0, NULL);
        if (e != NULL && strcmp(str_at(e, "prompt_id"), prompt_id) == 0) {
            found = keep_json(e);
        } else {
            json_decref(e);
        }
    }
    free(lines);
    return found;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

json_t *at(json_t *o, const char *path)
{
    while (o != NULL && *path != '\0') {
        char key[64];
        const size_t n = strcspn(path, ".");
        (void)snprintf(key, sizeof key, "%.*s", (int)n, path);
        o = json_is_array(o) ? json_array_get(o, strtoul(key, NULL, 10)) : json_object_get(o, key);
        path += n + (path[n] == '.');
    }
    return o;
}

const char *str_at(json_t *o, const char *path)
{
    const char *s = json_string_value(at(o, path));
    return s == NULL ? "" : s;
}

double num_at(json_t *o, const char *path)
{
    json_t *v = at(o, path);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

bool has(json_t *o, const char *path)
{
    json_t *v = at(o, path);
    return v != NULL && !json_is_null(v);
}

bool is_true(json_t *o, const char *path)
{
    return json_is_true(at(o, path));
}

json_t *node_of(json_t *profile, const char *id)
{
    json_t *nodes = at(profile, "nodes");
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        if (strcmp(str_at(json_array_get(nodes, i), "nodeId"), id) == 0) {
            return json_array_get(nodes, i);
        }
    }
    check_failed(__FILE__, __LINE__, "the profile has the node", "%s", id);
}

/* ---- the identities of a profile ------------------------------------------------------------- */

/* Numbers have three decimals: sums of a few of them are off by some thousandths. */
static const double ROUNDING = 0.0051;

static bool same(double a, double b)
{
    return fabs(a - b) <= ROUNDING;
}

struct span {
    double from, to;
};

static int by_start(const void *a, const void *b)
{
    const struct span *x = a;
    const struct span *y = b;
    return (x->from > y->from) - (x->from < y->from);
}

static double union_of(struct span *s, size_t n)
{
    double sum = 0;
    double end = 0;
    qsort(s, n, sizeof *s, by_start);
    for (size_t i = 0; i < n; i++) {
        const double from = s[i].from > end ? s[i].from : end;
        sum += s[i].to > from ? s[i].to - from : 0;
        end = s[i].to > end ? s[i].to : end;
    }
    return sum;
}

static void check_slices(json_t *n, const char *id, struct span *spans, size_t *len)
{
    json_t *slices = at(n, "slices");
    double sum = 0;
    double before = num_at(n, "startedAt");
    for (size_t i = 0; i < json_array_size(slices); i++) {
        json_t *s = json_array_get(slices, i);
        const struct span one = {num_at(s, "startedAt"), num_at(s, "completedAt")};
        CHECK(one.to >= one.from && one.from >= before - ROUNDING, "node %s, slice %zu", id, i);
        before = one.to;
        sum += one.to - one.from;
        spans[(*len)++] = one;
    }
    if (json_array_size(slices) == 0) {
        if (has(n, "duration")) {
            spans[(*len)++] = (struct span){num_at(n, "startedAt"), num_at(n, "completedAt")};
            CHECK(same(num_at(n, "completedAt") - num_at(n, "startedAt"), num_at(n, "duration")),
                  "node %s: its duration", id);
        }
        return;
    }
    CHECK(fabs(sum - num_at(n, "duration")) <= 0.002 * (double)(json_array_size(slices) + 1),
          "node %s: duration is the sum of its slices (%f)", id, sum);
}

struct tally {
    int executed, cached, failed, pending, expanded, order;
    double last_start;
};

/* Of a running attempt: until when the account goes. */
static double end_of(json_t *p)
{
    return num_at(p, has(p, "asOf") ? "asOf" : "completedAt");
}

/* What is null there is hidden by a gap, did not begin, or is to come; what was cached is told when
   it is planned. */
static void check_analysis(json_t *p)
{
    if (!has(p, "analysis")) {
        CHECK(has(p, "asOf") && !has(p, "summary.unaccounted"),
              "analysis is null of live ones only");
        return;
    }
    const bool complete = is_true(at(p, "evidence"), "complete");
    CHECK(!complete || has(p, "summary.unaccounted"), "it is null though nothing was missed");
    CHECK(!complete || has(p, "asOf") ||
              (has(p, "analysis.criticalPath") && has(p, "analysis.modelLoading")),
          "something is null though nothing was missed");
    CHECK(!complete || strcmp(str_at(p, "outcome"), "completed") != 0 ||
              has(p, "analysis.cacheHitRate"),
          "the hit rate is null though nothing was missed");
    json_t *gaps = at(p, "analysis.gaps");
    double sum = 0;
    for (size_t i = 0; i < json_array_size(gaps); i++) {
        json_t *g = json_array_get(gaps, i);
        sum += num_at(g, "duration");
        CHECK(same(num_at(g, "to") - num_at(g, "from"), num_at(g, "duration")), "gap %zu", i);
    }
    CHECK(!has(p, "summary.unaccounted") || fabs(sum - num_at(p, "summary.unaccounted")) <=
                                                0.001 * (double)(json_array_size(gaps) + 1),
          "the gaps (%f) are what is unaccounted", sum);
    CHECK(!has(p, "analysis.criticalPath") ||
              num_at(p, "analysis.criticalPath.length") <= num_at(p, "executionTime") + ROUNDING,
          "the critical path is longer than the execution");
}

static void check_node(json_t *p, json_t *n, struct tally *t, struct span *spans, size_t *len)
{
    const char *id = str_at(n, "nodeId");
    const char *status = str_at(n, "status");
    const bool child = has(n, "parentNodeId");
    const bool cached = strcmp(status, "cached") == 0;
    const bool pending = strcmp(status, "pending") == 0;
    CHECK(is_true(n, "cached") == cached, "node %s", id);
    t->expanded += child;
    if (!child) {
        t->cached += cached;
        t->pending += pending;
        t->failed += strcmp(status, "failed") == 0;
        t->executed += strcmp(status, "completed") == 0 || strcmp(status, "executing") == 0;
    }
    if (has(n, "startedAt")) {
        CHECK(num_at(n, "order") == t->order, "node %s has order %g, not %d", id,
              num_at(n, "order"), t->order);
        t->order++;
        CHECK(num_at(n, "startedAt") >= t->last_start - ROUNDING, "node %s: by start", id);
        CHECK(num_at(n, "startedAt") >= num_at(p, "startedAt") - ROUNDING &&
                  num_at(n, "startedAt") <= end_of(p) + ROUNDING,
              "node %s starts outside the attempt", id);
        t->last_start = num_at(n, "startedAt");
    } else {
        CHECK(!has(n, "order") && !has(n, "duration"), "node %s never started", id);
    }
    if (has(n, "completedAt")) {
        CHECK(num_at(n, "completedAt") <= end_of(p) + ROUNDING, "node %s ends after the attempt",
              id);
    }
    if (has(n, "duration")) {
        CHECK(num_at(n, "duration") >= 0 && num_at(n, "selfDuration") >= 0 &&
                  num_at(n, "selfDuration") <= num_at(n, "duration") + ROUNDING,
              "node %s: duration and selfDuration", id);
    }
    CHECK(!pending || (!has(n, "completedAt") && !has(n, "startedAt")), "node %s", id);
    CHECK(!cached ||
              (num_at(n, "duration") == 0 && num_at(n, "startedAt") == num_at(n, "completedAt")),
          "node %s is cached", id);
    json_t *events = at(n, "progressEvents");
    for (size_t i = 1; i < json_array_size(events); i++) {
        CHECK(num_at(json_array_get(events, i), "timestamp") >=
                  num_at(json_array_get(events, i - 1), "timestamp"),
              "node %s: its progress events go back in time", id);
    }
    if (!cached) {
        check_slices(n, id, spans, len);
    }
}

void check_profile(json_t *p)
{
    const double queued = num_at(p, "queuedAt");
    const double ended = end_of(p);
    const double started = has(p, "startedAt") ? num_at(p, "startedAt") : ended;
    CHECK(same(num_at(p, "totalDuration"), ended - queued));
    CHECK(same(num_at(p, "queueTime"), started - queued));
    CHECK(same(num_at(p, "executionTime"), ended - started));
    CHECK(same(num_at(p, "phases.waiting") + num_at(p, "phases.dispatch") +
                   num_at(p, "phases.backendQueue"),
               num_at(p, "queueTime")),
          "the first three phases add up to queueTime");
    CHECK(same(num_at(p, "phases.planning") + num_at(p, "phases.executing"),
               num_at(p, "executionTime")),
          "planning and executing add up to executionTime");
    CHECK(num_at(p, "phases.waiting") >= 0 && num_at(p, "phases.dispatch") >= 0 &&
          num_at(p, "phases.backendQueue") >= 0 && num_at(p, "phases.planning") >= 0 &&
          num_at(p, "phases.executing") >= 0);
    json_t *nodes = at(p, "nodes");
    size_t slices = json_array_size(nodes);
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        slices += json_array_size(at(json_array_get(nodes, i), "slices"));
    }
    struct span *spans = keep(calloc(slices + 1, sizeof *spans));
    size_t len = 0;
    struct tally t = {0};
    bool never_started = false;
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        json_t *n = json_array_get(nodes, i);
        CHECK(!(never_started && has(n, "startedAt")), "nodes that never started come last");
        never_started = !has(n, "startedAt");
        check_node(p, n, &t, spans, &len);
    }
    json_t *s = at(p, "summary");
    CHECK(num_at(s, "executedNodes") == t.executed && num_at(s, "cachedNodes") == t.cached &&
              num_at(s, "failedNodes") == t.failed && num_at(s, "pendingNodes") == t.pending &&
              num_at(s, "expandedNodes") == t.expanded,
          "the summary counts what the nodes say (executed %d, cached %d, failed %d, pending %d, "
          "expanded %d)",
          t.executed, t.cached, t.failed, t.pending, t.expanded);
    CHECK(num_at(s, "totalNodes") == t.executed + t.cached + t.failed + t.pending);
    json_t *slowest = at(s, "slowestNodes");
    CHECK(json_array_size(slowest) <= 5);
    for (size_t i = 1; i < json_array_size(slowest); i++) {
        CHECK(num_at(json_array_get(slowest, i), "duration") <=
              num_at(json_array_get(slowest, i - 1), "duration"));
    }
    json_t *e = at(p, "evidence");
    if (has(e, "complete") || has(p, "analysis")) { /* else it waits, or is not profiled */
        CHECK(is_true(e, "complete") == (json_array_size(at(e, "gaps")) == 0));
    }
    for (size_t i = 0; i < json_array_size(at(e, "gaps")); i++) {
        json_t *gap = json_array_get(at(e, "gaps"), i);
        CHECK(num_at(gap, "to") >= num_at(gap, "from") && *str_at(gap, "reason") != '\0');
    }
    check_analysis(p);
    if (is_true(e, "complete") && has(p, "completedAt")) {
        /* Each of the numbers in the union is rounded. */
        CHECK(fabs(num_at(s, "unaccounted") -
                   (num_at(p, "phases.executing") - union_of(spans, len))) <=
                  0.005 + 0.002 * (double)len,
              "unaccounted is executing (%f) minus the union of slices (%f)",
              num_at(p, "phases.executing"), union_of(spans, len));
    }
}

/* ---- raw sockets ----------------------------------------------------------------------------- */

int raw_open(int port)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "%s", strerror(errno));
    return fd;
}

void raw_send(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        const ssize_t sent = write(fd, bytes, n);
        if (sent <= 0) {
            return; /* it was closed: the answer tells */
        }
        bytes += sent;
        n -= (size_t)sent;
    }
}

double ledger_at(struct sim *s, const char *event, const char *tag)
{
    char *lines = read_all(s->ledger, NULL);
    char *rest = lines;
    double found = NAN;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        json_auto_t *e = json_loads(line, 0, NULL);
        if (strcmp(str_at(e, "event"), event) == 0 && strcmp(str_at(e, "tag"), tag) == 0) {
            found = num_at(e, "at");
        }
    }
    free(lines);
    return found;
}

int raw_request(struct daemon *d, const char *method, const char *path, const char *body)
{
    const int fd = raw_open(d->port);
    const char *request =
        text("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: "
             "%zu\r\n\r\n%s",
             method, path, strlen(body), body);
    home.last_sent = text("%s", request);
    raw_send(fd, request, strlen(request));
    return fd;
}

struct answer *raw_answer(int fd)
{
    struct collected got = {0};
    (void)collect((char[]){""}, 1, 0, &got);
    char piece[65536];
    const double until = now_s() + PATIENCE_S;
    for (;;) {
        struct pollfd p = {fd, POLLIN, 0};
        CHECK(now_s() < until, "no end of an answer on a raw connection; after %zu bytes: %.1000s",
              got.len, got.data);
        if (poll(&p, 1, 1000) <= 0) {
            continue;
        }
        const ssize_t n = read(fd, piece, sizeof piece);
        if (n <= 0) {
            break;
        }
        (void)collect(piece, 1, (size_t)n, &got);
    }
    (void)close(fd);
    struct answer *a = keep(calloc(1, sizeof *a));
    a->headers = keep(got.data);
    home.last_came = a;
    char *end = strstr(got.data, "\r\n\r\n");
    if (end == NULL) {
        a->body = a->headers;
        home.last_came = NULL;
        return NULL;
    }
    a->status = atol(got.data + strcspn(got.data, " "));
    a->body = keep(malloc(got.len + 1));
    a->len = got.len - (size_t)(end + 4 - got.data);
    memcpy(a->body, end + 4, a->len);
    a->body[a->len] = '\0';
    end[2] = '\0';
    a->json = keep_json(json_loadb(a->body, a->len, JSON_ALLOW_NUL, NULL));
    return a;
}

/* ---- workflows ------------------------------------------------------------------------------- */

char *sleeper(const char *tag, int ms)
{
    return q("{'1':{'class_type':'T_Sleep','inputs':{'_ms':%d,'_tag':'%s'}},"
             "'2':{'class_type':'T_SleepOut','inputs':{'a':['1',0],'_ms':0},"
             "'_meta':{'title':'The end'}}}",
             ms, tag);
}

char *sleep_body(const char *tag, int ms, const char *more)
{
    return q("{'workflow':%s%s}", sleeper(tag, ms), more);
}
