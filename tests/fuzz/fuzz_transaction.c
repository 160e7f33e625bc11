/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of __transaction_state as a disk may hold them, and then requests, outcomes of markers and
 * time: whatever was loaded, the coordinator goes on. The first byte says how many records there are;
 * each is a byte of key length, the key, a byte of value length (255: null), the value.
 */
#include "base/assert.h"
#include "coordinator/transaction.h"
#include "protocol/generated/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct shell {
    struct transaction_coordinator *coordinator;
    struct coordinator_moment moment;
    struct arena arena;
    struct cursor input;
    int64_t end_offset;
    int64_t producer_id;
    uint64_t token;
    uint64_t tickets[64];
    size_t ticket_partitions[64];
    size_t ticket_count;
};

static uint8_t byte(struct shell *shell)
{
    uint8_t value = 0;

    return cursor_u8(&shell->input, &value) == OK ? value : 0;
}

static enum err producer_id_take(void *context, int64_t *out)
{
    struct shell *shell = context;

    *out = shell->producer_id++;
    return shell->producer_id % 5 ? OK : ERR_COORDINATOR_LOAD_IN_PROGRESS;
}

static struct slice bytes(struct shell *shell, size_t length)
{
    struct slice out = SLICE_EMPTY;

    (void)!cursor_bytes(&shell->input, MIN(length, cursor_left(&shell->input)), &out);
    return out;
}

static void settle(struct shell *shell, struct coordinator_effects *effects)
{
    uint64_t write = effects->write;
    uint8_t fate = write != 0 ? byte(shell) : 0;

    for (size_t i = 0; i < effects->marker_count && shell->ticket_count < 64; i++) {
        shell->tickets[shell->ticket_count] = effects->markers[i].ticket;
        shell->ticket_partitions[shell->ticket_count++] = effects->markers[i].partition_count;
    }
    if (write == 0)
        return;
    if (fate % 8 != 7)
        for (size_t i = 0; i < effects->record_count; i++)
            ASSERT(transaction_coordinator_replay(shell->coordinator, &effects->records[i],
                                                  shell->end_offset++, NULL) == OK);
    if (fate % 8 < 6)
        transaction_coordinator_committed(shell->coordinator, shell->end_offset);
    coordinator_effects_init(effects, &shell->arena);
    ASSERT(transaction_coordinator_write_ended(shell->coordinator, write,
                                               fate % 8 < 6    ? OK
                                               : fate % 8 == 6 ? ERR_REQUEST_TIMED_OUT
                                                               : ERR_NOT_ENOUGH_REPLICAS,
                                               &shell->moment, effects) == OK);
    settle(shell, effects);
}

static void handle(struct shell *shell, int16_t key, int16_t version, const void *body)
{
    struct coordinator_request request = {key,        version,   body, ++shell->token,
                                          SLICE("c"), SLICE("/")};
    struct coordinator_effects effects;

    coordinator_effects_init(&effects, &shell->arena);
    ASSERT(transaction_coordinator_handle(shell->coordinator, &request, &shell->moment, &effects) ==
           OK);
    settle(shell, &effects);
}

struct known {
    struct slice id;
    int64_t producer_id;
    int16_t epoch;
    int skip;
};

static void known_take(void *context, const struct transaction_view *view)
{
    struct known *known = context;

    if (known->skip-- >= 0) {
        known->id = view->transactional_id;
        known->producer_id = view->producer_id;
        known->epoch = view->producer_epoch;
    }
}

static void request_step(struct shell *shell, uint8_t what)
{
    struct known known = {SLICE("x"), 0, 0, byte(shell) % 4};
    int16_t epoch;

    transaction_coordinator_each(shell->coordinator, known_take, &known);
    known.id = arena_copy(&shell->arena, known.id); /* views end with the call */
    epoch = (int16_t)(known.epoch - (what & 8 ? 1 : 0));
    if (what % 4 == 0) {
        struct init_producer_id_request request;

        init_producer_id_request_init(&request);
        request.transactional_id = known.id;
        request.transaction_timeout_ms = 1000;
        request.producer_id = what & 16 ? known.producer_id : -1;
        request.producer_epoch = what & 16 ? epoch : -1;
        handle(shell, API_INIT_PRODUCER_ID, 5, &request);
    } else if (what % 4 == 1) {
        struct coordinator_partition partition = {what & 16 ? SLICE("t") : SLICE("u"), what >> 5};
        struct transaction_add add = {
            known.id, known.producer_id, epoch, false, (what & 32) ? 2 : 0, &partition, 1};

        handle(shell, API_ADD_PARTITIONS_TO_TXN, 4, &add);
    } else if (what % 4 == 2) {
        struct end_txn_request request = {known.id, known.producer_id, epoch, what & 16};

        handle(shell, API_END_TXN, what & 32 ? 5 : 4, &request);
    } else {
        handle(shell, API_DESCRIBE_TRANSACTIONS, 0, &known.id);
    }
}

