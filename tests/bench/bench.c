/*
 * The same jobs straight at the same comfysims, and through the daemon, in turn in one run.
 *
 *   bench COMFYPOOLD COMFYSIM [JOBS]
 *
 * Direct: one kept-alive connection and one WebSocket a server, one prompt in flight each, no
 * store, no profile; the next prompt goes out at execution_success. Daemon: durable store,
 * profiling on. Throughput: all jobs are there from the beginning (through the daemon: POSTed over
 * 64 connections). Latency: as many clients as servers, each submits and waits for the end.
 */
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "net.h"
#include "told.h"

enum { SERVERS = 4, CLIENTS = 64, ROUNDS = 3 };

static double now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
}

static void die(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

/* ---- programs -------------------------------------------------------------------------------- */

struct program {
    pid_t pid;
    int port;
};

/* Starts a program and reads its port from the line "listening on http://127.0.0.1:PORT". */
static struct program start(char *const argv[], const char *log)
{
    int out[2];
    if (pipe2(out, O_CLOEXEC) != 0) {
        die("pipe");
    }
    const pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)dup2(out[1], STDOUT_FILENO);
        const int file = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        (void)dup2(file, STDERR_FILENO);
        (void)execv(argv[0], argv);
        _exit(127);
    }
    (void)close(out[1]);
    FILE *f = fdopen(out[0], "r");
    char line[256] = "";
    if (pid < 0 || f == NULL || fgets(line, sizeof line, f) == NULL) {
        die("a program did not start");
    }
    const char *colon = strrchr(line, ':');
    if (strstr(line, "listening on") == NULL || colon == NULL) {
        die("a program did not say where it listens");
    }
    /* Its pipe stays open: closing it would be an error of the program's next write. */
    return (struct program){pid, atoi(colon + 1)};
}

static void stop(struct program *p)
{
    (void)kill(p->pid, SIGTERM);
    (void)waitpid(p->pid, NULL, 0);
}

/* CPU time of a process in ms, user and system. */
static double cpu_ms(pid_t pid)
{
    double ns = 0;
    /* All of its threads: the store's writer too. */
    char tasks[64];
    (void)snprintf(tasks, sizeof tasks, "/proc/%d/task", pid);
    DIR *dir = opendir(tasks);
    for (const struct dirent *e = dir == NULL ? NULL : readdir(dir); e != NULL; e = readdir(dir)) {
        if (e->d_name[0] == '.') {
            continue;
        }
        char stat[400];
        (void)snprintf(stat, sizeof stat, "%s/%s/schedstat", tasks, e->d_name);
        FILE *f = fopen(stat, "r");
        unsigned long long ran = 0;
        if (f != NULL && fscanf(f, "%llu", &ran) == 1) {
            ns += (double)ran;
        }
        if (f != NULL) {
            (void)fclose(f);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return ns / 1e6;
}

static double peak_mib(pid_t pid)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *f = fopen(path, "r");
    char line[256];
    double kib = 0;
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            kib = strtod(line + 6, NULL);
        }
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    return kib / 1024;
}

/* ---- workflows ------------------------------------------------------------------------------- */

/* The seven-node txt2img graph; ms < 0: the simulator's zero-length nodes. */
static char *txt2img(unsigned seed, const int ms[7])
{
    static const char *const nodes[] = {
        "\"3\":{\"class_type\":\"KSampler\",\"inputs\":{\"seed\":%u,\"steps\":20,\"model\":[\"4\","
        "0],"
        "\"positive\":[\"6\",0],\"negative\":[\"7\",0],\"latent_image\":[\"5\",0]%s}}",
        "\"4\":{\"class_type\":\"CheckpointLoaderSimple\",\"inputs\":{\"ckpt_name\":"
        "\"model.safetensors\",\"n\":%u%s},\"_meta\":{\"title\":\"Load Checkpoint\"}}",
        "\"5\":{\"class_type\":\"EmptyLatentImage\",\"inputs\":{\"width\":512,\"height\":512,"
        "\"batch_size\":1,\"n\":%u%s}}",
        "\"6\":{\"class_type\":\"CLIPTextEncode\",\"inputs\":{\"text\":\"a lighthouse\",\"clip\":"
        "[\"4\",1],\"n\":%u%s},\"_meta\":{\"title\":\"Positive Prompt\"}}",
        "\"7\":{\"class_type\":\"CLIPTextEncode\",\"inputs\":{\"text\":\"blurry\",\"clip\":[\"4\","
        "1],"
        "\"n\":%u%s},\"_meta\":{\"title\":\"Negative Prompt\"}}",
        "\"8\":{\"class_type\":\"VAEDecode\",\"inputs\":{\"samples\":[\"3\",0],\"vae\":[\"4\",2],"
        "\"n\":%u%s},\"_meta\":{\"title\":\"VAE Decode\"}}",
        "\"9\":{\"class_type\":\"SaveImage\",\"inputs\":{\"images\":[\"8\",0],\"filename_prefix\":"
        "\"x\",\"n\":%u%s}}"};
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    for (size_t i = 0; i < 7; i++) {
        char extra[32] = "";
        if (ms != NULL) {
            (void)snprintf(extra, sizeof extra, ",\"_ms\":%d", ms[i]);
        }
        (void)fputs(i == 0 ? "{" : ",", f);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)fprintf(f, nodes[i], seed, extra);
#pragma GCC diagnostic pop
    }
    (void)fputs("}", f);
    (void)fclose(f);
    return text;
}

