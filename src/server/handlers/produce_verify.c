/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/produce_verify.c: a batch that opens a transaction on a partition is written when
 * the transaction's coordinator has the partition in it. docs/design/transactions.md §3; KIP-890,
 * transactions.md §7 of the reference.
 *
 * Order       While a batch waits, later ones of the same producer for the partition queue behind it
 *             (part->behind); other producers pass. Then all of them go to the front of the
 *             partition's queue, in order.
 * The guard   taken before the question and shown to the log with the append: an end marker that came
 *             in between has made it worthless, and nothing is written.
 */
#include "server/handlers/produce_internal.h"

#include "base/assert.h"
#include "base/bug.h"
#include "server/transaction_check.h"

static struct produce_part *verifying_find(const struct hosted *hosted, int64_t producer_id)
{
    LIST_EACH (node, &hosted->verifying) {
        struct produce_part *part = LIST_ITEM(node, struct produce_part, queue_node);

        if (part->check->producer_id == producer_id)
            return part;
    }
    return NULL;
}

static bool is_transient(enum err err)
{
    return err == ERR_NETWORK_EXCEPTION || err == ERR_COORDINATOR_LOAD_IN_PROGRESS ||
           err == ERR_COORDINATOR_NOT_AVAILABLE || err == ERR_NOT_COORDINATOR;
}

/* In words that every producer retries where a retry helps: NOT_ENOUGH_REPLICAS makes it look for no
 * other leader. Whoever knows of implicit additions knows CONCURRENT_TRANSACTIONS, too. */
static void part_refuse(struct produce_part *part, enum err err)
{
    enum transaction_class asked =
        transaction_class_of_produce(part->state->request->header.api_version);

    if (err == ERR_INVALID_TXN_STATE) {
        produce_failure_of(part)->message = SLICE("Partition was not added to the transaction");
    } else if (is_transient(err) ||
               (err == ERR_CONCURRENT_TRANSACTIONS && asked != TRANSACTION_CLASS_ADD)) {
        struct produce_failure *failure = produce_failure_of(part);

        (void)why_set(&failure->why, err,
                      "Unable to verify the partition has been added to the transaction. "
                      "Underlying error: %s",
                      err_name(err));
        failure->message = slice_from_text(failure->why.text);
        err = ERR_NOT_ENOUGH_REPLICAS;
    }
    produce_part_refuse(part, err);
}

static void verified(struct transaction_check *check)
{
    struct produce_part *part = check->context;
    struct hosted *hosted = hosted_of(part->partition);
    enum err err = check->err;
    struct list_node queue;

    part->check = NULL;
    SERVER_DELETE(check);
    list_remove(&part->queue_node);
    list_init(&queue);
    if (err == OK) {
        part->is_verified = true;
        list_push_back(&queue, &part->queue_node);
    }
    list_splice_back(&queue, &part->behind);
    list_splice_back(&queue, &hosted->produce_queue);
    list_splice_back(&hosted->produce_queue, &queue);
    partition_use(&hosted->partition);
    if (err != OK)
        part_refuse(part, err);
    produce_queue_run(hosted);
    partition_unuse(&hosted->partition);
}

static void part_ask(struct produce_part *part, const struct batch_header *header,
                     enum transaction_class asked)
{
    struct transaction_check *check = SERVER_NEW(struct transaction_check);
    const struct request *request = part->state->request;
    const struct produce_request *body = request->body;

    *check = (struct transaction_check){
        .transactional_id = body->transactional_id,
        .producer_id = header->producer_id,
        .producer_epoch = header->producer_epoch,
        .asked = asked,
        .partition = {part->partition->topic, part->partition->index},
        .retries = true,
        .done = verified,
        .context = part,
    };
    part->check = check;
    list_init(&part->behind);
    list_push_back(&hosted_of(part->partition)->verifying, &part->queue_node);
    transaction_check_submit(part->partition->shard, check);
}

bool produce_verify(struct produce_part *part, const struct batch_header *header)
{
    struct partition *partition = part->partition;
    const struct config *config = partition->shard->publication->config;
    enum transaction_class asked =
        transaction_class_of_produce(part->state->request->header.api_version);
    struct produce_part *before;
    enum err err;

    if (!batch_has_producer(header))
        return false;
    before = verifying_find(hosted_of(partition), header->producer_id);
    if (before) {
        list_push_back(&before->behind, &part->queue_node);
        return true;
    }
    if (!batch_is_transactional(header))
        return false;
    if (BUG_IS(transaction_not_verified) && asked != TRANSACTION_CLASS_ADD)
        return false;
    part->guard_required = config_boolean(config, BROKER_TRANSACTION_PARTITION_VERIFICATION_ENABLE);
    if (!transaction_class_asks(asked, config))
        return false;
    err = producer_verification_begin(log_producers(partition->log), header->producer_id,
                                      header->producer_epoch, header->base_sequence,
                                      asked == TRANSACTION_CLASS_ADD,
                                      reactor_wall_ms(partition->shard->reactor), &part->guard);
    if (err != OK) {
        part_refuse(part, err);
        return true;
    }
    if (part->guard == 0)
        return false; /* its transaction is open here */
    part_ask(part, header, asked);
    return true;
}
