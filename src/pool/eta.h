/* When jobs will start and end, as far as measurements tell. */
#ifndef COMFYPOOL_SRC_POOL_ETA_H
#define COMFYPOOL_SRC_POOL_ETA_H

struct job;
struct js_out;

/* "eta": {startsAt, completesAt} of an active job, or null, as a member. */
void eta_render(struct job *j, struct js_out *o);
/* "eta": when the last of a batch's active jobs (NULL: none) will be done, or null, as a member. */
void eta_render_batch(struct job *jobs, struct js_out *o);

#endif
