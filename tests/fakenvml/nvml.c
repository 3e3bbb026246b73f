/*
 * A libnvidia-ml.so.1 for tests: it says what a file says, which the environment variable
 * FAKE_NVML names. The file is read at each call, so that it may change meanwhile. Lines:
 *
 *   count=2                        GPUs; 0 when missing
 *   gpu0.uuid=GPU-...              what is missing is "not supported" (3);
 *   gpu0.utilization=37            !15 instead of a value is the error 15
 *   gpu0.temperature=61
 *   gpu0.memory=1000/2000          used/total
 *   gpu0.pids=10,11                may be empty
 *   gpu0.handle=!15                only errors
 *   nvmlInit_v2=9                  the function returns this error
 *   nvmlDeviceGetTemperature=hang  the function does not return, or not before ...
 *   release=PATH                   ... somebody opens this FIFO for writing
 *   hung=PATH                      is made when a function begins to hang
 *   process=32                     bytes an element of the list of processes; 24 when missing
 *
 * Built with -DWITHOUT_V3 it lacks nvmlDeviceGetComputeRunningProcesses_v3.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7, MOST_GPUS = 64 };

struct device {
    unsigned index;
};
struct utilization {
    unsigned gpu, memory;
};
struct memory {
    unsigned long long total, free, used;
};

int nvmlInit_v2(void);
int nvmlShutdown(void);
const char *nvmlErrorString(int error);
int nvmlDeviceGetCount_v2(unsigned *ret);
int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct device **ret);
int nvmlDeviceGetUUID(struct device *d, char *ret, unsigned size);
int nvmlDeviceGetUtilizationRates(struct device *d, struct utilization *ret);
int nvmlDeviceGetTemperature(struct device *d, int sensor, unsigned *ret);
int nvmlDeviceGetMemoryInfo(struct device *d, struct memory *ret);
int nvmlDeviceGetComputeRunningProcesses_v2(struct device *d, unsigned *count, void *ret);
int nvmlDeviceGetComputeRunningProcesses_v3(struct device *d, unsigned *count, void *ret);

static struct device devices[MOST_GPUS];

/* The value of a key; false when the file has none. */
static bool find(const char *key, char *ret, size_t size)
{
    const char *path = getenv("FAKE_NVML");
    FILE *f = path == NULL ? NULL : fopen(path, "re");
    bool found = false;
    char line[4096];
    const size_t n = strlen(key);
    while (f != NULL && !found && fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        found = strncmp(line, key, n) == 0 && line[n] == '=';
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    if (found) {
        (void)snprintf(ret, size, "%s", line + n + 1);
    }
    return found;
}

static void hang(void)
{
    char path[1024];
    if (find("hung", path, sizeof path)) {
        const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        (void)close(fd);
    }
    if (find("release", path, sizeof path)) {
        const int fd = open(path, O_RDONLY | O_CLOEXEC);
        (void)close(fd);
        return;
    }
    for (;;) {
        (void)pause();
    }
}

/* What a function does before anything else; an error, or 0. */
static int enter(const char *function)
{
    char value[64];
    if (!find(function, value, sizeof value)) {
        return SUCCESS;
    }
    if (strcmp(value, "hang") == 0) {
        hang();
        return SUCCESS;
    }
    return atoi(value);
}

/* A value of a GPU, or the error that stands there instead. */
static int value_of(const struct device *d, const char *what, char *ret, size_t size)
{
    char key[64];
    (void)snprintf(key, sizeof key, "gpu%u.%s", d->index, what);
    if (!find(key, ret, size)) {
        return NOT_SUPPORTED;
    }
    return ret[0] == '!' ? atoi(ret + 1) : SUCCESS;
}

int nvmlInit_v2(void)
{
    return enter("nvmlInit_v2");
}

int nvmlShutdown(void)
{
    return enter("nvmlShutdown");
}

const char *nvmlErrorString(int error)
{
    static _Thread_local char text[32];
    (void)snprintf(text, sizeof text, "fake error %d", error);
    return text;
}

int nvmlDeviceGetCount_v2(unsigned *ret)
{
    char value[64];
    const int error = enter("nvmlDeviceGetCount_v2");
    *ret = find("count", value, sizeof value) ? (unsigned)atoi(value) : 0;
    return error;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct device **ret)
{
    char value[64];
    int error = enter("nvmlDeviceGetHandleByIndex_v2");
    *ret = &devices[index % MOST_GPUS];
    (*ret)->index = index;
    if (error == SUCCESS) {
        error = value_of(*ret, "handle", value, sizeof value);
    }
    return error == NOT_SUPPORTED ? SUCCESS : error;
}

int nvmlDeviceGetUUID(struct device *d, char *ret, unsigned size)
{
    const int error = enter("nvmlDeviceGetUUID");
    return error != SUCCESS ? error : value_of(d, "uuid", ret, size);
}

int nvmlDeviceGetUtilizationRates(struct device *d, struct utilization *ret)
{
    char value[64];
    int error = enter("nvmlDeviceGetUtilizationRates");
    if (error == SUCCESS) {
        error = value_of(d, "utilization", value, sizeof value);
    }
    if (error == SUCCESS) {
        *ret = (struct utilization){(unsigned)atoi(value), 1};
    }
    return error;
}

int nvmlDeviceGetTemperature(struct device *d, int sensor, unsigned *ret)
{
    char value[64];
    int error = enter("nvmlDeviceGetTemperature");
    if (error == SUCCESS) {
        error = value_of(d, "temperature", value, sizeof value);
    }
    if (error == SUCCESS) {
        *ret = sensor == 0 ? (unsigned)atoi(value) : 999;
    }
    return error;
}

int nvmlDeviceGetMemoryInfo(struct device *d, struct memory *ret)
{
    char value[64];
    int error = enter("nvmlDeviceGetMemoryInfo");
    if (error == SUCCESS) {
        error = value_of(d, "memory", value, sizeof value);
    }
    if (error == SUCCESS) {
        char *slash = NULL;
        ret->used = strtoull(value, &slash, 10);
        ret->total = strtoull(slash + 1, NULL, 10);
        ret->free = ret->total - ret->used;
    }
    return error;
}

/* An element as each version has it: pid, used memory, two ids, and protected memory. */
static void write_process(unsigned char *at, size_t size, unsigned pid)
{
    const unsigned long long used = 1 << 20;
    const unsigned id = 0xffffffff;
    const unsigned long long none = 0;
    memcpy(at, &pid, sizeof pid);
    memcpy(at + 8, &used, sizeof used);
    if (size > 16) {
        memcpy(at + 16, &id, sizeof id);
        memcpy(at + 20, &id, sizeof id);
    }
    if (size > 24) {
        memcpy(at + 24, &none, sizeof none);
    }
}

static int processes(struct device *d, unsigned *count, unsigned char *ret)
{
    char value[4096];
    char text[16];
    const size_t size = find("process", text, sizeof text) ? (size_t)atoi(text) : 24;
    const int error = value_of(d, "pids", value, sizeof value);
    const unsigned room = *count;
    if (error != SUCCESS) {
        return error;
    }
    *count = 0;
    for (char *at = value; *at != '\0';) {
        const unsigned pid = (unsigned)strtoul(at, &at, 10);
        at += *at == ',';
        if (*count < room) {
            write_process(ret + *count * size, size, pid);
        }
        (*count)++;
    }
    return *count > room ? INSUFFICIENT_SIZE : SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v2(struct device *d, unsigned *count, void *ret)
{
    const int error = enter("nvmlDeviceGetComputeRunningProcesses_v2");
    return error != SUCCESS ? error : processes(d, count, ret);
}

#ifndef WITHOUT_V3
int nvmlDeviceGetComputeRunningProcesses_v3(struct device *d, unsigned *count, void *ret)
{
    const int error = enter("nvmlDeviceGetComputeRunningProcesses_v3");
    return error != SUCCESS ? error : processes(d, count, ret);
}
#endif
