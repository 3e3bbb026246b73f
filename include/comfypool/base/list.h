/*
 * Intrusive lists: each item has the next one, and the place that points to it (the head of the
 * list, or the `next` of the one before). next and link name these members; an item may be in
 * several lists, by several pairs. Arguments are evaluated more than once.
 */
#ifndef COMFYPOOL_BASE_LIST_H
#define COMFYPOOL_BASE_LIST_H

#include <stddef.h>

/* Puts the item in front; head: the pointer to the first. O(1). */
#define list_push(head, item, next, link)                                                          \
    do {                                                                                           \
        (item)->next = *(head);                                                                    \
        (item)->link = (head);                                                                     \
        if ((item)->next != NULL) {                                                                \
            (item)->next->link = &(item)->next;                                                    \
        }                                                                                          \
        *(head) = (item);                                                                          \
    } while (0)

/* Takes the item out of its list and sets its link to NULL. O(1). */
#define list_remove(item, next, link)                                                              \
    do {                                                                                           \
        *(item)->link = (item)->next;                                                              \
        if ((item)->next != NULL) {                                                                \
            (item)->next->link = (item)->link;                                                     \
        }                                                                                          \
        (item)->link = NULL;                                                                       \
    } while (0)

#endif
