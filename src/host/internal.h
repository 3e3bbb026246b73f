/* What the files of host/ share; and what its tests use instead of the real /proc and library. */
#ifndef COMFYPOOL_SRC_HOST_INTERNAL_H
#define COMFYPOOL_SRC_HOST_INTERNAL_H

#include "comfypool/base/buf.h"
#include "comfypool/base/time.h"
#include "comfypool/host/host.h"

/* ---- texts of /proc (proc_text.c, pure): false on anything that is not understood ------------ */

struct proc_socket {
    unsigned port; /* the local one */
    bool listens;
    uint64_t uid, inode;
};
/* A line of net/tcp or net/tcp6, not the first one. */
bool proc_parse_socket(struct str line, struct proc_socket *ret);

struct proc_stat {
    char name[HOST_NAME_SIZE];
    bool dead; /* a zombie, or about to go */
    uint64_t start_time;
};
/* PID/stat; the name may hold blanks and parentheses. */
bool proc_parse_stat(struct str text, struct proc_stat *ret);

/* PID/statm: resident bytes. */
bool proc_parse_statm(struct str text, int64_t page_size, int64_t *ret);
/* PID/io: bytes that reached the storage layer. */
bool proc_parse_io(struct str text, int64_t *ret_read, int64_t *ret_written);
/* PID/net/dev: bytes of all interfaces but lo. */
bool proc_parse_net_dev(struct str text, int64_t *ret_received, int64_t *ret_sent);
/* "net:[4026531833]", "socket:[123]": the number. */
bool proc_parse_link(struct str text, const char *kind, uint64_t *ret_inode);

/* ---- /proc itself (proc.c): `root` is "/proc", or a test's tree ------------------------------ */

/* Blocks for milliseconds: not on the loop. False: `why` says it. */
bool proc_find_listener(const char *root, int port, struct host_process *ret, char *why,
                        size_t why_size);
bool proc_read_usage(const char *root, int64_t pid, uint64_t start_time, struct host_usage *ret);

struct host_search *search_start(uv_loop_t *loop, const char *root, int port, host_found_fn done,
                                 void *ctx);

/* Whether the kernel takes an address as ours: what serves where netlink is forbidden. */
bool here_by_bind(const struct sockaddr *a, socklen_t n);

/* ---- NVML (nvml.c): all of it may hang ------------------------------------------------------- */

struct nvml;

/* NULL: `why` says it. */
struct nvml *nvml_open(const char *path, char *why, size_t why_size);
void nvml_close(struct nvml *n);
/*
 * Reads all GPUs. *ret: owner is the caller, host_gpu_list_free. False when the library is of no
 * more use and should be opened anew; *ret_trouble says why, and what single GPUs did not tell.
 */
bool nvml_read(const struct nvml *n, struct host_gpu **ret, size_t *ret_n, char *ret_trouble,
               size_t trouble_size);
void host_gpu_list_free(struct host_gpu *gpus, size_t n);

/* host_gpus_new with another library, another least time between two tries to open it, and another
   time after which host_gpus_trouble complains of silence. */
struct host_gpus *gpus_open(uv_loop_t *loop, const char *path, struct dur_us retry,
                            struct dur_us silent);

#endif
