/*
 * Transfers of input files to servers: each file is sent once to a server on each connection, for
 * any number of waiting prompts. A key is the file's name there: its content, and the extension
 * that servers look at.
 */
#ifndef COMFYPOOL_FILES_INPUT_TRANSFERS_H
#define COMFYPOOL_FILES_INPUT_TRANSFERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct comfy_backend;
struct input_server;
struct uploads;

/* Why a file could not be sent. */
struct input_mishap {
    const char *why;
    unsigned status; /* of the answer; 0: none */
    bool page;       /* from a gateway */
    uint64_t size;   /* of the file, at least 1 */
};

/* The file of this key was sent; or failed. Both for the callback only. */
typedef void (*input_sent_fn)(void *ctx, const char *key, const struct input_mishap *failed);

/* Tracks what a server has been sent. All arguments are borrowed until input_server_free;
   subfolder: on the server. */
struct input_server *input_server_new(struct uploads *uploads, struct comfy_backend *comfy,
                                      const char *subfolder, input_sent_fn done, void *ctx);
/* Frees s; no more callbacks. */
void input_server_free(struct input_server *s);
/* Forgets all sent files: the connection is new, or lost. */
void input_server_forget(struct input_server *s);

/* Makes a key. Owner: the caller. */
char *input_key(const struct uploads *uploads, const char *sha256, const char *extension);
/* Returns the server's name of the file, with its folder; NULL: not sent. */
const char *input_name(const struct input_server *s, const char *key);
/* Sends it, unless already sending. False: not in the state directory. */
bool input_send(struct input_server *s, const char *sha256, const char *key);

#endif
