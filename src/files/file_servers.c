/* Servers by name; see the header. */
#include "comfypool/files/file_servers.h"

#include <stdlib.h>

#include "comfypool/base/map.h"

#include "server.h"

struct file_servers {
    struct map by_name;
};

struct file_servers *file_servers_new(void)
{
    struct file_servers *all = mem_zero(1, sizeof *all);
    map_init(&all->by_name);
    return all;
}

void file_servers_free(struct file_servers *all)
{
    map_done(&all->by_name);
    free(all);
}

struct file_server *file_server_add(struct file_servers *all, const char *name,
                                    struct comfy_backend *comfy)
{
    struct file_server *s = mem_zero(1, sizeof *s);
    s->all = all;
    s->name = name;
    s->comfy = comfy;
    (void)map_put(&all->by_name, str_of(s->name), s);
    return s;
}

void file_server_remove(struct file_server *s)
{
    (void)map_remove(&s->all->by_name, str_of(s->name));
    free(s);
}

struct file_server *file_server_find(const struct file_servers *all, const char *name)
{
    return name == NULL ? NULL : map_get(&all->by_name, str_of(name));
}

void file_server_set_up(struct file_server *s, bool up)
{
    s->up = up;
}
