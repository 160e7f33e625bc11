/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/sanitizer.h: which sanitizers this is built with. gcc says so by macros, clang by features, so that a file that
 * asks for one of the two only is wrong under the other compiler.
 */
#ifndef BASE_SANITIZER_H
#define BASE_SANITIZER_H

#if defined(__has_feature)
#define SANITIZER_FEATURE(name) __has_feature(name)
#else
#define SANITIZER_FEATURE(name) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || SANITIZER_FEATURE(address_sanitizer)
#define HAS_ADDRESS_SANITIZER 1
#else
#define HAS_ADDRESS_SANITIZER 0
#endif

#if SANITIZER_FEATURE(memory_sanitizer) /* clang alone has it */
#define HAS_MEMORY_SANITIZER 1
#else
#define HAS_MEMORY_SANITIZER 0
#endif

/* Any that makes code larger and slower. */
#if HAS_ADDRESS_SANITIZER || HAS_MEMORY_SANITIZER || defined(__SANITIZE_THREAD__) || \
    SANITIZER_FEATURE(thread_sanitizer)
#define HAS_HEAVY_SANITIZER 1
#else
#define HAS_HEAVY_SANITIZER 0
#endif

#endif
