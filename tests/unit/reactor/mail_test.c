/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bench.h"

/* ---- on a machine whose time stands ---- */

struct fixture {
    struct bench bench;
    struct reactor *a;
    struct reactor *b;
    char trace[64];
    size_t traced;
    int dropped_count;
};

struct letter {
    struct mail mail;
    struct fixture *fixture;
    char sign;
    struct letter *reply; /* sent from inside to the receiver itself */
};

static void letter_deliver(struct mail *mail, struct reactor *to)
{
    struct letter *letter = CONTAINER_OF(mail, struct letter, mail);

    letter->fixture->trace[letter->fixture->traced++] = letter->sign;
    if (letter->reply)
        reactor_send(to, to, &letter->reply->mail);
}

static void letter_drop(struct mail *mail)
{
    CONTAINER_OF(mail, struct letter, mail)->fixture->dropped_count++;
}

static struct mail *letter_init(struct letter *letter, struct fixture *fixture, char sign)
{
    *letter = (struct letter){.fixture = fixture, .sign = sign};
    letter->mail.deliver = letter_deliver;
    letter->mail.drop = letter_drop;
    letter->mail.control = sign >= 'A' && sign <= 'Z';
    return &letter->mail;
}

static int set_up(void **state)
{
    static struct fixture fixture;

    fixture = (struct fixture){0};
    bench_init(&fixture.bench);
    fixture.a = bench_reactor(&fixture.bench, 0);
    fixture.b = bench_reactor(&fixture.bench, 1);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    reactor_release(&fixture->a);
    reactor_release(&fixture->b);
    return 0;
}

static void control_mail_comes_before_data_and_each_in_order(void **state)
{
    static const char signs[] = "aAbBc";
    struct fixture *fixture = *state;
    struct letter letters[5];

    for (size_t i = 0; i < ARRAY_COUNT(letters); i++)
        reactor_send(fixture->a, fixture->b, letter_init(&letters[i], fixture, signs[i]));
    assert_true(reactor_turn(fixture->b));
    assert_string_equal(fixture->trace, "ABabc");
    assert_false(reactor_turn(fixture->b));
}

static void mail_to_oneself_is_delivered_in_a_later_turn(void **state)
{
    struct fixture *fixture = *state;
    struct letter first;
    struct letter second;

    letter_init(&second, fixture, 'b');
    reactor_send(fixture->a, fixture->a, letter_init(&first, fixture, 'a'));
    first.reply = &second;
    reactor_turn(fixture->a);
    assert_string_equal(fixture->trace, "a");
    assert_true(bench_port(fixture->a)->deadline_ns <= fixture->bench.now_ns);
    reactor_turn(fixture->a);
    assert_string_equal(fixture->trace, "ab");
}

static void undelivered_mail_is_dropped_with_its_receiver(void **state)
{
    struct fixture *fixture = *state;
    struct letter letters[3];

    for (size_t i = 0; i < ARRAY_COUNT(letters); i++)
        reactor_send(NULL, fixture->b, letter_init(&letters[i], fixture, 'a'));
    letters[2].mail.drop = NULL;
    reactor_release(&fixture->b);
    assert_int_equal(fixture->dropped_count, 2);
    assert_string_equal(fixture->trace, "");
}

struct burst {
    struct deferred deferred;
    struct fixture *fixture;
    struct letter letters[10];
    int wakes_inside;
};

static void burst_run(struct deferred *deferred)
{
    struct burst *burst = CONTAINER_OF(deferred, struct burst, deferred);

    for (size_t i = 0; i < ARRAY_COUNT(burst->letters); i++)
        reactor_send(burst->fixture->a, burst->fixture->b,
                     letter_init(&burst->letters[i], burst->fixture, 'a'));
    burst->wakes_inside = bench_port(burst->fixture->b)->wake_count;
}

