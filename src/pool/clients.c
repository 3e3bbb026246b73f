/*
 * Whom jobs are for: how many active ones each client has, and how many of them run. A client that
 * runs jobs.maxRunningPerClient is passed by in the queue until one of them is over. Clients that
 * have no active job are forgotten.
 */
#include <stdlib.h>

#include "clients.h"
#include "jobs.h"
#include "state.h"

void client_join(struct job *j)
{
    struct pool *p = j->pool;
    const struct str name = str_of(j->r.client == NULL ? "" : j->r.client);
    struct client *c = map_get(&p->clients, name);
    if (c == NULL) {
        c = mem_zero(1, sizeof *c);
        c->name = mem_copy(name);
        (void)map_put(&p->clients, str_of(c->name), c);
    }
    c->active++;
    j->client = c;
    j->client_next = c->jobs;
    j->client_link = &c->jobs;
    if (c->jobs != NULL) {
        c->jobs->client_link = &j->client_next;
    }
    c->jobs = j;
}

static void hold(struct pool *p, struct client *c)
{
    const size_t most = p->options.max_running_per_client;
    const bool held = most > 0 && c->running >= most;
    if (held != c->held) {
        c->held = held;
        queue_hold(&p->queue, str_of(c->name), held);
    }
}

static void client_free(struct pool *p, struct client *c)
{
    (void)map_remove(&p->clients, str_of(c->name));
    free(c->name);
    free(c);
}

void client_leave(struct job *j)
{
    struct client *c = j->client;
    if (c == NULL) {
        return;
    }
    j->client = NULL;
    *j->client_link = j->client_next;
    if (j->client_next != NULL) {
        j->client_next->client_link = j->client_link;
    }
    c->active--;
    if (c->active == 0) {
        client_free(j->pool, c);
    }
}

void client_runs(struct job *j)
{
    j->client->running++;
    hold(j->pool, j->client);
}

void client_rests(struct job *j)
{
    j->client->running--;
    hold(j->pool, j->client);
}

bool client_has_room(struct pool *p, const char *name, size_t more)
{
    const struct client *c = map_get(&p->clients, str_of(name == NULL ? "" : name));
    const size_t most = p->options.max_per_client;
    return most == 0 || (c == NULL ? 0 : c->active) + more <= most;
}

void clients_done(struct pool *p)
{
    map_done(&p->clients);
}
