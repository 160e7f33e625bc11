/* SPDX-License-Identifier: Apache-2.0 */
#include "assign_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/fmt.h"

#define ANSWER_BYTES ((size_t)1 << 20)

static struct uuid id_of(const char *hex)
{
    struct uuid id;

    for (int i = 0; i < 16; i++) {
        char byte[3] = {hex[2 * i], hex[2 * i + 1], 0};

        id.bytes[i] = (uint8_t)strtoul(byte, NULL, 16);
    }
    return id;
}

static int32_t number(const char *text)
{
    return (int32_t)strtol(text, NULL, 10);
}

static void topics_read(struct arena *arena, char *text, struct assign_input *input)
{
    struct assign_topic *topics = ARENA_ARRAY(arena, struct assign_topic, 4096);
    char *rest = NULL;

    input->topics = topics;
    if (strcmp(text, "-") == 0)
        return;
    for (char *item = strtok_r(text, ",", &rest); item; item = strtok_r(NULL, ",", &rest)) {
        topics[input->topic_count].id = id_of(item);
        topics[input->topic_count++].partition_count = number(strchr(item, '=') + 1);
    }
}

static void old_read(struct arena *arena, char *text, const struct assign_input *input,
                     struct assignment *old)
{
    struct topic_partitions *topics = ARENA_ARRAY(arena, struct topic_partitions, 4096);
    char *rest = NULL, *inner = NULL;

    old->topics = topics;
    if (strcmp(text, "-") == 0)
        return;
    for (char *item = strtok_r(text, "/", &rest); item; item = strtok_r(NULL, "/", &rest)) {
        struct topic_partitions *topic = &topics[old->count++];
        int32_t *partitions = ARENA_ARRAY(arena, int32_t, strlen(item) / 2 + 1);
        char *place = strtok_r(item, ":", &inner);

        topic->topic_id = input->topics[number(place)].id;
        topic->partitions = partitions;
        for (char *p = strtok_r(NULL, ".", &inner); p; p = strtok_r(NULL, ".", &inner))
            partitions[topic->count++] = number(p);
    }
}

static void member_read(struct arena *arena, char *text, const struct assign_input *input,
                        struct assign_member *member)
{
    char *fields[4], *rest = NULL, *inner = NULL;
    int32_t *topics = ARENA_ARRAY(arena, int32_t, 4096);

    for (int i = 0; i < 4; i++)
        fields[i] = strtok_r(i == 0 ? text : NULL, "=", &rest);
    member->member_id = slice_from_text(fields[0]);
    member->instance_id = strcmp(fields[1], "-") == 0 ? SLICE_NULL : slice_from_text(fields[1]);
    member->topics = topics;
    if (strcmp(fields[2], "-") != 0)
        for (char *t = strtok_r(fields[2], ".", &inner); t; t = strtok_r(NULL, ".", &inner))
            topics[member->topic_count++] = number(t);
    member->subscription_size = member->topic_count;
    old_read(arena, fields[3], input, &member->old);
}

static const char *answer_text(struct arena *arena, const struct assign_input *input,
                               const struct assignment *targets)
{
    char *buffer = arena_allocate(arena, ANSWER_BYTES);
    struct text out;

    text_init(&out, buffer, ANSWER_BYTES);
    for (int32_t i = 0; i < input->member_count; i++) {
        text_add(&out, "%s", i == 0 ? "" : " ");
        if (targets[i].count == 0)
            text_add(&out, "-");
        for (int32_t j = 0; j < targets[i].count; j++) {
            text_add(&out, "%s%d:", j == 0 ? "" : "/",
                     assign_topic_find(input, targets[i].topics[j].topic_id));
            for (int32_t k = 0; k < targets[i].topics[j].count; k++)
                text_add(&out, "%s%d", k == 0 ? "" : ".", targets[i].topics[j].partitions[k]);
        }
    }
    return buffer;
}

const char *assign_answer(struct arena *arena, const char *question)
{
    char *line = arena_format(arena, "%s", question), *rest = NULL;
    char **words = ARENA_ARRAY(arena, char *, strlen(question) / 2 + 2);
    struct assign_input input = {0};
    struct assign_member *members;
    struct assignment *targets = NULL;
    int count = 0;
    enum err err;

    for (char *word = strtok_r(line, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest))
        words[count++] = word;
    input.homogeneous = strcmp(words[1], "homogeneous") == 0;
    topics_read(arena, words[2], &input);
    input.member_count = count - 3;
    input.members = members = ARENA_ARRAY(arena, struct assign_member, (size_t)count);
    for (int i = 3; i < count; i++)
        member_read(arena, words[i], &input, &members[i - 3]);
    err = strcmp(words[0], "range") == 0 ? assign_range(&input, arena, &targets)
                                         : assign_uniform(&input, arena, &targets);
    return err == OK ? answer_text(arena, &input, targets) : err_name(err);
}
