/* Streamed answers. */
#ifndef COMFYPOOL_SRC_HTTP_STREAM_H
#define COMFYPOOL_SRC_HTTP_STREAM_H

struct stream;

void stream_cut(struct stream *st);
/* Cuts it at once, even if its client does not read. */
void stream_shut(struct stream *st);
/* Frees it with its exchange: calls `gone` unless the stream was ended. */
void stream_free(struct stream *st);

#endif
