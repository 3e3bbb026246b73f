/*
 * Clients: how many active and running jobs each has. The queue skips a client that runs
 * jobs.maxRunningPerClient jobs. A client without active jobs is forgotten.
 */
#include "clients.h"

#include <stdlib.h>

#include "comfypool/base/list.h"

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
    j->of_client.client = c;
    list_push(&c->jobs, j, of_client.next, of_client.link);
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
    struct client *c = j->of_client.client;
    if (c == NULL) {
        return;
    }
    j->of_client.client = NULL;
    list_remove(j, of_client.next, of_client.link);
    c->active--;
    if (c->active == 0) {
        client_free(j->pool, c);
    }
}

void client_runs(struct job *j)
{
    j->of_client.client->running++;
    hold(j->pool, j->of_client.client);
}

void client_rests(struct job *j)
{
    j->of_client.client->running--;
    hold(j->pool, j->of_client.client);
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
