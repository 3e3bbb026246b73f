/* How the records lie in their rows. */
#ifndef COMFYPOOL_SRC_STORE_COLUMNS_H
#define COMFYPOOL_SRC_STORE_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/buf.h"

enum column_kind {
    COLUMN_INT,   /* an enum, int, unsigned or mask: 4 bytes */
    COLUMN_INT64, /* int64_t, also struct wall_us */
    COLUMN_ROWID, /* int64_t; 0: the engine chooses it */
    COLUMN_BOOL,
    COLUMN_TEXT,  /* char *, or NULL */
    COLUMN_FIXED, /* char[n], "" is NULL */
    COLUMN_CODE,  /* enum err by its public code: the numbers are not for the disk */
};

struct column {
    const char *name;
    enum column_kind kind;
    bool bulky;    /* may be megabytes: left out of lists */
    bool apart;    /* left out of lists: what is behind bulky ones in its row costs reading those */
    bool constant; /* written by the insert only */
    int most; /* of COLUMN_INT: what is not from 0 to this is damage, and read as `odd`; 0: any */
    int odd;
    size_t offset;
    size_t size;
};

struct columns {
    const struct column *list;
    size_t len;
    size_t record_size;
};

extern const struct columns job_columns;
extern const struct columns attempt_columns;
extern const struct columns key_columns;
extern const struct columns stray_columns;
extern const struct columns backend_columns;
extern const struct columns batch_columns;
extern const struct columns upload_columns;
extern const struct columns owner_columns;
extern const struct columns kept_columns;
extern const struct columns delivery_columns;

/* Appends "a, b, c". */
void columns_add_names(const struct columns *c, struct buf *sql);
/* The same for lists: a bulky text above this many characters reads as NULL, so that a page of a
   thousand jobs stays small. */
enum { COLUMNS_LIGHT_TEXT = 8192 };
void columns_add_light_names(const struct columns *c, struct buf *sql);
/* Appends "a = ?1, b = ?2" of those that change. */
void columns_add_sets(const struct columns *c, struct buf *sql);
/* Appends "?, ?, ?". */
void columns_add_marks(const struct columns *c, struct buf *sql);
/* A deep copy of a record whose texts lie at *room, which is moved on. */
void columns_copy(const struct columns *c, void *to, const void *from, char **room);
/* How much room the texts of the copy take. */
size_t columns_room(const struct columns *c, const void *record);

#endif
