/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/utf8.h: whether bytes are text. What peers call themselves and their groups may be any bytes; readers of JSON
 * and of metrics refuse a whole page for one that is no UTF-8. Pure.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the character at `at`, of which `left` (1 or more) are there; 0: none, or a cut, longer than it need be, or a
 * surrogate's. */
size_t utf8_character_bytes(const uint8_t *at, size_t left);

#endif
