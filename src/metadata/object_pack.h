/* SPDX-License-Identifier: Apache-2.0 */
/* metadata/object_pack.h: how an object becomes one block: measured first, then copied (object.c). */
#ifndef METADATA_OBJECT_PACK_H
#define METADATA_OBJECT_PACK_H

#include "metadata/metadata_internal.h"

struct pack {
    uint8_t *base; /* NULL: measuring */
    size_t size_bytes;
};

/* A copy behind what is packed already; while measuring NULL. */
void *pack_bytes(struct pack *pack, const void *from, size_t size_bytes);
struct slice pack_slice(struct pack *pack, struct slice from);
void *pack_array(struct pack *pack, const void *from, size_t count, size_t size_bytes);

typedef void (*pack_function)(struct pack *pack, const void *draft, void *to);
/* `size_bytes` is that of the struct, 256 at most. NULL: out of memory. */
void *object_make(struct allocator *allocator, const void *draft, size_t size_bytes,
                  pack_function pack_parts);

uint64_t hash_mix_uuid(uint64_t hash, struct uuid id);

#endif
