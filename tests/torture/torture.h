/*
 * A storm over the whole program: simulated ComfyUI servers that fail in every way, clients that
 * submit, cancel and wait, a daemon that is killed again and again; and an account at the end of
 * whether a job was lost or ran twice. One struct holds it all; what threads share is under its
 * lock.
 *
 * main.c      options, the phases, the table at the end
 * programs.c  the daemon and the simulators as processes
 * ask.c       a small HTTP client that lives with cut connections
 * clients.c   those who submit, cancel and wait
 * rude.c      those who hang up in the middle, and send thousands of nodes
 * told.c      those who are told: a receiver of webhooks, a reader of events
 * trouble.c   those who kill, freeze, crash and revive
 * audit.c     what must hold at the end, from the API's answers and the simulators' ledgers
 * times.c     the times of profiles, held against the simulators' truth
 */
#ifndef COMFYPOOL_TESTS_TORTURE_H
#define COMFYPOOL_TESTS_TORTURE_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* nodes: of each workflow */
enum { NODES = 3, SIMS = 4, CLIENTS = 8, MAX_JOBS = 20000, MAX_STARTS = 1000 };

/* Random numbers that follow from a seed; one stream a thread. */
struct dice {
    uint64_t state;
};
struct dice dice_of(uint64_t seed, unsigned stream);
uint64_t dice_roll(struct dice *d);
/* From least to most. */
int dice_between(struct dice *d, int least, int most);
bool dice_chance(struct dice *d, double probability);

struct program {
    pid_t pid;
    int port;
    char err[256]; /* where its stderr goes */
};

struct sim {
    struct program program;
    char ledger[256];
    char truth[256];
    json_t *last_told; /* the last GET /__sim */
};

/* What is known of one submission. Written by its client only, but for `ended`. */
struct tjob {
    char tag[32];
    char key[40]; /* Idempotency-Key, or "" */
    char id[40];  /* "" while no answer and no list named it */
    char *body;
    bool must_fail;    /* its workflow cannot succeed */
    bool accepted;     /* 2xx: it must end */
    bool refused;      /* answered otherwise: it must not exist */
    bool cancel_asked; /* somebody did, once at least */
    char ended[16];    /* the terminal state that was seen first */
    double ended_seen; /* when; monotonic */
    bool told;         /* a webhook of its end was taken */
};

struct storm {
    uint64_t seed;
    double seconds;
    double rate;
    const char *daemon_path, *sim_path;
    char dir[200];
    struct sim sims[SIMS];

    int receiver_fd;
    int receiver_port;
    atomic_int port;       /* the daemon's, the same in all of its lives */
    struct program daemon; /* the killer's thread only */
    pthread_mutex_t lock;
    struct tjob *jobs[MAX_JOBS];
    size_t jobs_len;
    int violations;
    /* Of each life of the daemon. */
    unsigned starts;
    long peak_kib[MAX_STARTS];
    unsigned kills, stops, freezes;

    atomic_bool calm;  /* no new trouble and no new jobs */
    atomic_bool over;  /* threads end */
    atomic_bool aside; /* the killer lets the daemon be */
    atomic_bool gone;  /* the daemon has ended */
    atomic_uint operations, crashes, drops, revived, cancels, waits, replays, cut_answers;
    atomic_uint deliveries, events, rudenesses;
};

double now_s(void);
double epoch_ms(void);
void sleep_ms(int ms);

/* Something does not hold: prints it (the first ones) and counts it. */
void violation(struct storm *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- programs.c ------------------------------------------------------------------------------ */

void sim_begin(struct storm *s, unsigned i);
/* Starts the daemon on its port (the first time: a free one) and waits until it listens. */
void daemon_begin(struct storm *s);
/* SIGKILL; notes its peak first. */
void daemon_kill(struct storm *s);
/* SIGSTOP, and after a while SIGCONT. */
void daemon_freeze(struct storm *s, int ms);
/* SIGTERM; checks that it ends in time with status 0. */
void daemon_end(struct storm *s);
void sims_end(struct storm *s);
/* Checks that it still lives. */
void daemon_must_live(struct storm *s);
/* Each report of a sanitizer, and each of the daemon's own alarms, is a violation. */
void check_logs(struct storm *s);

/* ---- ask.c ----------------------------------------------------------------------------------- */

struct reply {
    long status;
    bool replayed; /* Idempotency-Replayed: true */
    json_t *json;  /* NULL: it is none */
};
void reply_done(struct reply *r);
/* False when no whole answer came. headers: whole lines, or NULL. */
bool ask(int port, const char *method, const char *path, const char *headers, const char *body,
         double seconds, struct reply *ret);
bool ask_daemon(struct storm *s, const char *method, const char *path, const char *headers,
                const char *body, double seconds, struct reply *ret);
/* A connection, or -1; it waits so long for bytes to come or go. */
int connect_to(int port, double seconds);
/* False: the other side does not take them. */
bool send_all(int fd, const char *bytes, size_t n);
/* An answer without end, as HTTP/1.0 has it: a socket, or -1. headers as in ask. */
int open_stream(struct storm *s, const char *path, const char *headers);
const char *text_at(const json_t *o, const char *member); /* "" */

/* ---- clients.c, told.c, trouble.c ------------------------------------------------------------ */

struct worker {
    struct storm *storm;
    unsigned number;
    pthread_t thread;
};
void *client_run(void *worker);
void *watcher_run(void *worker);
void *receiver_run(void *worker);
void *reader_run(void *worker);
void *killer_run(void *worker);
void *breaker_run(void *worker);
void *operator_run(void *worker);
void *rude_run(void *worker);
/* Notes what a Job says that was asked for at `asked` (now_s): a terminal state never changes. */
void note_job(struct storm *s, const json_t *job, double asked);
/* The same, of a webhook that was taken. */
void note_told(struct storm *s, const json_t *job);
/* Before the daemon starts: its configuration names the receiver. */
void receiver_listen(struct storm *s);
/* Asks for every delivery that is left again, until none is. */
void await_deliveries(struct storm *s, double seconds);
/* Reads the list of all jobs and notes each. */
void read_all_jobs(struct storm *s);
bool is_terminal(const char *state);

/* ---- times.c --------------------------------------------------------------------------------- */

/* What the simulators wrote of the prompts that ended, by prompt id. Owner: the caller. */
json_t *truth_read(const struct storm *s);
/* What a profile says of times must be true: how wrong it is, for people; "": it is right. */
void times_judge(const json_t *profile, const json_t *truth, char *ret_wrong, size_t size);

/* ---- audit.c --------------------------------------------------------------------------------- */

/* Waits until every accepted job has ended and every simulator is idle. */
void await_ends(struct storm *s, double seconds);
void audit(struct storm *s);
/* Jobs by state, faults by kind. */
void print_table(struct storm *s);

#endif
