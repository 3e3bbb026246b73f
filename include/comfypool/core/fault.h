/*
 * Whose fault a node's exception is. Faults of a device, a driver, a disk or the host's memory
 * arrive as the execution_error of whatever node ran just then; they stay until that server is
 * mended, mostly restarted, and hit every prompt that comes meanwhile. Pure.
 *
 * Source: what torch, CUDA, ROCm, Metal, oneAPI, DirectML, ONNX Runtime, Windows, Python and numpy
 * say, as ComfyUI passes it on (exception_type, exception_message).
 */
#ifndef COMFYPOOL_CORE_FAULT_H
#define COMFYPOOL_CORE_FAULT_H

#include "comfypool/base/err.h"
#include "comfypool/base/str.h"

/*
 * ERR_OUT_OF_MEMORY: torch's own type, the device had too little for this job. ERR_SERVER_FAULT:
 * the server is sick, and *ret_remedy (static) tells people what to do. Else ERR_NODE_FAILED.
 * Cost: linear in the message, times the rows of the table.
 */
enum err fault_judge(struct str type, struct str message, const char **ret_remedy);

/* The first line of a message, without blanks around it. */
struct str fault_first_line(struct str message);

#endif
