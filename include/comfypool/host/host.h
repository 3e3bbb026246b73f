/*
 * Data of this host about a server on it: whether an address is ours, which process listens on a
 * port, what that process uses, and its GPUs. Linux only (/proc, NVML). All of it may be
 * unavailable, in part or as a whole; then it says why, in words for people.
 */
#ifndef COMFYPOOL_HOST_HOST_H
#define COMFYPOOL_HOST_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/* ---- this machine ---------------------------------------------------------------------------- */

/*
 * True if a URL's host (name or literal, brackets allowed) means this machine: localhost and
 * *.localhost, loopback, 0.0.0.0 and ::, or an address of one of our interfaces. No other name is
 * looked up: false. Cost: a netlink request for addresses that are not loopback.
 */
bool host_is_here(const char *host);

/* ---- the process behind a port --------------------------------------------------------------- */

enum { HOST_NAME_SIZE = 64 };

struct host_process {
    int64_t pid;
    uint64_t start_time;       /* clock ticks since boot: unique together with the pid */
    char name[HOST_NAME_SIZE]; /* as in /proc/PID/comm */
};

struct host_search;

/* found NULL: `why` says why, and what to do about it. Both for the callback only. */
typedef void (*host_found_fn)(void *ctx, const struct host_process *found, const char *why);

/*
 * Looks for the process that listens on a TCP port of this host, on any address and in our own
 * network namespace. If several hold the socket (forked workers), the first started counts.
 * Programs that only forward connections (ssh, docker-proxy ...) are skipped. Runs on libuv's pool,
 * for milliseconds (all descriptors of all processes); answers once, never from inside this call.
 * Lives until its callback begins, or host_search_cancel.
 */
struct host_search *host_search_start(uv_loop_t *loop, int port, host_found_fn done, void *ctx);
/* Cancels it without a callback. Freed when the loop has run its remaining work. */
void host_search_cancel(struct host_search *s);

/* ---- what a process uses --------------------------------------------------------------------- */

struct host_usage {
    bool has_memory;
    int64_t resident_bytes;
    bool has_disk; /* what reached or left the storage layer, since it started */
    int64_t read_bytes, write_bytes;
    bool has_network; /* over all interfaces but lo of its network namespace, since boot */
    int64_t received_bytes, sent_bytes;
    bool has_namespace;
    uint64_t namespace_inode; /* of its network namespace: equal for processes that share it */
    char missing[256];        /* which parts are unreadable and why; "" if none */
};

/*
 * Reads the usage. False when the process is gone, is a zombie, is another one with the same pid,
 * or is no longer visible; *ret then has no part. Cost: five small files of /proc, some tens of
 * microseconds.
 */
bool host_read_usage(int64_t pid, uint64_t start_time, struct host_usage *ret);

/* ---- GPUs ------------------------------------------------------------------------------------ */

enum { HOST_UUID_SIZE = 96 };

/* One GPU. Values the driver does not report are unknown, never zero. */
struct host_gpu {
    unsigned index;
    char uuid[HOST_UUID_SIZE]; /* "" when unknown */
    int utilization;           /* per cent of the driver's last sample period; -1: unknown */
    int temperature;           /* degrees Celsius; -1: unknown */
    int64_t vram_used;         /* bytes, by all processes; -1: unknown */
    int64_t vram_total;        /* bytes; -1: unknown */
    bool has_pids;
    size_t pids_len;
    int64_t *pids; /* of the processes that compute on it */
};

struct host_gpus;

/*
 * Receives a reading; the GPUs are borrowed, for the callback only. n = 0: none known. trouble: ""
 * or what went wrong, for people; GPUs may be known nevertheless.
 */
typedef void (*host_gpus_fn)(void *ctx, const struct host_gpu *gpus, size_t n, const char *trouble);

/*
 * Watches the GPUs of this host by NVML (libnvidia-ml.so.1), which comes with NVIDIA's driver. The
 * library is opened at the first question, and every call is made on a separate thread: a driver
 * that hangs stalls neither the loop nor the shutdown. A missing or failed library is retried at a
 * question, at most every 30 s.
 */
struct host_gpus *host_gpus_new(uv_loop_t *loop);

/*
 * Asks for a reading. False, and no callback comes, while one is still open (g NULL: always). The
 * callback comes once, on the loop, never from inside this call; not after host_gpus_close.
 */
bool host_gpus_ask(struct host_gpus *g, host_gpus_fn done, void *ctx);
/* True if an open reading may still come: asked for less than a second ago. */
bool host_gpus_is_reading(const struct host_gpus *g);

/* Returns the last reading's trouble, or that the driver has not answered for some seconds; "" if
   none. g may be NULL. Lives until the next call with g. */
const char *host_gpus_trouble(struct host_gpus *g);

/*
 * Ends the thread and closes the handle; freed when the loop has run its close callback. Blocks for
 * at most 200 ms, and only during a call of the driver. False: that call still runs; the thread and
 * its memory are left behind, and what the library runs at exit() may hang as well. g may be NULL.
 */
bool host_gpus_close(struct host_gpus *g);

#endif