/* A chain of n nodes whose sampler has 20 steps: progress_state grows with the square of n. */
static char *chain(unsigned seed, int n)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    (void)fprintf(f, "{\"1\":{\"class_type\":\"EmptyImage\",\"inputs\":{\"n\":%u,\"_ms\":0}}",
                  seed);
    for (int i = 2; i < n; i++) {
        (void)fprintf(f,
                      ",\"%d\":{\"class_type\":\"ImageFilter\",\"inputs\":{\"image\":[\"%d\",0]%s,"
                      "\"_ms\":0}}",
                      i, i - 1, i == n - 1 ? ",\"_steps\":20" : "");
    }
    (void)fprintf(f,
                  ",\"%d\":{\"class_type\":\"SaveImage\",\"inputs\":{\"images\":[\"%d\",0],"
                  "\"_ms\":0}}}",
                  n, n - 1);
    (void)fclose(f);
    return text;
}

static char *wrap(const char *before, const char *graph, const char *after)
{
    char *text = NULL;
    if (asprintf(&text, "%s%s%s", before, graph, after) < 0) {
        die("asprintf");
    }
    return text;
}

/* ---- results --------------------------------------------------------------------------------- */

struct result {
    double jobs_per_s;
    double p50, p99;
    double cpu_per_job; /* of the daemon alone */
};

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(double *values, size_t n, double p)
{
    qsort(values, n, sizeof *values, by_value);
    size_t at = (size_t)(p * (double)n);
    return n == 0 ? 0 : values[at < n ? at : n - 1];
}

/* ---- direct ---------------------------------------------------------------------------------- */

struct direct {
    struct conn http;
    struct conn ws;
    char client_id[40];
    char prompt_id[40];
    double sent;
    bool busy;
};

static void direct_send(struct direct *d, const char *graph, unsigned number)
{
    (void)snprintf(d->prompt_id, sizeof d->prompt_id, "%08x-0000-4000-8000-%012x", number,
                   (unsigned)getpid());
    char tail[160];
    (void)snprintf(tail, sizeof tail, ",\"client_id\":\"%s\",\"prompt_id\":\"%s\"}", d->client_id,
                   d->prompt_id);
    char *body = wrap("{\"prompt\":", graph, tail);
    d->sent = now_ms();
    http_send(&d->http, "POST", "/prompt", body, strlen(body));
    free(body);
    d->busy = true;
}

/* True when the prompt in flight has ended. */
static bool direct_hear(struct direct *d)
{
    if (!conn_read(&d->ws)) {
        die("a server closed its WebSocket");
    }
    char *frame = NULL;
    size_t n = 0;
    bool ended = false;
    while (ws_frame(&d->ws, &frame, &n)) {
        static const char success[] = "{\"type\": \"execution_success\"";
        if (n > sizeof success && memcmp(frame, success, sizeof success - 1) == 0 &&
            memmem(frame, n, d->prompt_id, strlen(d->prompt_id)) != NULL) {
            ended = true;
        }
    }
    return ended;
}

