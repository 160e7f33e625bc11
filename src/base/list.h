/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/list.h: intrusive circular doubly linked list. A node that is in no list points at itself.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/macros.h"

#include <stdbool.h>

struct list_node {
    struct list_node *next;
    struct list_node *previous;
};

static inline void list_init(struct list_node *list)
{
    list->next = list;
    list->previous = list;
}

static inline bool list_is_empty(const struct list_node *list)
{
    return list->next == list;
}

static inline void list_insert_between(struct list_node *node, struct list_node *previous,
                                       struct list_node *next)
{
    node->previous = previous;
    node->next = next;
    previous->next = node;
    next->previous = node;
}

static inline void list_push_back(struct list_node *list, struct list_node *node)
{
    list_insert_between(node, list->previous, list);
}

static inline void list_push_front(struct list_node *list, struct list_node *node)
{
    list_insert_between(node, list, list->next);
}

/* Safe on a node that is in no list, once it was initialised. */
static inline void list_remove(struct list_node *node)
{
    node->previous->next = node->next;
    node->next->previous = node->previous;
    list_init(node);
}

static inline struct list_node *list_first(struct list_node *list)
{
    return list_is_empty(list) ? NULL : list->next;
}

static inline struct list_node *list_pop_front(struct list_node *list)
{
    struct list_node *node = list_first(list);

    if (node)
        list_remove(node);
    return node;
}

/* Moves every node of `from` behind those of `to`. */
static inline void list_splice_back(struct list_node *to, struct list_node *from)
{
    if (list_is_empty(from))
        return;
    from->next->previous = to->previous;
    to->previous->next = from->next;
    from->previous->next = to;
    to->previous = from->previous;
    list_init(from);
}

#define LIST_ITEM(node, type, member) CONTAINER_OF(node, type, member)
#define LIST_EACH(node, list) \
    for (struct list_node *node = (list)->next; node != (list); node = node->next)
/* The body may remove `node`. */
#define LIST_EACH_SAFE(node, list)                                                          \
    for (struct list_node *node = (list)->next, *node##_next_ = node->next; node != (list); \
         node = node##_next_, node##_next_ = node->next)

#endif
