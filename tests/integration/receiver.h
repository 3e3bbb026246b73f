/*
 * A little HTTP server that is told what to answer and keeps what it got: the receiver of webhooks
 * and of traces. It is a process of its own, and ends with the test's.
 */
#ifndef COMFYPOOL_TESTS_RECEIVER_H
#define COMFYPOOL_TESTS_RECEIVER_H

#include <jansson.h>
#include <stddef.h>
#include <sys/types.h>

struct receiver_orders;

struct receiver {
    pid_t pid; /* 0: it is stopped, and its port is closed */
    int port;
    char url[64];
    char *log;
    struct receiver_orders *orders; /* shared with the process */
};

/* At a free port of 127.0.0.1; it answers 200. */
struct receiver *receiver_start(void);
/* Held requests end without an answer. */
void receiver_stop(struct receiver *r);
/* At the same port as before; what it got is kept. */
void receiver_restart(struct receiver *r);

/* What it answers from now on, also to what it holds. header: one more line, "Name: value", or
   NULL. Status 0: it holds requests without an answer. */
void receiver_answers(struct receiver *r, int status, const char *header);

size_t receiver_count(const struct receiver *r);
/* {"at" (epoch ms), "method", "path", "headers": {"lower-case": value}, "body": text}; fails when
   there is none with this number, from 0. */
json_t *receiver_got(const struct receiver *r, size_t i);
/* Requests that it holds now, and the most that came to be held or answered at the same time. */
int receiver_held(const struct receiver *r);
int receiver_most(const struct receiver *r);

#endif
