/*
 * What the integration tests stand on: the real daemon and simulated ComfyUI servers as children, a
 * blocking HTTP client, sockets to be held or dropped, and the checks that hold for every test.
 *
 * A test case runs in a process of its own (Check's fork mode) between harness_begin and
 * harness_end. Whatever it asks the daemon is kept until its end, so a test frees nothing. When it
 * ends, in addition to its own checks: the daemons still there end on SIGTERM in time with status
 * 0, nobody's stderr holds a sanitizer's report, no prompt id was POSTed twice, no tag succeeded
 * twice. Each JSON answer is held against api/openapi.yaml, each profile against the identities of
 * the design.
 */
#ifndef COMFYPOOL_TESTS_HARNESS_H
#define COMFYPOOL_TESTS_HARNESS_H

#include <check.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- checks ---------------------------------------------------------------------------------- */

/* A failure prints the condition, the message, the last exchange and the ends of the logs. */
#define CHECK(...)                                                                                 \
    CHECK_PICK(__VA_ARGS__, CHECK_M, CHECK_M, CHECK_M, CHECK_M, CHECK_M, CHECK_M, CHECK_M,         \
               CHECK_M, CHECK_1, 0)                                                                \
    (__VA_ARGS__)
#define CHECK_PICK(a1, a2, a3, a4, a5, a6, a7, a8, a9, name, ...) name
#define CHECK_1(condition) CHECK_M(condition, "%s", "")
#define CHECK_M(condition, ...)                                                                    \
    do {                                                                                           \
        mark_point();                                                                              \
        if (!(condition)) {                                                                        \
            check_failed(__FILE__, __LINE__, #condition, __VA_ARGS__);                             \
        }                                                                                          \
    } while (0)

_Noreturn void check_failed(const char *file, int line, const char *condition, const char *format,
                            ...) __attribute__((format(printf, 4, 5)));

/*
 * For what cannot be awaited: evaluates the condition until it holds, with a short poll(2) between;
 * fails after PATIENCE_S, which is generous: a loaded machine under sanitizers keeps it.
 */
enum { PATIENCE_S = 30 };
#define AWAIT(condition)                                                                           \
    do {                                                                                           \
        const double until_ = now_s() + PATIENCE_S;                                                \
        while (!(condition)) {                                                                     \
            if (now_s() > until_) {                                                                \
                check_failed(__FILE__, __LINE__, #condition, "it never became true");              \
            }                                                                                      \
            pause_a_moment();                                                                      \
        }                                                                                          \
    } while (0)

double now_s(void); /* monotonic, seconds */
void pause_a_moment(void);

/* ---- life of a test -------------------------------------------------------------------------- */

void harness_begin(void);
void harness_end(void);
/* A suite of tests that share the fixture. timeout: of one test, seconds. */
struct named_test {
    const char *name;
    const TTest *const *test;
    int rows; /* 0: it is no loop test; else _i goes from 0 to rows - 1 */
};
Suite *harness_suite(const char *name, int timeout, const struct named_test *tests, size_t n);
#define SUITE(name, timeout, tests)                                                                \
    harness_suite(name, timeout, tests, sizeof tests / sizeof *tests)

/* Text that lives until the end of the test; %s and so on. Each ' becomes ". */
char *q(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same without the change of quotes. */
char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A path in the test's directory. */
char *path_of(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *write_file(const char *name, const char *content);
/* "" when there is none. */
char *read_file(const char *path);
/* Text as JSON, until the end of the test; NULL: it is none. */
json_t *json_of(const char *text);

/* ---- children -------------------------------------------------------------------------------- */

struct sim {
    pid_t pid;
    int port;
    char name[8]; /* s0, s1...: its backend's name */
    char url[64];
    char *ledger;
    char *truth;
    char *err;
};

/* One more simulator; arguments end with NULL. */
struct sim *sim_start(const char *first, ...) __attribute__((sentinel));
#define sim_plain() sim_start(NULL, NULL)
/* POST /__sim, quotes as in q(). */
void sim_control(struct sim *s, const char *quoted_body);
/* The simulator's own answer to a GET, as JSON. */
json_t *sim_get(struct sim *s, const char *path);
/* A number or boolean of GET /__sim. */
double sim_says(struct sim *s, const char *path);
/* How often its ledger has this event, of this tag (NULL: of any). */
int ledger_count(struct sim *s, const char *event, const char *tag);
int ledger_of_prompt(struct sim *s, const char *event, const char *prompt_id);
/* The truth of a prompt; NULL when there is none (yet). */
json_t *truth_of(struct sim *s, const char *prompt_id);
/* When (epoch ms) it wrote this event of a tag the last time; NaN: never. */
double ledger_at(struct sim *s, const char *event, const char *tag);
void sim_kill(struct sim *s);
/* The simulator's own answer, as JSON. */
json_t *sim_ask(struct sim *s, const char *path, const char *body);
/* Asks the simulator itself, as somebody else would. Returns the status. */
long sim_post(struct sim *s, const char *path, const char *body);

enum { MAX_ARGUMENTS = 24 };

struct daemon_options {
    struct sim *sims[8]; /* given by --backend name=URL, unless `config` lists backends */
    const char *config;  /* YAML, or NULL */
    const char *state;   /* NULL: the test's own, the same for each start */
    const char *arguments[MAX_ARGUMENTS];
    const char *environment[4]; /* NAME=VALUE */
    bool no_profile;            /* else --profile is given */
    bool may_fail;              /* it need not come to listen: see daemon_wait */
    int activation_fd;          /* a listening socket passed on as systemd does; 0: none */
};

struct daemon {
    pid_t pid;
    int port;
    char url[64];
    char *state;
    char *out;
    char *err;
    int status;      /* of waitpid, once ended */
    double ended_in; /* seconds that the end took */
    bool no_exit_check;
};

struct daemon *daemon_start(const struct daemon_options *o);
#define DAEMON(...) daemon_start(&(struct daemon_options){__VA_ARGS__})
/* SIGTERM; waits; checks status 0 within the time and a clean stderr. */
void daemon_stop(struct daemon *d);
void daemon_kill(struct daemon *d); /* SIGKILL */
/* How many descriptors it has. */
int open_files(const struct daemon *d);
/* RLIMIT_FSIZE of the running daemon: writes beyond fail, as on a full disk. 0: no limit. */
void daemon_limit_files(struct daemon *d, uint64_t bytes);
/* Waits for an end by itself. Returns the exit status. */
int daemon_wait(struct daemon *d);
/* Waits for readyz to say yes. */
void await_ready(struct daemon *d);
/* Waits until so many are up and get jobs. */
void await_backends_up(struct daemon *d, int n);

/* ---- asking ---------------------------------------------------------------------------------- */

struct answer {
    long status;
    char *headers;
    char *body;
    size_t len;
    json_t *json; /* NULL: it is none */
};

/* headers: "Name: value" lines separated by \n, or NULL. body NULL: none. */
struct answer *ask(struct daemon *d, const char *method, const char *path, const char *headers,
                   const char *body);
struct answer *get(struct daemon *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct answer *post(struct daemon *d, const char *path, const char *body);
/* The value of a header, "" when it is not there. */
char *header_of(const struct answer *a, const char *name);

/* Checks the status and, for a problem, its code (NULL: not looked at). */
void expect(const struct answer *a, long status, const char *code);

/* POST /jobs, 202: the new job's id. */
char *submit(struct daemon *d, const char *body);
/* POST /jobs?wait=60, 200: the final Job. */
json_t *run_job(struct daemon *d, const char *body);
/* GET /jobs/ID?wait=60: the Job; it is terminal. */
json_t *await_end(struct daemon *d, const char *id);
json_t *job_now(struct daemon *d, const char *id);
const char *state_of(struct daemon *d, const char *id);
bool is_state(struct daemon *d, const char *id, const char *state);
json_t *profile_of(struct daemon *d, const char *id);
json_t *cancel(struct daemon *d, const char *id);
/* The node that runs is `node`. */
bool is_at_node(struct daemon *d, const char *id, const char *node);

/* ---- JSON: "a.b.0.c" ------------------------------------------------------------------------- */

json_t *at(json_t *o, const char *path);
const char *str_at(json_t *o, const char *path); /* "" */
double num_at(json_t *o, const char *path);      /* NaN when it is no number */
bool has(json_t *o, const char *path);
bool is_true(json_t *o, const char *path);
/* Of a profile: the node with this id; fails when there is none. */
json_t *node_of(json_t *profile, const char *id);
void check_profile(json_t *profile);

/* ---- sockets that the test holds in its hand ------------------------------------------------- */

int raw_open(int port);
void raw_send(int fd, const char *bytes, size_t n);
/* A whole request is sent, nothing is read. */
int raw_request(struct daemon *d, const char *method, const char *path, const char *body);
/* The answer of a raw request; the socket is closed. NULL when the connection ended without one. */
struct answer *raw_answer(int fd);

/* ---- workflows ------------------------------------------------------------------------------- */

/* Two nodes: "1" T_Sleep of `ms` (noticing an interrupt at once), "2" an output of no length. */
char *sleeper(const char *tag, int ms);
/* {"workflow": sleeper, more}; more begins with a comma or is "". */
char *sleep_body(const char *tag, int ms, const char *more);

#endif
