/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/leak.h: memory that is left behind on purpose, as that of a simulated process that dies. LeakSanitizer takes
 * it, and whatever it leads to, for no leak; the rest of the program stays watched. Nothing in other builds.
 */
#ifndef BASE_LEAK_H
#define BASE_LEAK_H

#if defined(__SANITIZE_ADDRESS__)
#define LEAKS_ARE_LOOKED_FOR 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEAKS_ARE_LOOKED_FOR 1
#endif
#endif
#ifdef LEAKS_ARE_LOOKED_FOR
#include <sanitizer/lsan_interface.h>
#endif

/* `memory` may point into the middle of what was allocated. */
static inline void leak_on_purpose(const void *memory)
{
#ifdef LEAKS_ARE_LOOKED_FOR
    __lsan_ignore_object(memory);
#else
    (void)memory;
#endif
}

#endif