static void the_mail_of_one_turn_wakes_its_receiver_once_at_the_end(void **state)
{
    struct fixture *fixture = *state;
    struct burst burst = {.fixture = fixture};

    deferred_init(&burst.deferred, burst_run);
    reactor_defer(fixture->a, &burst.deferred);
    reactor_turn(fixture->a);
    assert_int_equal(burst.wakes_inside, 0);
    assert_int_equal(bench_port(fixture->b)->wake_count, 1);
    reactor_turn(fixture->b);
    assert_string_equal(fixture->trace, "aaaaaaaaaa");
}

static void mail_from_outside_of_a_turn_wakes_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct letter letters[2];

    reactor_send(NULL, fixture->b, letter_init(&letters[0], fixture, 'a'));
    assert_int_equal(bench_port(fixture->b)->wake_count, 1);
    reactor_send(fixture->a, fixture->b, letter_init(&letters[1], fixture, 'b'));
    assert_int_equal(bench_port(fixture->b)->wake_count, 2);
    reactor_turn(fixture->b);
    assert_string_equal(fixture->trace, "ab");
}

/* ---- on the real machine, with threads ---- */

#define MESSAGES 100000
#define WINDOW 64

struct shard {
    struct reactor *reactor;
    struct shard *peer;
    struct os_thread *thread;
    int64_t expected; /* of the peer's next message */
    int64_t next;     /* our own next number */
    int64_t answered;
    bool is_in_order;
};

struct message {
    struct mail mail;
    struct shard *from;
    struct shard *to;
    int64_t number;
};

static void message_answered(struct mail *mail, struct reactor *at);

static void shard_send(struct shard *shard)
{
    struct message *message = ALLOCATOR_NEW(&heap_allocator, struct message);

    ASSERT(message != NULL);
    message->from = shard;
    message->to = shard->peer;
    message->number = shard->next++;
    message->mail.deliver = message_answered;
    reactor_send(shard->reactor, shard->peer->reactor, &message->mail);
}

/* Ends the reactor that it comes to; the last mail on its way. */
static void stop_deliver(struct mail *mail, struct reactor *at)
{
    UNUSED(mail);
    reactor_stop(at);
}

/* First at the receiver, then, as its own answer, back at the sender. */
static void message_answered(struct mail *mail, struct reactor *at)
{
    struct message *message = CONTAINER_OF(mail, struct message, mail);
    struct shard *from = message->from;

    if (at == message->to->reactor) {
        if (message->number != message->to->expected++)
            message->to->is_in_order = false;
        message->mail.control = true;
        reactor_send(at, from->reactor, &message->mail);
        return;
    }
    ALLOCATOR_DELETE(&heap_allocator, message);
    from->answered++;
    if (from->next < MESSAGES)
        shard_send(from);
}

static void start_deliver(struct mail *mail, struct reactor *at)
{
    struct shard *shard = ((struct message *)(void *)mail)->to;

    UNUSED(at);
    for (int i = 0; i < WINDOW; i++)
        shard_send(shard);
}

/* Looks at the end of each turn in which something came whether all is done. */
static void shard_run(void *context)
{
    struct shard *shard = context;

    reactor_run(shard->reactor);
}

struct watch {
    struct timer timer;
    struct shard *shard;
};

static void watch_fire(struct timer *timer)
{
    struct watch *watch = CONTAINER_OF(timer, struct watch, timer);
    struct shard *shard = watch->shard;

    if (shard->answered == MESSAGES && shard->expected == MESSAGES)
        reactor_stop(shard->reactor);
    else
        timer_set(shard->reactor, timer, reactor_now_ms(shard->reactor) + 1);
}

