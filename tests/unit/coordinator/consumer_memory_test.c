/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation fails once, at each place, while a group goes from the classic protocol to the consumer protocol and
 * back: the call tells so, and what is left is released whole.
 */
#include "consumer_support.h"

#define fixture_start consumer_start /* the frame's fixtures have topics and a group version */
#include "memory_frame.h"
#undef fixture_start

static const char *const topics[] = {"t2", NULL};

static void scenario(struct fixture *f)
{
    struct join join = {.topics = topics};
    struct join_group_response *response;
    char member[80];

    response = fixture_reply(f, send_join(f, join));
    if (!response)
        return;
    snprintf(member, sizeof member, "%.*s", SLICE_ARGS(response->member_id));
    join.member = member;
    send_join(f, join);
    fixture_advance(f, 3000);
    send_sync(f, (struct sync){.member = member, .generation = 1});
    if (f->failure != OK)
        return;
    beat_send(f, (struct beat){.member = "b", .topics = "t2"}); /* upgrades */
    fixture_tick(f);
    if (f->failure != OK)
        return;
    send_join(f, join);
    send_sync(f, (struct sync){.member = member, .generation = 2});
    beat_send(f, (struct beat){.member = "c", .topics = "t2,t4", .instance = "i"});
    if (f->failure != OK)
        return;
    beat_send(f, (struct beat){.member = "b", .epoch = -1});
    join.member = NULL;
    join.instance = "i";
    response = fixture_reply(f, send_join(f, join)); /* takes the last one's place: downgrades */
    fixture_tick(f);
    UNUSED(response);
}

static void check(struct fixture *f)
{
    assert_non_null(group_classic(group_find(f->coordinator, text("g")))); /* it came to its end */
}

static void release(struct fixture *fixture)
{
    group_coordinator_release(&fixture->coordinator);
}

static void running_out_of_memory_between_the_protocols_leaves_nothing_behind(void **state)
{
    UNUSED(state);
    assert_true(memory_frame_run_all(&(struct memory_frame){scenario, release, check}) > 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(running_out_of_memory_between_the_protocols_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