static struct result run_direct(const struct program *sims, char *const *graphs, int jobs)
{
    static unsigned number;
    struct direct d[SERVERS];
    struct pollfd fds[SERVERS * 2];
    double *took = calloc((size_t)jobs, sizeof *took);
    for (int i = 0; i < SERVERS; i++) {
        d[i] = (struct direct){0};
        (void)snprintf(d[i].client_id, sizeof d[i].client_id, "bench-%d-%u", i, number);
        conn_open(&d[i].http, sims[i].port);
        ws_open(&d[i].ws, sims[i].port, d[i].client_id);
        fds[2 * i] = (struct pollfd){.fd = d[i].ws.fd, .events = POLLIN};
        fds[2 * i + 1] = (struct pollfd){.fd = d[i].http.fd, .events = POLLIN};
    }
    const double begin = now_ms();
    int sent = 0;
    int done = 0;
    for (int i = 0; i < SERVERS && sent < jobs; i++) {
        direct_send(&d[i], graphs[sent++], number++);
    }
    while (done < jobs) {
        if (poll(fds, SERVERS * 2, 10000) <= 0) {
            die("no event for 10 s (direct)");
        }
        for (int i = 0; i < SERVERS; i++) {
            char *body = NULL;
            size_t n = 0;
            int status = 0;
            if (fds[2 * i + 1].revents != 0) {
                if (!conn_read(&d[i].http)) {
                    die("a server closed its connection");
                }
                if (http_answer(&d[i].http, &status, &body, &n) && status != 200) {
                    die("a server refused a prompt");
                }
            }
            if (fds[2 * i].revents != 0 && direct_hear(&d[i]) && d[i].busy) {
                took[done++] = now_ms() - d[i].sent;
                d[i].busy = false;
                if (sent < jobs) {
                    direct_send(&d[i], graphs[sent++], number++);
                }
            }
        }
    }
    struct result r = {.jobs_per_s = jobs / (now_ms() - begin) * 1000};
    r.p50 = percentile(took, (size_t)jobs, 0.50);
    r.p99 = percentile(took, (size_t)jobs, 0.99);
    for (int i = 0; i < SERVERS; i++) {
        conn_close(&d[i].http);
        conn_close(&d[i].ws);
    }
    free(took);
    return r;
}

/* ---- through the daemon ---------------------------------------------------------------------- */

/* POSTs all jobs over `clients` connections; path "/jobs?wait=60" waits for each one's end. */
static double post_all(const struct program *daemon, char *const *graphs, int jobs, int clients,
                       const char *path, int want_status, double *took, char *ret_last_id)
{
    struct conn c[CLIENTS];
    struct pollfd fds[CLIENTS];
    double sent_at[CLIENTS];
    const double begin = now_ms();
    int sent = 0;
    int done = 0;
    for (int i = 0; i < clients; i++) {
        conn_open(&c[i], daemon->port);
        fds[i] = (struct pollfd){.fd = c[i].fd, .events = POLLIN};
        if (sent < jobs) {
            char *body = wrap("{\"workflow\":", graphs[sent++], "}");
            sent_at[i] = now_ms();
            http_send(&c[i], "POST", path, body, strlen(body));
            free(body);
        }
    }
    while (done < jobs) {
        if (poll(fds, (nfds_t)clients, 20000) <= 0) {
            die("no event for 20 s (daemon)");
        }
        for (int i = 0; i < clients; i++) {
            char *answer = NULL;
            size_t n = 0;
            int status = 0;
            if (fds[i].revents == 0) {
                continue;
            }
            if (!conn_read(&c[i])) {
                die("the daemon closed a connection");
            }
            if (!http_answer(&c[i], &status, &answer, &n)) {
                continue;
            }
            if (status != want_status) {
                fprintf(stderr, "bench: POST %s: %d %.200s\n", path, status, answer);
                exit(1);
            }
            memcpy(ret_last_id, answer + 7, 36); /* {"id":"... */
            took[done++] = now_ms() - sent_at[i];
            if (sent < jobs) {
                char *body = wrap("{\"workflow\":", graphs[sent++], "}");
                sent_at[i] = now_ms();
                http_send(&c[i], "POST", path, body, strlen(body));
                free(body);
            }
        }
    }
    for (int i = 0; i < clients; i++) {
        conn_close(&c[i]);
    }
    return begin;
}

static json_t *get_json(struct conn *c, const char *path)
{
    char *body = NULL;
    size_t n = 0;
    http_send(c, "GET", path, "", 0);
    if (http_wait(c, &body, &n) != 200) {
        die("the daemon did not answer 200");
    }
    return json_loadb(body, n, 0, NULL);
}

