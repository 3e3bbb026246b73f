/*
 * NVML: NVIDIA's library, opened if present, and one reading of all GPUs. Every function here may
 * block for as long as the driver likes: only the thread of gpus.c calls them.
 *
 * The declarations below are our own, after the NVML API Reference Guide
 * (https://docs.nvidia.com/deploy/nvml-api/): functions return 0 (NVML_SUCCESS) or an error;
 * handles are opaque pointers; layouts are those of a C compiler on 64-bit Linux.
 */
#include "internal.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the library's binary interface ---------------------------------------------------------- */

enum {
    NV_SUCCESS = 0,
    NV_NOT_SUPPORTED = 3,
    NV_INSUFFICIENT_SIZE = 7,
    NV_TEMPERATURE_GPU = 0, /* the sensor on the die */
};

struct nv_device; /* nvmlDevice_t points to one */

/* nvmlUtilization_t: per cent of the last sample period. 8 bytes. */
struct nv_utilization {
    unsigned gpu, memory;
};

/* nvmlMemory_t (version 1, of nvmlDeviceGetMemoryInfo): bytes. 24 bytes. */
struct nv_memory {
    unsigned long long total, free, used;
};

/*
 * Only the first member of nvmlProcessInfo_t is used: unsigned pid. The elements of the array are
 * 24 bytes apart (pid, used memory as unsigned long long, two unsigned ids of MIG), and were 32
 * bytes apart in the drivers 535.43 to 535.86, which added an unsigned long long under the same
 * name (https://github.com/XuehaiPan/nvitop/pull/79); its first version had 16. So there is room
 * for the largest, and the size is derived from how much the library wrote.
 */
enum { PROCESS_SIZES = 3, LARGEST_PROCESS = 32, UNTOUCHED = 0xa5 };
static const size_t process_sizes[PROCESS_SIZES] = {16, 24, LARGEST_PROCESS};

struct nvml {
    void *library;
    int (*init)(void);
    int (*shutdown)(void);
    const char *(*error_string)(int error);
    int (*count)(unsigned *ret);
    int (*handle)(unsigned index, struct nv_device **ret);
    int (*uuid)(struct nv_device *d, char *ret, unsigned size);
    int (*utilization)(struct nv_device *d, struct nv_utilization *ret);
    int (*temperature)(struct nv_device *d, int sensor, unsigned *ret);
    int (*memory)(struct nv_device *d, struct nv_memory *ret);
    int (*processes)(struct nv_device *d, unsigned *count, void *ret);
};

/* Later names for a member are fallbacks for missing ones. */
static const struct {
    const char *name;
    size_t member;
} symbols[] = {
    {"nvmlInit_v2", offsetof(struct nvml, init)},
    {"nvmlShutdown", offsetof(struct nvml, shutdown)},
    {"nvmlErrorString", offsetof(struct nvml, error_string)},
    {"nvmlDeviceGetCount_v2", offsetof(struct nvml, count)},
    {"nvmlDeviceGetHandleByIndex_v2", offsetof(struct nvml, handle)},
    {"nvmlDeviceGetUUID", offsetof(struct nvml, uuid)},
    {"nvmlDeviceGetUtilizationRates", offsetof(struct nvml, utilization)},
    {"nvmlDeviceGetTemperature", offsetof(struct nvml, temperature)},
    {"nvmlDeviceGetMemoryInfo", offsetof(struct nvml, memory)},
    {"nvmlDeviceGetComputeRunningProcesses_v3", offsetof(struct nvml, processes)},
    {"nvmlDeviceGetComputeRunningProcesses_v2", offsetof(struct nvml, processes)},
};

/* ---- opening --------------------------------------------------------------------------------- */

static bool has_member(const struct nvml *n, size_t i)
{
    void *f = NULL;
    memcpy(&f, (const char *)n + symbols[i].member, sizeof f);
    return f != NULL;
}

/* Returns the name of a function that is missing, or NULL. */
static const char *find_symbols(struct nvml *n)
{
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *f = has_member(n, i) ? NULL : dlsym(n->library, symbols[i].name);
        if (f != NULL) {
            memcpy((char *)n + symbols[i].member, &f, sizeof f);
        }
    }
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        if (!has_member(n, i)) {
            return symbols[i].name;
        }
    }
    return NULL;
}

struct nvml *nvml_open(const char *path, char *why, size_t why_size)
{
    struct nvml *n = mem_zero(1, sizeof *n);
    n->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (n->library == NULL) {
        (void)snprintf(why, why_size, "NVIDIA's library is not there: %s", dlerror());
        free(n);
        return NULL;
    }
    const char *missing = find_symbols(n);
    const int error = missing == NULL ? n->init() : NV_SUCCESS;
    if (missing == NULL && error == NV_SUCCESS) {
        return n;
    }
    if (missing != NULL) {
        (void)snprintf(why, why_size, "%s has no %s; NVIDIA's driver is too old", path, missing);
    } else {
        (void)snprintf(why, why_size, "NVIDIA's driver cannot be used: %s", n->error_string(error));
    }
    (void)dlclose(n->library);
    free(n);
    return NULL;
}

