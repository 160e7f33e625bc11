/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol/mirror.h: the answer to a request that failed as a whole. Most APIs have no place for one code at
 * the top: every element that was asked for gets an element of the answer with the code, and with what names
 * it (a topic's name, a partition's index) copied over. A table says which list answers which; the walker
 * here does the rest from the descriptor tables. Names are those of the schema as in JSON ("topicData").
 * Pure; no state.
 */
#ifndef PROTOCOL_MIRROR_H
#define PROTOCOL_MIRROR_H

#include "protocol/message.h"

#define MIRROR_DEPTH_MAX 3
#define MIRROR_KEYS_MAX 2
#define MIRROR_UNKNOWN_MAX 3

/* A field that is copied; both have one kind. */
struct mirror_key {
    const char *asked; /* NULL: the element itself, in a list of plain values */
    const char *told;  /* NULL: no more keys */
};
#define MIRROR_SAME(name) \
    {                     \
        (name), (name)    \
    }
#define MIRROR_VALUE(name) \
    {                      \
        NULL, (name)       \
    }

/* One list of the request and the list of the answer that has one element for each of its elements. */
struct mirror_level {
    const char *asked; /* NULL: no more levels */
    const char *
        told; /* NULL: none; the elements of the next level stand in one list, where this would be */
    struct mirror_key keys[MIRROR_KEYS_MAX];
    const char *unknown[MIRROR_UNKNOWN_MAX]; /* numbers that say -1 */
    const char *code;                        /* NULL: "errorCode" */
};

struct mirror {
    struct mirror_level levels[MIRROR_DEPTH_MAX]; /* from the outermost inwards */
    const char *unknown[MIRROR_UNKNOWN_MAX];      /* as in a level, at the top */
    const char *null; /* null at the top in versions that allow it; NULL: none */
};

struct mirror_verdict {
    int16_t code;
    struct slice text; /* goes as it is, null too */
};

/* Fills `answer`, initialised before. The code, the text ("errorMessage") and the numbers go to every struct
 * on the way, the top included, that has them. Fields that `version` lacks are left alone, and so is a list
 * that it lacks in the request or the answer; a null list counts as empty. A row that does not fit the
 * messages is a bug of ours. ERR_NO_MEMORY. */
MUST_USE enum err mirror_answer(const struct mirror *mirror, const struct api *api, int16_t version,
                                const void *body, struct mirror_verdict verdict,
                                struct arena *arena, void *answer);

#endif
