/* By what GET /profiles/summary groups: the names, and the kinds of roll-ups that belong to them.
 */
#ifndef COMFYPOOL_CORE_SUMMARY_GROUP_H
#define COMFYPOOL_CORE_SUMMARY_GROUP_H

#include "comfypool/base/str.h"

/* symbol, public name. The numbers are on disk. */
#define GROUP_TABLE(X)                                                                             \
    X(GROUP_CLASS, "classType")   /* executed runs of nodes, by class */                           \
    X(GROUP_NODE, "node")         /* the same, by workflow hash, "/" and node id */                \
    X(GROUP_WORKFLOW, "workflow") /* executionTime of completed jobs, by workflow hash */          \
    X(GROUP_BACKEND, "backend")   /* the same, by backend */                                       \
    X(GROUP_RUN, "")              /* the same, by cost key, "/" and backend: for estimates */

enum group_by {
#define X(symbol, name) symbol,
    GROUP_TABLE(X)
#undef X
        GROUP_COUNT
};

/* Roll-ups of one client's runs are kept apart, as the kind of the group and this; their keys begin
   with the client and the separator. The numbers are on disk. */
enum { GROUP_OF_CLIENT = 16 };
#define GROUP_CLIENT_END '\x1f'

/* GROUP_COUNT when there is none of this name. */
enum group_by group_from_name(struct str name);

#endif