static void two_threads_exchange_many_messages_in_order(void **state)
{
    struct os *os;
    struct shard shards[2] = {{.is_in_order = true}, {.is_in_order = true}};
    struct message starts[2] = {{.to = &shards[0]}, {.to = &shards[1]}};
    struct watch watches[2];

    UNUSED(state);
    assert_int_equal(os_real_create(NULL, &os), OK);
    for (int i = 0; i < 2; i++) {
        shards[i].peer = &shards[1 - i];
        assert_int_equal(reactor_create(os, i, 1, NULL, &shards[i].reactor), OK);
        watches[i].shard = &shards[i];
        timer_init(&watches[i].timer, watch_fire);
        timer_set(shards[i].reactor, &watches[i].timer, reactor_now_ms(shards[i].reactor));
    }
    for (int i = 0; i < 2; i++) {
        starts[i].mail.deliver = start_deliver;
        assert_int_equal(os_thread_start(os, "shard", shard_run, &shards[i], &shards[i].thread),
                         OK);
        reactor_send(NULL, shards[i].reactor, &starts[i].mail);
    }
    for (int i = 0; i < 2; i++)
        os_thread_join(&shards[i].thread);
    for (int i = 0; i < 2; i++) {
        assert_true(shards[i].is_in_order);
        assert_int_equal(shards[i].expected, MESSAGES);
        assert_int_equal(shards[i].answered, MESSAGES);
        reactor_release(&shards[i].reactor);
    }
    os_release(&os);
}

#define SENDERS 3

struct sender {
    struct reactor *to;
    struct os_thread *thread;
    struct message *messages;
    int64_t *expected; /* the receiver's */
    bool *is_in_order;
};

static void counted_deliver(struct mail *mail, struct reactor *at)
{
    struct message *message = CONTAINER_OF(mail, struct message, mail);
    struct sender *sender = (struct sender *)(void *)message->from;

    UNUSED(at);
    if (message->number != (*sender->expected)++)
        *sender->is_in_order = false;
}

static void sender_run(void *context)
{
    struct sender *sender = context;

    for (int64_t i = 0; i < MESSAGES; i++) {
        sender->messages[i] = (struct message){.from = (struct shard *)(void *)sender, .number = i};
        sender->messages[i].mail.deliver = counted_deliver;
        reactor_send(NULL, sender->to, &sender->messages[i].mail);
    }
}

/* A reactor that only sleeps between mails: a lost wake would hang here. */
static void foreign_threads_never_lose_a_wake(void **state)
{
    struct os *os;
    struct shard shard = {0};
    struct sender senders[SENDERS];
    int64_t expected[SENDERS] = {0};
    bool is_in_order = true;
    struct mail stop = {.deliver = stop_deliver};

    UNUSED(state);
    assert_int_equal(os_real_create(NULL, &os), OK);
    assert_int_equal(reactor_create(os, 0, 1, NULL, &shard.reactor), OK);
    assert_int_equal(os_thread_start(os, "shard", shard_run, &shard, &shard.thread), OK);
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.to = shard.reactor,
                                     .messages = calloc(MESSAGES, sizeof(struct message)),
                                     .expected = &expected[i],
                                     .is_in_order = &is_in_order};
        assert_non_null(senders[i].messages);
        assert_int_equal(os_thread_start(os, "sender", sender_run, &senders[i], &senders[i].thread),
                         OK);
    }
    for (int i = 0; i < SENDERS; i++)
        os_thread_join(&senders[i].thread);
    reactor_send(NULL, shard.reactor, &stop);
    os_thread_join(&shard.thread);
    assert_true(is_in_order);
    for (int i = 0; i < SENDERS; i++) {
        assert_int_equal(expected[i], MESSAGES);
        free(senders[i].messages);
    }
    reactor_release(&shard.reactor);
    os_release(&os);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(control_mail_comes_before_data_and_each_in_order),
        TEST(mail_to_oneself_is_delivered_in_a_later_turn),
        TEST(undelivered_mail_is_dropped_with_its_receiver),
        TEST(the_mail_of_one_turn_wakes_its_receiver_once_at_the_end),
        TEST(mail_from_outside_of_a_turn_wakes_at_once),
        cmocka_unit_test(two_threads_exchange_many_messages_in_order),
        cmocka_unit_test(foreign_threads_never_lose_a_wake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
