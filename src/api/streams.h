/* Start and end of the API's event streams, for api.c. */
#ifndef COMFYPOOL_SRC_API_STREAMS_H
#define COMFYPOOL_SRC_API_STREAMS_H

struct api;

void streams_init(struct api *a);
void streams_done(struct api *a);

#endif
