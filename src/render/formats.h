/* Writers of the formats; formats.c has the table. Each appends a whole document. */
#ifndef COMFYPOOL_RENDER_FORMATS_H
#define COMFYPOOL_RENDER_FORMATS_H

#include "profile_read.h"

void profile_text(const struct stored_profile *p, struct buf *out);
void profile_csv(const struct stored_profile *p, struct buf *out);
void profile_chrome(const struct stored_profile *p, struct buf *out);
void profile_speedscope(const struct stored_profile *p, struct buf *out);
void profile_folded(const struct stored_profile *p, struct buf *out);

#endif