/* Waits until nothing is queued or running: the last job of the queue first, then the others. */
static void wait_for_all(const struct program *daemon, const char *last_id)
{
    struct conn c;
    conn_open(&c, daemon->port);
    char path[96];
    (void)snprintf(path, sizeof path, "/jobs/%.36s?wait=60", last_id);
    json_decref(get_json(&c, path));
    for (;;) {
        json_t *jobs = get_json(&c, "/jobs?state=queued,running&limit=1");
        const json_t *first = json_array_get(json_object_get(jobs, "jobs"), 0);
        const char *id = json_string_value(json_object_get(first, "id"));
        if (id == NULL) {
            json_decref(jobs);
            break;
        }
        (void)snprintf(path, sizeof path, "/jobs/%.36s?wait=60", id);
        json_decref(jobs);
        json_decref(get_json(&c, path));
    }
    conn_close(&c);
}

static struct result run_daemon(const struct program *daemon, char *const *graphs, int jobs)
{
    double *took = calloc((size_t)jobs, sizeof *took);
    char last[40] = "";
    struct result r = {0};
    const double cpu = cpu_ms(daemon->pid);
    const double begin = post_all(daemon, graphs, jobs, CLIENTS, "/jobs", 202, took, last);
    wait_for_all(daemon, last);
    r.jobs_per_s = jobs / (now_ms() - begin) * 1000;
    r.cpu_per_job = (cpu_ms(daemon->pid) - cpu) / jobs;
    free(took);
    return r;
}

static void run_latency(const struct program *daemon, char *const *graphs, int jobs,
                        struct result *r)
{
    double *took = calloc((size_t)jobs, sizeof *took);
    char last[40] = "";
    (void)post_all(daemon, graphs, jobs, SERVERS, "/jobs?wait=60", 200, took, last);
    r->p50 = percentile(took, (size_t)jobs, 0.50);
    r->p99 = percentile(took, (size_t)jobs, 0.99);
    free(took);
}

/* ---- accuracy -------------------------------------------------------------------------------- */

static json_t *find_truth(const char *file, const char *prompt_id)
{
    FILE *f = fopen(file, "r");
    char *line = NULL;
    size_t cap = 0;
    json_t *found = NULL;
    while (f != NULL && found == NULL && getline(&line, &cap, f) > 0) {
        if (strstr(line, prompt_id) != NULL) {
            found = json_loads(line, 0, NULL);
        }
    }
    free(line);
    if (f != NULL) {
        (void)fclose(f);
    }
    return found;
}

/* Errors of all executed nodes of one job's profile, in ms; returns how many. */
static size_t node_errors(const json_t *profile, const json_t *truth, double *out)
{
    size_t n = 0;
    size_t i = 0;
    const json_t *t = NULL;
    json_array_foreach(json_object_get(truth, "nodes"), i, t)
    {
        const char *id = json_string_value(json_object_get(t, "id"));
        const double t0 = json_number_value(json_object_get(t, "t0_ns"));
        const double t1 = json_number_value(json_object_get(t, "t1_ns"));
        size_t k = 0;
        const json_t *node = NULL;
        json_array_foreach(json_object_get(profile, "nodes"), k, node)
        {
            const json_t *duration = json_object_get(node, "duration");
            if (strcmp(json_string_value(json_object_get(node, "nodeId")), id) == 0 &&
                json_is_number(duration)) {
                const double e = json_number_value(duration) - (t1 - t0) / 1e6;
                out[n++] = e < 0 ? -e : e;
            }
        }
    }
    return n;
}

