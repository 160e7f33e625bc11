/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/leak.h: memory that is left behind on purpose, as that of a simulated process that dies. LeakSanitizer takes
 * it, and whatever it leads to, for no leak; the rest of the program stays watched. Nothing in other builds.
 */
#ifndef BASE_LEAK_H
#define BASE_LEAK_H

#include "base/sanitizer.h"

#if HAS_ADDRESS_SANITIZER
#include <sanitizer/lsan_interface.h>
#endif

/* `memory` may point into the middle of what was allocated. */
static inline void leak_on_purpose(const void *memory)
{
#if HAS_ADDRESS_SANITIZER
    __lsan_ignore_object(memory);
#else
    (void)memory;
#endif
}

#endif
