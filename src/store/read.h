/* Reads of one thing, on the loop thread. */
#ifndef COMFYPOOL_SRC_STORE_READ_H
#define COMFYPOOL_SRC_STORE_READ_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/err.h"

struct sqlite3;
struct sqlite3_stmt;
struct store;

enum read_statement {
    Q_JOB_BY_ID,
    Q_WHOLE_JOB,
    Q_WORKFLOW,
    Q_BATCH,
    Q_COUNT_BATCH,
    Q_PROFILE,
    Q_STAMPS,
    Q_ATTEMPTS,
    Q_KEY,
    Q_SETTING,
    Q_DUE,
    Q_DUE_LATER,
    Q_DUE_HOSTS,
    Q_DELIVERY,
    Q_DELIVERIES_WAITING,
    Q_CLIENT_OF_JOB,
    Q_CLIENT_OF_BATCH,
    Q_CLIENT_OF_DELIVERY,
    Q_READ_COUNT
};

struct reader {
    struct sqlite3 *db;
    struct sqlite3_stmt *q[Q_READ_COUNT];
};

bool reader_open(struct store *s, char *why, size_t why_size) MUST_CHECK;
void reader_close(struct store *s);

#endif
