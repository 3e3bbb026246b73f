/*
 * Servers that hold files of jobs, by name: one for each backend. Transfers from one, and questions
 * to it, are queued here while it is down.
 */
#ifndef COMFYPOOL_FILES_FILE_SERVERS_H
#define COMFYPOOL_FILES_FILE_SERVERS_H

#include <stdbool.h>

struct comfy_backend;
struct file_server;
struct file_servers;

struct file_servers *file_servers_new(void);
/* All must have been removed. */
void file_servers_free(struct file_servers *all);

/* name and comfy outlive it. */
struct file_server *file_server_add(struct file_servers *all, const char *name,
                                    struct comfy_backend *comfy);
/* Nothing may be queued there: see copies_leave. */
void file_server_remove(struct file_server *s);
/* NULL: none of this name, or no name. */
struct file_server *file_server_find(const struct file_servers *all, const char *name);
/* Notes whether it answers, as far as known. */
void file_server_set_up(struct file_server *s, bool up);

#endif
