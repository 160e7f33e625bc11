/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The small files of log directories: clean marker, partition.metadata, meta.properties, transaction
 * index, and the names of directories and files. What is read and can be written reads the same again.
 * Input: one byte that names the file, then its content.
 */
#include "base/assert.h"
#include "os/sim.h"
#include "storage/storage_internal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void file_put(struct os *os, const char *path, struct slice content)
{
    struct os_file *file;

    ASSERT(os_file_open(os, path, OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_TRUNCATE, &file) == OK);
    if (content.size_bytes > 0)
        ASSERT(os_file_write(file, &content, 1, 0) == OK);
    os_file_close(&file);
}

static void marker_check(struct os *os, struct slice content)
{
    int64_t epoch, again;
    bool present;

    file_put(os, "/d/.kafka_cleanshutdown", content);
    ASSERT(clean_marker_read(os, "/d", &present, &epoch) == OK);
    ASSERT(present);
    ASSERT(clean_marker_write(os, "/d", epoch) == OK);
    ASSERT(clean_marker_read(os, "/d", &present, &again) == OK);
    ASSERT(again == epoch);
}

static void partition_metadata_check(struct os *os, struct slice content)
{
    struct uuid id, again;

    file_put(os, "/d/partition.metadata", content);
    if (partition_metadata_read(os, "/d", &id) != OK)
        return;
    ASSERT(!uuid_is_zero(id));
    ASSERT(partition_metadata_write(os, "/d", id) == OK);
    ASSERT(partition_metadata_read(os, "/d", &again) == OK);
    ASSERT(uuid_equal(id, again));
}

/* Java writes control characters and the like escaped; such ids do not exist. */
static bool is_plain(struct slice text)
{
    for (size_t i = 0; i < text.size_bytes; i++)
        if (text.data[i] <= ' ' || text.data[i] > '~')
            return false;
    return true;
}

static void meta_properties_check(struct os *os, struct slice content)
{
    struct meta_properties properties, again;
    struct arena arena;
    struct why why;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    file_put(os, "/d/meta.properties", content);
    if (meta_properties_read(os, "/d", &arena, &properties, &why) == OK &&
        properties.version >= 0 && is_plain(properties.cluster_id)) {
        ASSERT(meta_properties_write(os, "/d", &properties) == OK);
        ASSERT(meta_properties_read(os, "/d", &arena, &again, &why) == OK);
        ASSERT(again.version == properties.version);
        ASSERT(again.node_id == properties.node_id);
        ASSERT(slice_equal(again.cluster_id, properties.cluster_id));
        ASSERT(again.has_directory_id == properties.has_directory_id);
    }
    arena_release(&arena);
}

#define BASE_OFFSET 5
#define END_OFFSET 1000

static void transaction_index_check(struct os *os, struct slice content)
{
    struct transaction_index index;

    file_put(os, "/d/x.txnindex", content);
    if (transaction_index_read(os, "/d/x.txnindex", BASE_OFFSET, END_OFFSET, &index) != OK)
        return;
    ASSERT(index.count * TRANSACTION_INDEX_ENTRY_BYTES == content.size_bytes);
    for (size_t i = 0; i < index.count; i++) {
        uint8_t bytes[TRANSACTION_INDEX_ENTRY_BYTES];

        transaction_index_entry_write(&index.items[i], bytes);
        ASSERT(memcmp(bytes, content.data + i * sizeof(bytes), sizeof(bytes)) == 0);
        ASSERT(index.items[i].last_offset >= BASE_OFFSET);
        ASSERT(index.items[i].last_offset < END_OFFSET);
    }
    transaction_index_cut(&index, 10);
    for (size_t i = 0; i < index.count; i++)
        ASSERT(index.items[i].last_offset < 10);
    transaction_index_release(&index);
}

static void names_check(struct slice content)
{
    char text[300];
    char made[LOG_NAME_BYTES];
    const uint8_t unique[16] = {1};
    const char *suffix;
    struct log_name name, again;
    int64_t offset;

    if (content.size_bytes >= sizeof(text))
        return;
    memcpy(text, content.data, content.size_bytes);
    text[content.size_bytes] = '\0';
    if (file_name_parse(text, &offset, &suffix))
        ASSERT(offset >= 0 && *suffix == '.');
    if (log_name_parse(content, &name) != OK || name.topic.size_bytes > 200 ||
        memchr(content.data, 0, content.size_bytes))
        return;
    log_name_make(name.topic, name.partition, name.kind, unique, made);
    ASSERT(log_name_parse(slice_from_text(made), &again) == OK);
    ASSERT(again.partition == name.partition && again.kind == name.kind);
    ASSERT(slice_equal(again.topic, name.topic));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice content;
    struct sim *sim;
    struct os *os;
    uint8_t *copy;

    if (size < 1)
        return 0;
    copy = malloc(size);
    ASSERT(copy);
    memcpy(copy, data + 1, size - 1); /* its end is the end of the memory */
    content = slice_of(copy, size - 1);
    ASSERT(sim_create(1, NULL, &sim) == OK);
    ASSERT(sim_machine_create(sim, "node", &os) == OK);
    ASSERT(os_make_directory(os, "/d") == OK);
    switch (data[0] % 5) {
    case 0:
        marker_check(os, content);
        break;
    case 1:
        partition_metadata_check(os, content);
        break;
    case 2:
        meta_properties_check(os, content);
        break;
    case 3:
        transaction_index_check(os, content);
        break;
    default:
        names_check(content);
        break;
    }
    sim_release(&sim);
    free(copy);
    return 0;
}