void nvml_close(struct nvml *n)
{
    (void)n->shutdown();
    (void)dlclose(n->library);
    free(n);
}

/* ---- one GPU --------------------------------------------------------------------------------- */

struct reading {
    const struct nvml *n;
    unsigned index;
    unsigned told; /* number of values reported, of all GPUs */
    char *trouble;
    size_t trouble_size;
};

/* Keeps the first failure for people. An unsupported value is no trouble. */
static void note_trouble(struct reading *r, const char *what, int error)
{
    if (error != NV_NOT_SUPPORTED && r->trouble[0] == '\0') {
        (void)snprintf(r->trouble, r->trouble_size, "GPU %u does not tell its %s: %s", r->index,
                       what, r->n->error_string(error));
    }
}

static bool good(struct reading *r, const char *what, int error)
{
    if (error != NV_SUCCESS) {
        note_trouble(r, what, error);
        return false;
    }
    r->told++;
    return true;
}

/* Returns the element size, from `count` and the bytes that the library wrote. */
static size_t process_size(size_t written, unsigned count)
{
    for (size_t i = 0; i < PROCESS_SIZES; i++) {
        if (written <= process_sizes[i] * count) {
            return process_sizes[i];
        }
    }
    return LARGEST_PROCESS;
}

static void take_pids(struct host_gpu *g, const unsigned char *bytes, size_t size, unsigned count)
{
    while (size > 0 && bytes[size - 1] == UNTOUCHED) {
        size--;
    }
    const size_t distance = process_size(size, count);
    g->has_pids = true;
    g->pids_len = count;
    g->pids = mem_zero(count, sizeof *g->pids);
    for (unsigned i = 0; i < count; i++) {
        unsigned pid = 0;
        memcpy(&pid, bytes + i * distance, sizeof pid);
        g->pids[i] = pid;
    }
}

/* Grows the room: the number of processes may grow between two calls. */
static int read_pids(const struct nvml *n, struct nv_device *d, struct host_gpu *g)
{
    enum { FIRST_ROOM = 32, MOST_ROOM = 65536 };
    int error = NV_INSUFFICIENT_SIZE;
    for (unsigned room = FIRST_ROOM; error == NV_INSUFFICIENT_SIZE && room <= MOST_ROOM;
         room *= 4) {
        const size_t size = (size_t)room * LARGEST_PROCESS;
        AUTO_FREE unsigned char *bytes = mem_alloc(size);
        memset(bytes, UNTOUCHED, size);
        unsigned count = room;
        error = n->processes(d, &count, bytes);
        if (error == NV_SUCCESS && count <= room) {
            take_pids(g, bytes, size, count);
        }
    }
    return error;
}

static void read_gpu(struct reading *r, struct host_gpu *g)
{
    const struct nvml *n = r->n;
    struct nv_device *d = NULL;
    struct nv_utilization utilization;
    struct nv_memory memory;
    unsigned temperature = 0;
    *g = (struct host_gpu){
        .index = r->index, .utilization = -1, .temperature = -1, .vram_used = -1, .vram_total = -1};
    const int error = n->handle(r->index, &d);
    if (error != NV_SUCCESS) {
        note_trouble(r, "values", error);
        return;
    }
    if (!good(r, "UUID", n->uuid(d, g->uuid, sizeof g->uuid))) {
        g->uuid[0] = '\0';
    }
    if (good(r, "utilization", n->utilization(d, &utilization))) {
        g->utilization = (int)utilization.gpu;
    }
    if (good(r, "temperature", n->temperature(d, NV_TEMPERATURE_GPU, &temperature))) {
        g->temperature = (int)temperature;
    }
    if (good(r, "memory", n->memory(d, &memory))) {
        g->vram_used = (int64_t)memory.used;
        g->vram_total = (int64_t)memory.total;
    }
    (void)good(r, "processes", read_pids(n, d, g));
}

/* ---- all of them ----------------------------------------------------------------------------- */

bool nvml_read(const struct nvml *n, struct host_gpu **ret, size_t *ret_n, char *ret_trouble,
               size_t trouble_size)
{
    enum { MOST_GPUS = 1024 };
    unsigned count = 0;
    *ret = NULL;
    *ret_n = 0;
    ret_trouble[0] = '\0';
    const int error = n->count(&count);
    if (error != NV_SUCCESS) {
        (void)snprintf(ret_trouble, trouble_size, "NVIDIA's driver does not tell its GPUs: %s",
                       n->error_string(error));
        return false;
    }
    if (count == 0 || count > MOST_GPUS) {
        (void)snprintf(ret_trouble, trouble_size, "NVIDIA's driver knows %s",
                       count == 0 ? "no GPU" : "more GPUs than there can be");
        return false;
    }
    struct reading r = {.n = n, .trouble = ret_trouble, .trouble_size = trouble_size};
    struct host_gpu *gpus = mem_zero(count, sizeof *gpus);
    for (r.index = 0; r.index < count; r.index++) {
        read_gpu(&r, &gpus[r.index]);
    }
    *ret = gpus;
    *ret_n = count;
    return r.told > 0;
}

void host_gpu_list_free(struct host_gpu *gpus, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(gpus[i].pids);
    }
    free(gpus);
}