static void tick(struct shell *shell)
{
    for (int i = 0; i < 1000 &&
                    transaction_coordinator_deadline_ms(shell->coordinator) <= shell->moment.now_ms;
         i++) {
        struct coordinator_effects effects;

        coordinator_effects_init(&effects, &shell->arena);
        ASSERT(transaction_coordinator_tick(shell->coordinator, &shell->moment, &effects) == OK);
        settle(shell, &effects);
    }
}

static void marker_step(struct shell *shell)
{
    static const enum err errs[] = {OK, OK, ERR_NOT_LEADER_OR_FOLLOWER,
                                    ERR_TRANSACTION_COORDINATOR_FENCED};
    struct coordinator_effects effects;
    size_t at;

    if (shell->ticket_count == 0)
        return;
    at = byte(shell) % shell->ticket_count;
    coordinator_effects_init(&effects, &shell->arena);
    ASSERT(transaction_coordinator_marked(shell->coordinator, shell->tickets[at],
                                          byte(shell) % shell->ticket_partitions[at],
                                          errs[byte(shell) % 4], &shell->moment, &effects) == OK);
    settle(shell, &effects);
}

static void metadata_make(struct metadata_image **image)
{
    struct topic_record topic = {.name = SLICE("t"), .topic_id = {{1}}};
    struct feature_level_record levels[] = {{SLICE("metadata.version"), 29},
                                            {SLICE(FEATURE_TRANSACTION_VERSION), 2}};
    struct metadata_state *state;

    ASSERT(metadata_state_create(&heap_allocator, NULL, &state) == OK);
    for (size_t i = 0; i < 2; i++) {
        struct metadata_record record = {metadata_record_type(feature_level_record_type.key), 0,
                                         &levels[i]};

        ASSERT(metadata_state_replay(state, &record, (int64_t)i, NULL) == OK);
    }
    ASSERT(metadata_state_replay(
               state,
               &(struct metadata_record){metadata_record_type(topic_record_type.key), 0, &topic}, 2,
               NULL) == OK);
    for (int32_t i = 0; i < 4; i++) {
        int32_t replica = 1;
        struct partition_record partition;

        message_init(&partition_record_type, &partition);
        partition.partition_id = i;
        partition.topic_id = topic.topic_id;
        partition.replicas = partition.isr = &replica;
        partition.replicas_count = partition.isr_count = 1;
        partition.leader = 1;
        partition.leader_epoch = partition.partition_epoch = 0;
        ASSERT(metadata_state_replay(
                   state,
                   &(struct metadata_record){metadata_record_type(partition_record_type.key), 0,
                                             &partition},
                   3 + i, NULL) == OK);
    }
    ASSERT(metadata_state_publish(state, image) == OK);
    metadata_state_release(&state);
}

static enum err records_load(struct shell *shell)
{
    for (int count = byte(shell) % 32; count > 0; count--) {
        struct coordinator_record record;
        uint8_t length;
        enum err err;

        record.key = bytes(shell, byte(shell));
        length = byte(shell);
        record.value = length == 255 ? SLICE_NULL : bytes(shell, length);
        err =
            transaction_coordinator_replay(shell->coordinator, &record, shell->end_offset++, NULL);
        if (err != OK)
            return err;
    }
    return OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct shell shell = {.input = cursor_of(slice_of(data, size)), .producer_id = 1000};
    struct coordinator_effects effects;
    struct transaction_options options;
    struct metadata_image *image = NULL;

    arena_init(&shell.arena, &heap_allocator, SIZE_MAX);
    metadata_make(&image);
    shell.moment = (struct coordinator_moment){.now_ms = 1000,
                                               .wall_ms = INT64_C(1700000000000),
                                               .image = image,
                                               .producer_id_take = producer_id_take,
                                               .producer_id_context = &shell};
    transaction_options_init(&options);
    ASSERT(transaction_coordinator_create(&heap_allocator, &options, 1, NULL, &shell.coordinator) ==
           OK);
    if (records_load(&shell) == OK) {
        transaction_coordinator_committed(shell.coordinator, byte(&shell) % 32);
        coordinator_effects_init(&effects, &shell.arena);
        ASSERT(transaction_coordinator_loaded(shell.coordinator, &shell.moment, &effects) == OK);
        while (cursor_left(&shell.input) > 0) {
            uint8_t what = byte(&shell);

            if (what < 128)
                request_step(&shell, what);
            else if (what < 192)
                marker_step(&shell);
            else if (what < 224)
                transaction_coordinator_committed(shell.coordinator, shell.end_offset);
            else {
                shell.moment.now_ms += what == 255 ? 604800000 : (what - 223) * 700;
                shell.moment.wall_ms += what == 255 ? 604800000 : (what - 223) * 700;
            }
            tick(&shell);
        }
    }
    transaction_coordinator_release(&shell.coordinator);
    metadata_image_release(&image);
    arena_release(&shell.arena);
    return 0;
}
