/*
 * One ComfyUI server as the daemon sees it: a WebSocket that is kept open for ever, and requests
 * over kept-alive HTTP. It knows nothing of jobs: frames go up through one callback, requests are
 * answered with typed answers. It keeps no promises about silence: what a socket did not say must
 * be asked (comfy_locate).
 *
 * Client ids: the server sends a prompt's events only to the client id that it was POSTed with, and
 * may unregister a socket that came back under an id (it removes by id when the old one ends). So a
 * connection has a fresh id unless somebody pinned one: while a prompt runs its id is pinned.
 */
#ifndef COMFYPOOL_COMFY_BACKEND_H
#define COMFYPOOL_COMFY_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "comfypool/base/buf.h"
#include "comfypool/base/err.h"
#include "comfypool/base/str.h"
#include "comfypool/base/time.h"
#include "comfypool/base/uuid.h"
#include "comfypool/comfy/answers.h"
#include "comfypool/comfy/interrupts.h"
#include "comfypool/core/catalog.h"
#include "comfypool/core/frame.h"
#include "comfypool/loop/http_client.h"
#include "comfypool/loop/ws_client.h"

struct comfy_backend;

enum comfy_link { COMFY_DOWN, COMFY_CONNECTING, COMFY_UP };

enum comfy_event_kind {
    COMFY_EVENT_UP,      /* the socket is open and the server has greeted */
    COMFY_EVENT_DOWN,    /* it is not any more, or could not be opened; text says why */
    COMFY_EVENT_FRAME,   /* a text message */
    COMFY_EVENT_STATS,   /* version and devices are known */
    COMFY_EVENT_PREVIEW, /* a preview image; only when somebody wants them */
    COMFY_EVENT_SIGN,    /* another binary message, such as a node's text: something runs there */
    COMFY_EVENT_LISTENS, /* somebody took a connection, of the socket or of a request */
    COMFY_EVENT_REFUSED, /* its port refused one: nobody listens there */
};

struct comfy_event {
    enum comfy_event_kind kind;
    struct mono_us now;
    struct mono_us waited_since; /* FRAME: it may have come then; 0: it came now */
    struct mono_us came_at;      /* ... and came then; 0: nobody knows */
    const struct frame *frame;
    const char *text;
    const struct stats_answer *stats; /* the callee may take its buffers */
    const struct frame_preview *preview;
};

typedef void (*comfy_event_fn)(void *ctx, const struct comfy_event *e);

struct comfy_timeouts {
    struct dur_us ping_interval;
    struct dur_us pong_timeout;
    struct dur_us connect;
    struct dur_us request;
    struct dur_us submit;
};

struct comfy_spec {
    const char *name;           /* for the log */
    const char *url;            /* http or https, path prefix and user information allowed */
    const char *const *headers; /* "Name: value" for each request and the socket; or NULL */
    const char *ca_file;        /* of certificates that TLS trusts beside the system's; or NULL */
    struct comfy_timeouts timeouts;
};

/* Checks a backend's URL. False with a message for people. */
bool comfy_url_check(const char *url, char *why, size_t why_size) MUST_CHECK;

/* The URL without user information, and "host:port" as a name. Appended. The URL must be good. */
void comfy_url_clean(const char *url, struct buf *ret_clean, struct buf *ret_name);

/* Starts connecting at once. Owner: the caller. No event comes from inside comfy_new. */
struct comfy_backend *comfy_new(uv_loop_t *loop, struct http_client *http, struct ws_client *ws,
                                const struct comfy_spec *spec, comfy_event_fn on_event, void *ctx);
/* Ends everything without further events; freed when the loop has run the close callbacks. */
void comfy_close(struct comfy_backend *b);

enum comfy_link comfy_link_state(const struct comfy_backend *b);

/* The client id of the present (or next) connection. */
const char *comfy_client_id(const struct comfy_backend *b);
/* While pinned, reconnects keep this id. A connection under another id is cut at once. */
void comfy_pin(struct comfy_backend *b, const char *client_id);
void comfy_unpin(struct comfy_backend *b);
/* Whether preview images are told from now on; at first they are not. */
void comfy_want_previews(struct comfy_backend *b, bool wants);
/* What goes with every request and socket from now on: "Name: value" each, NULL behind the last;
   copied. What is under way keeps what it has. */
void comfy_set_headers(struct comfy_backend *b, const char *const *headers);
/* Cuts the connection and connects anew at once (under a fresh id unless one is pinned): for a
   socket that proved deaf. No event tells it; COMFY_EVENT_UP follows. */
void comfy_renew(struct comfy_backend *b);

/* ---- requests. Each callback comes once, never from inside the call, unless it is cancelled. - */

enum comfy_submit_result {
    COMFY_ACCEPTED,
    COMFY_REJECTED,  /* 400: a verdict on the workflow */
    COMFY_REFUSED,   /* 401, 403, 404, 405, 413: the server, or a gateway before it, takes no such
                        request, whatever the workflow is */
    COMFY_NOT_TAKEN, /* another 4xx: surely not accepted */
    COMFY_NOT_SENT,  /* no connection */
    COMFY_AMBIGUOUS, /* 408, 429, 5xx, no prompt id, reset, timeout: it may have been accepted: ask
                      */
};

