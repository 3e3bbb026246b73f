/*
 * One ComfyUI server as the daemon sees it: a WebSocket that is always kept open, and requests over
 * kept-alive HTTP. It knows no jobs: frames go up through one callback, requests get typed answers.
 * Silence proves nothing: what a socket did not report must be asked (comfy_locate).
 *
 * Client ids: the server sends a prompt's events only to the client id that it was POSTed with, and
 * may unregister a socket that reconnected under its id (it removes by id when the old one ends).
 * So a connection gets a fresh id unless one is pinned: the id of a running prompt is.
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
    COMFY_EVENT_UP,      /* the socket is open and the server has sent its greeting */
    COMFY_EVENT_DOWN,    /* the socket closed, or did not open; text says why */
    COMFY_EVENT_FRAME,   /* a text message */
    COMFY_EVENT_STATS,   /* version and devices are known */
    COMFY_EVENT_PREVIEW, /* a preview image; see comfy_want_previews */
    COMFY_EVENT_SIGN,    /* another binary message, such as a node's text: a node runs */
    COMFY_EVENT_LISTENS, /* a connection, of the socket or of a request, was accepted */
    COMFY_EVENT_REFUSED, /* a connection was refused: no listener at its port */
};

struct comfy_event {
    enum comfy_event_kind kind;
    struct mono_us now;
    struct mono_us waited_since; /* FRAME: since when it may have waited; 0: not late */
    struct mono_us came_at;      /* FRAME: when it arrived; 0: unknown */
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
    const char *ca_file;        /* certificates that TLS trusts beside the system's; or NULL */
    struct comfy_timeouts timeouts;
};

/* Checks a backend's URL. False with a message for people. */
bool comfy_url_check(const char *url, char *why, size_t why_size) MUST_CHECK;

/* Appends the URL without user information, and "host:port" as a name. The URL must be valid. */
void comfy_url_clean(const char *url, struct buf *ret_clean, struct buf *ret_name);

/* Starts connecting at once. Owner: the caller. No event comes from inside comfy_new. */
struct comfy_backend *comfy_new(uv_loop_t *loop, struct http_client *http, struct ws_client *ws,
                                const struct comfy_spec *spec, comfy_event_fn on_event, void *ctx);
/* Ends everything without further events; freed when the loop has run the close callbacks. */
void comfy_close(struct comfy_backend *b);

enum comfy_link comfy_link_state(const struct comfy_backend *b);

/* Returns the client id of the current (or next) connection. */
const char *comfy_client_id(const struct comfy_backend *b);
/* Pins an id for reconnects. A connection under another id is cut at once. */
void comfy_pin(struct comfy_backend *b, const char *client_id);
void comfy_unpin(struct comfy_backend *b);
/* Turns preview images on or off; initially off. */
void comfy_want_previews(struct comfy_backend *b, bool wants);
/* Sets the headers of future requests and sockets: "Name: value" each, NULL behind the last;
   copied. Running ones keep theirs. */
void comfy_set_headers(struct comfy_backend *b, const char *const *headers);
/* Reconnects at once (under a fresh id unless one is pinned): for a socket that proved deaf. Causes
   no COMFY_EVENT_DOWN; COMFY_EVENT_UP follows. */
void comfy_renew(struct comfy_backend *b);

/* ---- requests. Each callback comes once, never from inside the call, unless it is cancelled. - */

enum comfy_submit_result {
    COMFY_ACCEPTED,
    COMFY_REJECTED,  /* 400: a verdict on the workflow */
    COMFY_REFUSED,   /* 401, 403, 404, 405, 413: the server, or a gateway before it, takes no such
                        request, for any workflow */
    COMFY_NOT_TAKEN, /* another 4xx: certainly not accepted */
    COMFY_NOT_SENT,  /* no connection */
    COMFY_AMBIGUOUS, /* 408, 429, 5xx, no prompt id, reset, timeout: it may have been accepted: ask
                      */
};

struct comfy_submit_answer {
    enum comfy_submit_result result;
    unsigned status;             /* 0: no answer */
    bool is_page;                /* of AMBIGUOUS: from a gateway, see answer_is_page */
    const char *message;         /* for people */
    struct prompt_answer answer; /* of ACCEPTED and REJECTED */
};
typedef void (*comfy_submit_fn)(void *ctx, struct comfy_submit_answer *a);

