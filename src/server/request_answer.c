/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/request_answer.c: the bytes of an answer: encoded once, into memory of the shard that is used again, then
 * copied into a block of their size. Large records that were lent to the request are not copied: the answer
 * leaves as pieces between which they stand. docs/design/server.md §4, docs/design/fetch.md §7.
 * Threads  the home shard's.
 */
#include "server/request_internal.h"

#include "base/assert.h"

/* Records below it are copied: one more slice in the send costs as much. */
#define PIECE_BYTES_MIN (2 * KIB)
/* What the shared memory may keep between two answers. */
#define SCRATCH_BYTES_KEPT (256 * KIB)

/* One block: the struct, the pieces before the last, the bytes. The last piece is released last, and all with it. */
struct answer {
    struct output_piece last;
    struct request_loan *loan; /* NULL: nothing was lent */
    size_t block_bytes;
    size_t earlier_count;
    struct output_piece earlier[];
};

static void answer_release(struct output_piece *piece)
{
    struct answer *answer = CONTAINER_OF(piece, struct answer, last);
    struct request_loan *loan = answer->loan;

    heap_allocator.release(&heap_allocator, answer, answer->block_bytes);
    if (loan)
        loan->release(loan);
}

static void loan_end(struct request *request)
{
    struct request_loan *loan = TAKE(request->loan);

    if (loan)
        loan->release(loan);
}

void request_lend(struct request *request, struct request_loan *loan, size_t slices_max)
{
    ASSERT(!request->loan && !request->is_answered);
    request->loan = loan;
    request->loan_slices_max = slices_max;
}

/* Length, header and body into the service's scratch. */
static enum err scratch_fill(struct request *request, const void *response,
                             struct message_pieces *pieces)
{
    struct writer *scratch = &request->shard->requests->scratch;
    size_t size_bytes;

    writer_reset(scratch);
    writer_u32(scratch, 0);
    response_header_encode(request->api->key, request->header.api_version,
                           request->header.correlation_id, scratch);
    TRY(message_encode_pieces(request->api->response, request->header.api_version, response,
                              scratch, pieces));
    size_bytes = scratch->size_bytes + pieces->total_bytes;
    if (size_bytes > INT32_MAX)
        return ERR_TOO_LARGE;
    writer_patch_u32(scratch, 0, (uint32_t)(size_bytes - sizeof(uint32_t)));
    return writer_error(scratch);
}

/* The encoded bytes and what was lent, in order. */
static void pieces_fill(struct answer *answer, const struct message_pieces *pieces, uint8_t *bytes,
                        size_t size_bytes)
{
    size_t from = 0;

    for (size_t i = 0; i < pieces->count; i++) {
        size_t at = pieces->items[i].at_bytes;

        answer->earlier[2 * i] = (struct output_piece){.bytes = slice_of(bytes + from, at - from)};
        answer->earlier[2 * i + 1] = (struct output_piece){.bytes = pieces->items[i].bytes};
        from = at;
    }
    answer->last.bytes = slice_of(bytes + from, size_bytes - from);
    answer->last.release = answer_release;
}

static struct answer *answer_make(const struct request *request,
                                  const struct message_pieces *pieces)
{
    struct slice encoded = writer_slice(&request->shard->requests->scratch);
    size_t earlier_count = 2 * pieces->count;
    size_t head_bytes = sizeof(struct answer) + earlier_count * sizeof(struct output_piece);
    struct answer *answer =
        heap_allocator.allocate(&heap_allocator, head_bytes + encoded.size_bytes);
    uint8_t *bytes;

    if (!answer)
        return NULL;
    bytes = (uint8_t *)answer + head_bytes;
    *answer = (struct answer){.block_bytes = head_bytes + encoded.size_bytes,
                              .earlier_count = earlier_count};
    memcpy(bytes, encoded.data, encoded.size_bytes);
    pieces_fill(answer, pieces, bytes, encoded.size_bytes);
    return answer;
}

enum err request_encode(struct request *request, const void *response)
{
    struct writer *scratch = &request->shard->requests->scratch;
    struct message_pieces pieces = {.least_bytes = PIECE_BYTES_MIN};
    struct answer *answer = NULL;
    enum err err;

    if (request->loan) {
        pieces.items = ARENA_ARRAY(&request->arena, struct message_piece, request->loan_slices_max);
        pieces.capacity = pieces.items ? request->loan_slices_max : 0;
    }
    err = scratch_fill(request, response, &pieces);
    if (err == OK) {
        answer = answer_make(request, &pieces);
        err = answer ? OK : ERR_NO_MEMORY;
    }
    if (scratch->capacity_bytes > SCRATCH_BYTES_KEPT)
        writer_release(scratch);
    if (answer && pieces.count > 0)
        answer->loan = TAKE(request->loan);
    loan_end(request); /* all of it was copied, or it is no answer */
    request->answer = answer;
    return err;
}

void request_send(struct request *request)
{
    struct answer *answer = TAKE(request->answer);
    struct connection *connection = connection_of_user(request->session);

    if (!answer)
        return;
    for (size_t i = 0; i < answer->earlier_count; i++)
        connection_send(connection, &answer->earlier[i]);
    connection_send(connection, &answer->last);
}

void request_answer_drop(struct request *request)
{
    struct answer *answer = TAKE(request->answer);

    if (answer)
        answer_release(&answer->last);
    loan_end(request);
}
