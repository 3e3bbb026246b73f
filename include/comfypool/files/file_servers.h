/*
 * The servers that hold files of ours, by name: each backend is one. What is fetched from one, or
 * asked of it, is queued here while it is down.
 */
#ifndef COMFYPOOL_FILES_FILE_SERVERS_H
#define COMFYPOOL_FILES_FILE_SERVERS_H

#include <stdbool.h>

struct comfy_backend;
struct file_server;
struct file_servers;

struct file_servers *file_servers_new(void);
/* All must have left. */
void file_servers_free(struct file_servers *all);

/* name and comfy live as long as it. */
struct file_server *file_server_add(struct file_servers *all, const char *name,
                                    struct comfy_backend *comfy);
/* Nothing may be queued there any more: see copies_leave. */
void file_server_remove(struct file_server *s);
/* NULL: there is none of this name, or no name. */
struct file_server *file_server_find(const struct file_servers *all, const char *name);
/* It answers, as far as anybody knows. */
void file_server_set_up(struct file_server *s, bool up);

#endif