/* body: the whole JSON body. Sent at most once. */
struct http_call *comfy_submit(struct comfy_backend *b, struct str body, comfy_submit_fn done,
                               void *ctx);

enum comfy_place {
    COMFY_UNREACHABLE, /* no answer; `refused`: the connection was refused */
    COMFY_UNTOLD,      /* an answer, but not from ComfyUI: an error status, a page for people */
    COMFY_PENDING,
    COMFY_RUNNING,
    COMFY_ENDED,  /* in history */
    COMFY_ABSENT, /* in neither */
};
/* True if the server itself answered. */
static inline bool comfy_place_is_told(enum comfy_place place)
{
    return place != COMFY_UNREACHABLE && place != COMFY_UNTOLD;
}

struct comfy_locate_answer {
    enum comfy_place place;
    bool refused;
    bool not_queued; /* of UNTOLD: /queue answered, without it */
    const char *message;
    struct queue_others others;    /* of PENDING and RUNNING: other prompts in its queue */
    struct history_answer history; /* of ENDED */
};
typedef void (*comfy_locate_fn)(void *ctx, struct comfy_locate_answer *a);

struct comfy_locate;
/* Asks /queue, then /history/{id}: in this order no prompt is missed. */
struct comfy_locate *comfy_locate(struct comfy_backend *b, const char *prompt_id,
                                  comfy_locate_fn done, void *ctx);
void comfy_locate_cancel(struct comfy_locate *l);

/*
 * Makes the server drop a prompt: by /api/jobs/{id}/cancel if available, else it is deleted from
 * the queue, and interrupted only if /queue then shows it as running: up to 0.3.56 an interrupt
 * stops any running prompt. Fire and forget, one at a time for a prompt: frames, or a question,
 * tell the result.
 */
void comfy_cancel_prompt(struct comfy_backend *b, const char *prompt_id);
/* Returns the interrupts sent by this backend's requests. */
struct interrupts *comfy_interrupts(struct comfy_backend *b);

/* Asks for /system_stats, as each new connection does; one question at a time. COMFY_EVENT_STATS
   comes after a good answer. */
void comfy_ask_stats(struct comfy_backend *b);

/*
 * Asks what the server knows: /object_info whole (class n == 0) or one class. It blocks the
 * server's only event loop. Megabytes are read off ours. found false: no readable answer.
 */
typedef void (*comfy_classes_fn)(void *ctx, bool found, struct catalog_draft *draft);
struct comfy_ask;
struct comfy_ask *comfy_ask_classes(struct comfy_backend *b, struct str class_type,
                                    comfy_classes_fn done, void *ctx);
/* Receives the whole answer of a path such as /node_replacements; n == 0: no good one. */
typedef void (*comfy_text_fn)(void *ctx, struct str body);
struct comfy_ask *comfy_ask_text(struct comfy_backend *b, const char *path, comfy_text_fn done,
                                 void *ctx);
void comfy_ask_cancel(struct comfy_ask *a);

/*
 * POST /upload/image: sends a file of ours, under this name in this subfolder of the server's
 * inputs. name: as the server chose, with its folder; NULL: failed, see why. status: of the answer;
 * 0: none. is_page: failed, with a gateway's answer. Ends when nothing moves for the time of a
 * request.
 */
typedef void (*comfy_upload_fn)(void *ctx, const char *name, unsigned status, bool is_page,
                                const char *why);
/* True for a status by which a server, or a gateway before it, refuses any content: see
   COMFY_REFUSED. */
bool comfy_is_refusal(unsigned status);
struct http_call *comfy_upload(struct comfy_backend *b, const char *path, const char *filename,
                               const char *subfolder, comfy_upload_fn done, void *ctx);

/* GET /view, streamed. filename, subfolder and type as the server named them; headers ("Name:
   value", NULL at the end; or NULL) in addition to the backend's own. */
struct http_call *comfy_view(struct comfy_backend *b, struct str filename, struct str subfolder,
                             struct str type, const char *const *headers,
                             const struct http_sink *sink, http_done_fn done, void *ctx);
/* HEAD /view, within 10 s. */
struct http_call *comfy_view_head(struct comfy_backend *b, struct str filename,
                                  struct str subfolder, struct str type, http_done_fn done,
                                  void *ctx);

#endif
