/* Reads the "data" object of a message, from the WebSocket or from /history, into a frame. */
#ifndef COMFYPOOL_SRC_COMFY_FRAME_READ_H
#define COMFYPOOL_SRC_COMFY_FRAME_READ_H

#include "comfypool/base/buf.h"
#include "comfypool/base/json_read.h"
#include "comfypool/core/frame.h"

/* Position of an entry of progress_state in the text: from its name's quote to behind its brace. */
struct entry_span {
    size_t from;
    size_t to;
};

/* Memory for a frame's lists and unescaped strings. */
struct frame_store {
    struct str *ids;
    size_t ids_len, ids_cap;
    struct frame_node *nodes;
    size_t nodes_len, nodes_cap;
    struct entry_span *spans; /* of nodes[i] */
    struct frame_gpu *gpus;
    size_t gpus_len;
    struct buf scratch;
    size_t text_len; /* of the message: bounds scratch, so that it never moves */
};

void frame_store_init(struct frame_store *s);
void frame_store_done(struct frame_store *s);
/* Empties it for a message of this length. */
void frame_store_reset(struct frame_store *s, size_t text_len);

/* Decodes a string token; p is never NULL. */
struct str frame_store_text(struct frame_store *s, struct js_token t);

/* Returns the type; FRAME_SIGN for unknown names; FRAME_OTHER for those unrelated to prompts. */
enum frame_type frame_type_from_name(struct js_token name);

/*
 * Reads the members of a data object whose brace was read. False when the text is broken.
 * ret_nodes_end: offset of the brace that closes progress_state's nodes (0: none).
 */
bool frame_read_data(struct js_reader *r, struct frame_store *s, struct frame *f,
                     size_t *ret_nodes_end);

/* Reads the entries of progress_state's nodes up to and with the closing brace. */
bool frame_read_entries(struct js_reader *r, struct frame_store *s);

#endif
