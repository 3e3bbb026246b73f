/* Shared by the files of host/, with hooks for tests to replace the real /proc and library. */
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
/* Parses a line of net/tcp or net/tcp6, not the first one. */
bool proc_parse_socket(struct str line, struct proc_socket *ret);

struct proc_stat {
    char name[HOST_NAME_SIZE];
    bool dead; /* a zombie, or dying */
    uint64_t start_time;
};
/* Parses PID/stat; the name may hold blanks and parentheses. */
bool proc_parse_stat(struct str text, struct proc_stat *ret);

/* Parses PID/statm: resident bytes. */
bool proc_parse_statm(struct str text, int64_t page_size, int64_t *ret);
/* Parses PID/io: bytes that reached the storage layer. */
bool proc_parse_io(struct str text, int64_t *ret_read, int64_t *ret_written);
/* Parses PID/net/dev: bytes of all interfaces but lo. */
bool proc_parse_net_dev(struct str text, int64_t *ret_received, int64_t *ret_sent);
/* Parses "net:[4026531833]", "socket:[123]": the number. */
bool proc_parse_link(struct str text, const char *kind, uint64_t *ret_inode);

/* ---- /proc itself (proc.c): `root` is "/proc", or a test's tree ------------------------------ */

/* Blocks for milliseconds: not on the loop. False: see `why`. */
bool proc_find_listener(const char *root, int port, struct host_process *ret, char *why,
                        size_t why_size);
bool proc_read_usage(const char *root, int64_t pid, uint64_t start_time, struct host_usage *ret);

struct host_search *search_start(uv_loop_t *loop, const char *root, int port, host_found_fn done,
                                 void *ctx);

/* True if the kernel lets us bind the address: works where netlink is forbidden. */
bool here_by_bind(const struct sockaddr *a, socklen_t n);

/* ---- NVML (nvml.c): all of it may hang ------------------------------------------------------- */

struct nvml;

/* NULL: see `why`. */
struct nvml *nvml_open(const char *path, char *why, size_t why_size);
void nvml_close(struct nvml *n);
/*
 * Reads all GPUs. *ret: owner is the caller, host_gpu_list_free. False if the library must be
 * reopened; *ret_trouble says why, and what single GPUs did not report.
 */
bool nvml_read(const struct nvml *n, struct host_gpu **ret, size_t *ret_n, char *ret_trouble,
               size_t trouble_size);
void host_gpu_list_free(struct host_gpu *gpus, size_t n);

/* host_gpus_new with another library, time between tries to open it, and time of silence until
   host_gpus_trouble complains. */
struct host_gpus *gpus_open(uv_loop_t *loop, const char *path, struct dur_us retry,
                            struct dur_us silent);

#endif
