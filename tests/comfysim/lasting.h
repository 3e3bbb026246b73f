/*
 * Troubles that outlast one prompt: a clock that is wrong, frames that are held, a gateway in front
 * that refuses, a device that is broken; and the ways of other versions. A control sets them, or a
 * fault does; what a fault began ends after its time or with the fault.
 */
#ifndef COMFYSIM_LASTING_H
#define COMFYSIM_LASTING_H

#include "server.h"
#include "timers.h"

struct sim;

struct lasting {
    double skew_ms; /* added to whatever this server stamps; never to truth and ledger */
    bool create_time;
    bool old_interrupt;
    double late_interrupt_ms; /* 0: at once */
    bool mum;                 /* /object_info is not answered */
    json_t *unseen;           /* types that no socket gets; array or NULL */
    int refusing;             /* a status; 0: no */
    char refusing_path[16];
    uint64_t refusing_until; /* 0: until it is told */
    json_t *page;            /* {"type", "body"} in the place of an HTML page; or NULL */
    char json_type[64];      /* what its JSON is said to be; "": what it is */
    bool sick;
    bool sick_by_fault;
    char sick_type[64];
    char sick_message[512];
    uint64_t sick_until; /* 0: until it is told, or a crash */
    struct sim_timer hold_timer;
};

/* The server's own clock. */
double lasting_now_ms(const struct sim *sim);
/* No socket is to get this frame. */
bool lasting_hides(const struct sim *sim, const char *frame, size_t len);
/* Answers in the gateway's place; true: it did. */
bool lasting_refuses(struct sim *sim, struct conn *conn, const char *path);
/* The same of all routes, or of all that are only asked; never of the control. */
bool lasting_refuses_route(struct sim *sim, struct conn *conn);
void lasting_answer_page(struct sim *sim, struct conn *conn, int status);
bool lasting_is_sick(struct sim *sim);

/* What faults begin. `ms` 0: until the fault changes. */
void lasting_gateway(struct sim *sim, struct conn *conn, double ms); /* this one is refused too */
void lasting_hold(struct sim *sim, double ms);
void lasting_sicken(struct sim *sim, double ms);
void lasting_end_faults(struct sim *sim);
void lasting_restart(struct sim *sim); /* a new process: a whole device, nothing held */

/* The controls of these; false: some value is none. */
bool lasting_control(struct sim *sim, const json_t *body);
void lasting_free(struct lasting *lasting);

#endif
