/* Table of messages of sick servers; see the header. */
#include "comfypool/core/fault.h"

#include <ctype.h>
#include <stddef.h>

static const char restart_device[] =
    "restart this ComfyUI; if it fails again, look at its GPU and driver";
static const char no_device[] = "look at its GPU and driver, then restart this ComfyUI";
static const char device_memory[] =
    "something holds the device's memory: restart this ComfyUI and look at what else uses it";
static const char host_memory[] = "free memory on its host, or restart this ComfyUI";
static const char disk_space[] = "make space on its disk, where its output and temp folders are";
static const char disk[] = "look at its disk, then restart this ComfyUI";
static const char open_files[] = "restart this ComfyUI, or raise its limit of open files";

static const char paging_file[] =
    "enlarge the paging file of its host or free memory there, then restart this ComfyUI";

/* Matched by the end of the type's name: modules move. */
static const struct {
    struct str end;
    const char *remedy;
} types[] = {
    {STR_INIT("AcceleratorError"), restart_device},
    {STR_INIT("OutOfMemoryError"), device_memory},
    {STR_INIT("MemoryError"), host_memory},
    {STR_INIT("DeferredCudaCallError"), no_device},
};

/*
 * Matched anywhere in the message, whatever its type: wrappers of exceptions (TorchScript, a
 * compiler, ONNX Runtime) put a first line of their own. The first row that matches counts.
 * Compared without regard to case, as whole words; an entry that ends with '_' is a prefix.
 */
static const struct {
    struct str words;
    const char *remedy;
} messages[] = {
    {STR_INIT("no space left on device"), disk_space},
    {STR_INIT("[errno 28]"), disk_space},
    {STR_INIT("disk quota exceeded"), disk_space},
    {STR_INIT("not enough space on the disk"), disk_space},
    {STR_INIT("winerror 112"), disk_space},
    {STR_INIT("database or disk is full"), disk_space},
    {STR_INIT("read-only file system"), disk},
    {STR_INIT("[errno 5] input/output error"), disk},
    {STR_INIT("stale file handle"), disk},
    {STR_INIT("[errno 24] too many open files"), open_files},
    {STR_INIT("no cuda gpus are available"), no_device},
    {STR_INIT("no hip gpus are available"), no_device},
    {STR_INIT("no xpu devices are available"), no_device},
    {STR_INIT("no cuda-capable device"), no_device},
    {STR_INIT("found no nvidia driver"), no_device},
    {STR_INIT("nvidia driver on your system is too old"), no_device},
    {STR_INIT("torch not compiled with cuda enabled"), no_device},
    {STR_INIT("cuda driver initialization failed"), no_device},
    {STR_INIT("cuda call failed lazily at initialization"), no_device},
    {STR_INIT("unexpected error from cudagetdevicecount"), no_device},
    {STR_INIT("unexpected error from hipgetdevicecount"), no_device},
    {STR_INIT("cuda unknown error"), restart_device},
    {STR_INIT("winerror 1455"), paging_file},
    {STR_INIT("os error 1455"), paging_file},
    {STR_INIT("paging file is too small"), paging_file},
    {STR_INIT("winerror 8"), host_memory},
    {STR_INIT("defaultcpuallocator"), host_memory},
    {STR_INIT("cannot allocate memory"), host_memory},
    {STR_INIT("can't allocate memory"), host_memory},
    {STR_INIT("std::bad_alloc"), host_memory},
    {STR_INIT("out_of_host_memory"), host_memory},
    {STR_INIT("out of memory"), device_memory},
    {STR_INIT("out_of_memory"), device_memory},
    {STR_INIT("out_of_device_memory"), device_memory},
    {STR_INIT("error_out_of_resources"), device_memory},
    {STR_INIT("not enough gpu video memory"), device_memory},
    {STR_INIT("cuda error"), restart_device},
    {STR_INIT("cuda driver error"), restart_device},
    {STR_INIT("cuda failure"), restart_device},
    {STR_INIT("cudnn failure"), restart_device},
    {STR_INIT("cublas failure"), restart_device},
    {STR_INIT("illegal memory access was encountered"), restart_device},
    {STR_INIT("unspecified launch failure"), restart_device},
    {STR_INIT("device-side assert triggered"), restart_device},
    {STR_INIT("hip error"), restart_device},
    {STR_INIT("hip failure"), restart_device},
    {STR_INIT("miopen error"), restart_device},
    {STR_INIT("mps backend"), restart_device},
    {STR_INIT("npu error"), restart_device},
    {STR_INIT("cudnn_status_internal_error"), restart_device},
    {STR_INIT("cudnn_status_not_initialized"), restart_device},
    {STR_INIT("cudnn_status_execution_failed"), restart_device},
    {STR_INIT("cublas_status_not_initialized"), restart_device},
    {STR_INIT("cublas_status_alloc_failed"), device_memory},
    {STR_INIT("cublas_status_execution_failed"), restart_device},
    {STR_INIT("nccl error"), restart_device},
    {STR_INIT("level_zero backend failed"), restart_device},
    {STR_INIT("native api failed"), restart_device},
    {STR_INIT("ur_result_error_"), restart_device},
    {STR_INIT("device_lost"), restart_device},
    {STR_INIT("gpu device instance has been suspended"), restart_device},
};

enum { TYPES = sizeof types / sizeof *types, MESSAGES = sizeof messages / sizeof *messages };

static bool is_letter(struct str s, size_t i)
{
    return i < s.n && isalnum((unsigned char)s.p[i]);
}

/* True inside a word: a letter or digit on both sides. */
static bool splits_word(struct str in, size_t at)
{
    return at > 0 && is_letter(in, at - 1) && is_letter(in, at);
}

/* needle is lower case. */
static bool has_words(struct str in, struct str needle)
{
    for (size_t i = 0; i + needle.n <= in.n; i++) {
        size_t k = 0;
        while (k < needle.n && tolower((unsigned char)in.p[i + k]) == needle.p[k]) {
            k++;
        }
        if (k == needle.n && !splits_word(in, i) && !splits_word(in, i + k)) {
            return true;
        }
    }
    return false;
}

/* True for torch's own type, in any of its modules: torch.cuda, torch, torch._C. */
static bool is_torch_memory(struct str type)
{
    const struct str torch = STR("torch.");
    return type.n > torch.n && memcmp(type.p, torch.p, torch.n) == 0 &&
           str_ends_with(type, STR("OutOfMemoryError"));
}

enum err fault_judge(struct str type, struct str message, const char **ret_remedy)
{
    if (is_torch_memory(type)) {
        return ERR_OUT_OF_MEMORY;
    }
    for (size_t i = 0; i < MESSAGES; i++) { /* more specific than the type */
        if (has_words(message, messages[i].words)) {
            *ret_remedy = messages[i].remedy;
            return ERR_SERVER_FAULT;
        }
    }
    for (size_t i = 0; i < TYPES; i++) {
        if (type.p != NULL && str_ends_with(type, types[i].end)) {
            *ret_remedy = types[i].remedy;
            return ERR_SERVER_FAULT;
        }
    }
    return ERR_NODE_FAILED;
}

struct str fault_first_line(struct str message)
{
    while (message.n > 0 && isspace((unsigned char)message.p[0])) {
        message.p++;
        message.n--;
    }
    const char *end = message.n == 0 ? NULL : memchr(message.p, '\n', message.n);
    message.n = end == NULL ? message.n : (size_t)(end - message.p);
    while (message.n > 0 && isspace((unsigned char)message.p[message.n - 1])) {
        message.n--;
    }
    return message;
}
