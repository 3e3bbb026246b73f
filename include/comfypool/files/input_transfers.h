/*
 * Input files on their way to servers: one goes once to a server on each connection, however many
 * prompts wait for it. A key is the file's name there: its content, and the extension that servers
 * look at.
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
    unsigned status; /* of the answer; 0: there was none */
    bool page;       /* it was a gateway's */
    uint64_t size;   /* of the file, at least 1 */
};

/* The file of this key is there; or it failed. Both for the callback only. */
typedef void (*input_sent_fn)(void *ctx, const char *key, const struct input_mishap *failed);

/* What a server has been sent. All is borrowed until input_server_free; subfolder: there. */
struct input_server *input_server_new(struct uploads *uploads, struct comfy_backend *comfy,
                                      const char *subfolder, input_sent_fn done, void *ctx);
/* No callback comes any more. */
void input_server_free(struct input_server *s);
/* The connection is a new one, or lost: whatever was sent may be gone. */
void input_server_forget(struct input_server *s);

/* Owner: the caller. */
char *input_key(const struct uploads *uploads, const char *sha256, const char *extension);
/* As the server named the file, with its folder; NULL: it has not been sent. */
const char *input_name(const struct input_server *s, const char *key);
/* Sends it, unless that is under way. False: it is gone from the state directory. */
bool input_send(struct input_server *s, const char *sha256, const char *key);

#endif
