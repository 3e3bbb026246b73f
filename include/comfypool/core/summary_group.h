/* Groups of GET /profiles/summary: their names, and their kinds of roll-ups. */
#ifndef COMFYPOOL_CORE_SUMMARY_GROUP_H
#define COMFYPOOL_CORE_SUMMARY_GROUP_H

#include "comfypool/base/str.h"

/* symbol, public name. The numbers are on disk. */
#define GROUP_TABLE(X)                                                                             \
    X(GROUP_CLASS, "classType")   /* executed runs of nodes, by class */                           \
    X(GROUP_NODE, "node")         /* executed runs, by workflow hash, "/" and node id */           \
    X(GROUP_WORKFLOW, "workflow") /* executionTime of completed jobs, by workflow hash */          \
    X(GROUP_BACKEND, "backend")   /* executionTime, by backend */                                  \
    X(GROUP_RUN, "")              /* executionTime, by cost key, "/" and backend: for estimates */

enum group_by {
#define X(symbol, name) symbol,
    GROUP_TABLE(X)
#undef X
        GROUP_COUNT
};

/* Added to a group for the separate roll-ups of single clients, whose keys begin with the client
   and GROUP_CLIENT_END. The numbers are on disk. */
enum { GROUP_OF_CLIENT = 16 };
#define GROUP_CLIENT_END '\x1f'

/* GROUP_COUNT: none of this name. */
enum group_by group_from_name(struct str name);

#endif
