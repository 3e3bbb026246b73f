/* Mapping of records to rows. */
#ifndef COMFYPOOL_SRC_STORE_COLUMNS_H
#define COMFYPOOL_SRC_STORE_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>

#include "comfypool/base/buf.h"

enum column_kind {
    COLUMN_INT,   /* an enum, int, unsigned or mask: 4 bytes */
    COLUMN_INT64, /* int64_t, also struct wall_us */
    COLUMN_ROWID, /* int64_t; 0: chosen by the engine */
    COLUMN_BOOL,
    COLUMN_TEXT,  /* char *, or NULL */
    COLUMN_FIXED, /* char[n], "" is NULL */
    COLUMN_CODE,  /* enum err by its public code: its numbers are not stable */
};

struct column {
    const char *name;
    enum column_kind kind;
    bool bulky;    /* may be megabytes: left out of lists */
    bool apart;    /* left out of lists: reading past bulky columns of its row is expensive */
    bool constant; /* written only by the insert */
    int most; /* of COLUMN_INT: values outside 0 to this are damage, and read as `odd`; 0: any */
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
/* Appends the names for lists: a bulky text above this many characters reads as NULL, so that a
   page of a thousand jobs stays small. */
enum { COLUMNS_LIGHT_TEXT = 8192 };
void columns_add_light_names(const struct columns *c, struct buf *sql);
/* Appends "a = ?1, b = ?2" of the changing columns. */
void columns_add_sets(const struct columns *c, struct buf *sql);
/* Appends "?, ?, ?". */
void columns_add_marks(const struct columns *c, struct buf *sql);
/* Copies a record deeply, its texts to *room, which is advanced. */
void columns_copy(const struct columns *c, void *to, const void *from, char **room);
/* Returns the room for the texts of a copy. */
size_t columns_room(const struct columns *c, const void *record);

#endif