static void run_accuracy(const struct program *daemon, const char *truth_file)
{
    enum { JOBS = 100 };
    char *graphs[JOBS];
    char last[40] = "";
    double took[JOBS];
    unsigned random = 1;
    for (int i = 0; i < JOBS; i++) {
        int ms[7];
        for (int k = 0; k < 7; k++) {
            random = random * 1664525u + 1013904223u;
            ms[k] = (int)(random >> 24) % 11;
        }
        graphs[i] = txt2img(900000u + (unsigned)i, ms);
    }
    (void)post_all(daemon, graphs, JOBS, SERVERS, "/jobs?wait=60", 200, took, last);
    struct conn c;
    conn_open(&c, daemon->port);
    json_t *list = get_json(&c, "/jobs?limit=100&state=completed");
    double errors[JOBS * 7];
    size_t n = 0;
    size_t i = 0;
    const json_t *job = NULL;
    json_array_foreach(json_object_get(list, "jobs"), i, job)
    {
        char path[96];
        (void)snprintf(path, sizeof path, "/jobs/%s/profile",
                       json_string_value(json_object_get(job, "id")));
        json_t *profile = get_json(&c, path);
        json_t *truth = find_truth(truth_file, json_string_value(json_object_get(job, "promptId")));
        if (truth != NULL) {
            n += node_errors(profile, truth, errors + n);
        }
        json_decref(truth);
        json_decref(profile);
    }
    json_decref(list);
    conn_close(&c);
    printf("\nNode durations against the simulator's truth, %zu nodes of 0 to 10 ms:\n"
           "  error p50 %.3f ms, p99 %.3f ms, max %.3f ms\n",
           n, percentile(errors, n, 0.50), percentile(errors, n, 0.99), percentile(errors, n, 1.0));
    for (int k = 0; k < JOBS; k++) {
        free(graphs[k]);
    }
}

/* Four simulators of a kind and their addresses. */
struct fleet {
    struct program sims[SERVERS];
    char urls[SERVERS][64];
};

static void fleet_start(struct fleet *f, char *const argv[], const char *log)
{
    for (int i = 0; i < SERVERS; i++) {
        f->sims[i] = start(argv, log);
        (void)snprintf(f->urls[i], sizeof f->urls[i], "http://127.0.0.1:%d", f->sims[i].port);
    }
}

static void fleet_stop(struct fleet *f)
{
    for (int i = 0; i < SERVERS; i++) {
        stop(&f->sims[i]);
    }
}

static struct program daemon_start(char *bin, struct fleet *f, char *state, const char *log)
{
    return start((char *[]){bin, "--backend", f->urls[0], "--backend", f->urls[1], "--backend",
                            f->urls[2], "--backend", f->urls[3], "--listen", "127.0.0.1:0",
                            "--state", state, "--profile", NULL},
                 log);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void print_row(const char *name, const struct result *r)
{
    printf("  %-8s %10.0f %9.2f %9.2f", name, r->jobs_per_s, r->p50, r->p99);
    if (r->cpu_per_job > 0) {
        printf(" %12.3f", r->cpu_per_job);
    }
    printf("\n");
}

/* The medians of both, round by round in turn, and their ratio. */
static void compare(const char *title, const struct program *sims, const struct program *daemon,
                    char *const *graphs, int jobs)
{
    double direct[ROUNDS], through[ROUNDS], ratio[ROUNDS], cpu[ROUNDS];
    struct result d = {0};
    struct result t = {0};
    for (int i = 0; i < ROUNDS; i++) {
        d = run_direct(sims, graphs, jobs);
        t = run_daemon(daemon, graphs, jobs);
        direct[i] = d.jobs_per_s;
        through[i] = t.jobs_per_s;
        ratio[i] = t.jobs_per_s / d.jobs_per_s;
        cpu[i] = t.cpu_per_job;
    }
    run_latency(daemon, graphs, jobs < 500 ? jobs : 500, &t);
    d.jobs_per_s = percentile(direct, ROUNDS, 0.5);
    t.jobs_per_s = percentile(through, ROUNDS, 0.5);
    t.cpu_per_job = percentile(cpu, ROUNDS, 0.5);
    printf("\n%s: %d jobs, %d rounds in turn, medians\n", title, jobs, ROUNDS);
    printf("  %-8s %10s %9s %9s %12s\n", "", "jobs/s", "p50 ms", "p99 ms", "CPU ms/job");
    print_row("direct", &d);
    print_row("daemon", &t);
    printf("  ratio    %10.2f %9.2f %9.2f\n", percentile(ratio, ROUNDS, 0.5), t.p50 / d.p50,
           t.p99 / d.p99);
}

/* The same daemon, with nobody told of anything, and with a reader of events and a webhook. */
static void compare_told(char *bin, struct fleet *fleet, const char *dir, char *const *graphs,
                         int jobs)
{
    char log[512], quiet_state[512], told_state[512], url[64];
    int port = 0;
    double quiet_cpu[ROUNDS], told_cpu[ROUNDS];
    (void)snprintf(log, sizeof log, "%s/log", dir);
    (void)snprintf(quiet_state, sizeof quiet_state, "%s/quiet", dir);
    (void)snprintf(told_state, sizeof told_state, "%s/told", dir);
    struct program quiet = daemon_start(bin, fleet, quiet_state, log);
    const pid_t receiver = receiver_start(&port);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/hook", port);
    (void)setenv("COMFYPOOLD_WEBHOOKS_URLS", url, 1);
    (void)setenv("COMFYPOOLD_WEBHOOKS_ALLOW", "127.0.0.1/32", 1);
    struct program told = daemon_start(bin, fleet, told_state, log);
    const pid_t reader = reader_start(told.port);
    for (int i = 0; i < ROUNDS; i++) {
        quiet_cpu[i] = run_daemon(&quiet, graphs, jobs).cpu_per_job;
        told_cpu[i] = run_daemon(&told, graphs, jobs).cpu_per_job;
    }
    const double nobody = percentile(quiet_cpu, ROUNDS, 0.5);
    const double somebody = percentile(told_cpu, ROUNDS, 0.5);
    printf("\nOne reader of /events and one webhook: %d jobs, %d rounds in turn, medians\n"
           "  CPU ms/job %.3f, with nobody told %.3f: %+.3f\n",
           jobs, ROUNDS, somebody, nobody, somebody - nobody);
    told_stop(reader);
    stop(&told);
    told_stop(receiver);
    stop(&quiet);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fputs("usage: bench COMFYPOOLD COMFYSIM DIRECTORY [JOBS]\n", stderr);
        return 2;
    }
    const int jobs = argc > 4 ? atoi(argv[4]) : 2000;
    const char *dir = argv[3];
    char truth[512], log[512], state[512];
    (void)snprintf(truth, sizeof truth, "%s/truth", dir);
    (void)snprintf(log, sizeof log, "%s/log", dir);
    (void)snprintf(state, sizeof state, "%s/state", dir);
    char **graphs = calloc((size_t)jobs, sizeof(char *));
    for (int i = 0; i < jobs; i++) {
        graphs[i] = txt2img((unsigned)i, NULL);
    }

