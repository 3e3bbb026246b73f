/* Answers that are pushed piece by piece. */
#ifndef COMFYPOOL_SRC_HTTP_STREAM_H
#define COMFYPOOL_SRC_HTTP_STREAM_H

struct stream;

void stream_cut(struct stream *st);
/* The same at once, whether or not its client reads. */
void stream_shut(struct stream *st);
/* The exchange is over: `gone` is told unless the stream was ended. */
void stream_free(struct stream *st);

#endif
