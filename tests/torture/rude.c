/*
 * Those who mean no good: clients that hang up in the middle of a body (closed, reset, or their
 * sending side alone), and bodies of thousands of nodes. Nothing of it becomes a job; nobody else
 * may suffer: that is what the audit of all others is for.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "torture.h"

enum { MOST_BODY = 1 << 20, MOST_NODES = 8000, BYTES_A_NODE = 80, PATIENCE_MS = 2000 };

enum rudeness { CLOSES, RESETS, SHUTS_DOWN, FALLS_SILENT, RUDENESSES };

/* All of a body but its last byte. */
static void hang_up(struct storm *s, struct dice *d, const char *blanks)
{
    const int fd = connect_to(s->port, PATIENCE_MS / 1000.0);
    if (fd < 0) {
        sleep_ms(50);
        return;
    }
    const int n = dice_between(d, 2, MOST_BODY);
    char head[200];
    (void)snprintf(head, sizeof head,
                   "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                   "Content-Length: %d\r\n\r\n",
                   dice_chance(d, 0.5) ? "/jobs" : "/batches", n);
    (void)(send_all(fd, head, strlen(head)) && send_all(fd, blanks, (size_t)n - 1));
    const enum rudeness how = (enum rudeness)dice_between(d, 0, RUDENESSES - 1);
    const struct linger at_once = {.l_onoff = 1};
    struct pollfd p = {fd, POLLIN, 0};
    if (how == RESETS) {
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    } else if (how == SHUTS_DOWN) {
        (void)shutdown(fd, SHUT_WR);
        (void)poll(&p, 1, PATIENCE_MS);
    } else if (how == FALLS_SILENT) {
        sleep_ms(dice_between(d, 1, 300));
    }
    (void)close(fd);
}

/* A workflow of thousands of nodes, only to be judged; or a batch of it whose override is wrong. */
static void talk(struct storm *s, struct dice *d, char *body)
{
    const bool batch = dice_chance(d, 0.5);
    const int nodes = dice_between(d, 1000, MOST_NODES);
    size_t n = (size_t)sprintf(body, "{\"workflow\":{");
    for (int i = 0; i < nodes; i++) {
        n += (size_t)sprintf(
            body + n, "%s\"%d\":{\"class_type\":\"SaveImage\",\"inputs\":{\"a\":[\"%d\",0]}}",
            i == 0 ? "" : ",", i, i / 2);
    }
    (void)sprintf(body + n, batch ? "},\"overrides\":[{\"0.a\":1},{\"nobody.a\":1}]}" : "}}");
    struct reply r;
    if (ask_daemon(s, "POST", batch ? "/batches" : "/jobs?dryRun=1", NULL, body, 10, &r)) {
        if (batch ? r.status == 202 : r.status == 202 || r.status == 500) {
            violation(s, "a %s of %d nodes was answered %ld", batch ? "wrong batch" : "dry run",
                      nodes, r.status);
        }
        reply_done(&r);
    }
}

void *rude_run(void *worker)
{
    const struct worker *w = worker;
    struct storm *s = w->storm;
    struct dice d = dice_of(s->seed, 600 + w->number);
    char *blanks = malloc(MOST_BODY);
    char *body = malloc((size_t)MOST_NODES * BYTES_A_NODE + 200);
    if (blanks == NULL || body == NULL) {
        die("out of memory");
    }
    memset(blanks, ' ', MOST_BODY);
    while (!s->calm) {
        if (dice_chance(&d, 0.8)) {
            hang_up(s, &d, blanks);
        } else {
            talk(s, &d, body);
        }
        s->rudenesses++;
        sleep_ms(dice_between(&d, 20, 200));
    }
    free(blanks);
    free(body);
    return NULL;
}