    /* A real server spends 3.5 to 5.9 ms on a prompt before execution_start, also when every node
       is cached (tests/traces/expected: "queue"); 2 ms flatters the direct side. */
    struct fleet fleet;
    fleet_start(&fleet,
                (char *[]){argv[2], "--port", "0", "--zero", "--no-cache", "--overhead", "2", NULL},
                log);
    struct program daemon = daemon_start(argv[1], &fleet, state, log);
    compare("Seven zero-length nodes (29 frames), servers that need 2 ms a prompt", fleet.sims,
            &daemon, graphs, jobs);
    stop(&daemon);
    compare_told(argv[1], &fleet, dir, graphs, jobs);
    fleet_stop(&fleet);

    fleet_start(&fleet, (char *[]){argv[2], "--port", "0", "--zero", "--no-cache", NULL}, log);
    (void)snprintf(state, sizeof state, "%s/state2", dir);
    daemon = daemon_start(argv[1], &fleet, state, log);
    compare("The same, servers that need nothing (0.05 ms a prompt): how fast the daemon can go",
            fleet.sims, &daemon, graphs, jobs);
    for (int i = 0; i < jobs; i++) {
        free(graphs[i]);
    }
    enum { LONG_JOBS = 40 };
    const int long_jobs = jobs < LONG_JOBS ? jobs : LONG_JOBS;
    for (int i = 0; i < long_jobs; i++) {
        graphs[i] = chain((unsigned)i, 220);
    }
    compare("220 zero-length nodes, one with 20 steps (11 MB of frames)", fleet.sims, &daemon,
            graphs, long_jobs);
    for (int i = 0; i < long_jobs; i++) {
        free(graphs[i]);
    }
    free(graphs);
    printf("\nPeak resident memory of the daemon: %.1f MiB\n", peak_mib(daemon.pid));
    stop(&daemon);
    fleet_stop(&fleet);

    fleet_start(&fleet, (char *[]){argv[2], "--port", "0", "--no-cache", "--truth", truth, NULL},
                log);
    (void)snprintf(state, sizeof state, "%s/state3", dir);
    daemon = daemon_start(argv[1], &fleet, state, log);
    run_accuracy(&daemon, truth);
    stop(&daemon);
    fleet_stop(&fleet);
    return 0;
}