struct comfy_submit_answer {
    enum comfy_submit_result result;
    unsigned status;             /* 0: no answer */
    bool is_page;                /* of AMBIGUOUS: a gateway answered, see answer_is_page */
    const char *message;         /* for people */
    struct prompt_answer answer; /* of ACCEPTED and REJECTED */
};
typedef void (*comfy_submit_fn)(void *ctx, struct comfy_submit_answer *a);

/* body: the whole JSON body. It is sent at most once. */
struct http_call *comfy_submit(struct comfy_backend *b, struct str body, comfy_submit_fn done,
                               void *ctx);

enum comfy_place {
    COMFY_UNREACHABLE, /* no answer; `refused` says whether the connection was */
    COMFY_UNTOLD,      /* an answer, but no ComfyUI's: an error's status, a page for people */
    COMFY_PENDING,
    COMFY_RUNNING,
    COMFY_ENDED,  /* in history */
    COMFY_ABSENT, /* in neither */
};
/* The server itself has said where it is. */
static inline bool comfy_place_is_told(enum comfy_place place)
{
    return place != COMFY_UNREACHABLE && place != COMFY_UNTOLD;
}

struct comfy_locate_answer {
    enum comfy_place place;
    bool refused;
    bool not_queued; /* of UNTOLD: /queue was told, and does not have it */
    const char *message;
    struct queue_others others;    /* of PENDING and RUNNING: what else is in its queue */
    struct history_answer history; /* of ENDED */
};
typedef void (*comfy_locate_fn)(void *ctx, struct comfy_locate_answer *a);

struct comfy_locate;
/* Asks /queue, then /history/{id}: in this order nothing falls between. */
struct comfy_locate *comfy_locate(struct comfy_backend *b, const char *prompt_id,
                                  comfy_locate_fn done, void *ctx);
void comfy_locate_cancel(struct comfy_locate *l);

/*
 * Tells the server to drop a prompt, wherever it is: /api/jobs/{id}/cancel where there is such a
 * thing, else it is deleted from the queue, and interrupted only when /queue then says that it is
 * the one that runs: up to 0.3.56 an interrupt stops whatever does. Fire and forget, one at a time
 * for a prompt: what became of it is told by frames, or asked.
 */
void comfy_cancel_prompt(struct comfy_backend *b, const char *prompt_id);
/* The interrupts that this sent. */
struct interrupts *comfy_interrupts(struct comfy_backend *b);

/* Asks for /system_stats, as each new connection does; one question at a time. COMFY_EVENT_STATS
   comes when it was answered well. */
void comfy_ask_stats(struct comfy_backend *b);

/*
 * What the server knows: /object_info whole (class n == 0) or one class. It costs the server's only
 * event loop. Megabytes are read off ours. found false: there was no readable answer.
 */
typedef void (*comfy_classes_fn)(void *ctx, bool found, struct catalog_draft *draft);
struct comfy_ask;
struct comfy_ask *comfy_ask_classes(struct comfy_backend *b, struct str class_type,
                                    comfy_classes_fn done, void *ctx);
/* The whole answer of a path such as /node_replacements; n == 0: there was no good one. */
typedef void (*comfy_text_fn)(void *ctx, struct str body);
struct comfy_ask *comfy_ask_text(struct comfy_backend *b, const char *path, comfy_text_fn done,
                                 void *ctx);
void comfy_ask_cancel(struct comfy_ask *a);

/*
 * POST /upload/image: a file of ours, under this name in this subfolder of the server's inputs.
 * name: what the server called it, with its folder; NULL: it failed, and why. status: of the
 * answer; 0: there was none. is_page: it failed, and a gateway answered. Ends when nothing moves
 * for the time of a request.
 */
typedef void (*comfy_upload_fn)(void *ctx, const char *name, unsigned status, bool is_page,
                                const char *why);
/* True for what a server, or a gateway before it, answers whatever is sent: see COMFY_REFUSED. */
bool comfy_is_refusal(unsigned status);
struct http_call *comfy_upload(struct comfy_backend *b, const char *path, const char *filename,
                               const char *subfolder, comfy_upload_fn done, void *ctx);

/* GET /view, streamed. filename, subfolder and type as the server named them; headers ("Name:
   value", NULL at the end; or NULL) beside the backend's own. */
struct http_call *comfy_view(struct comfy_backend *b, struct str filename, struct str subfolder,
                             struct str type, const char *const *headers,
                             const struct http_sink *sink, http_done_fn done, void *ctx);
/* HEAD of the same, within 10 s. */
struct http_call *comfy_view_head(struct comfy_backend *b, struct str filename,
                                  struct str subfolder, struct str type, http_done_fn done,
                                  void *ctx);

#endif
