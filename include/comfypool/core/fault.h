/*
 * Who is to blame for a node's exception. Faults of a device, a driver, a disk or the host's memory
 * surface as the execution_error of whatever node is running; they last until that server is
 * mended, mostly restarted, and hit every prompt until then. Pure.
 *
 * Source: messages of torch, CUDA, ROCm, Metal, oneAPI, DirectML, ONNX Runtime, Windows, Python and
 * numpy, as ComfyUI passes them on (exception_type, exception_message).
 */
#ifndef COMFYPOOL_CORE_FAULT_H
#define COMFYPOOL_CORE_FAULT_H

#include "comfypool/base/err.h"
#include "comfypool/base/str.h"

/*
 * Classifies an exception. ERR_OUT_OF_MEMORY: torch's own type, the device had too little for this
 * job. ERR_SERVER_FAULT: the server is sick, and *ret_remedy (static) tells people what to do. Else
 * ERR_NODE_FAILED. Cost: linear in the message, times the rows of the table.
 */
enum err fault_judge(struct str type, struct str message, const char **ret_remedy);

/* Returns the first line of a message, trimmed. */
struct str fault_first_line(struct str message);

#endif
