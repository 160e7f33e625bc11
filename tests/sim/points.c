/* SPDX-License-Identifier: Apache-2.0 */
#include "points.h"

#include "base/assert.h"
#include "base/fmt.h"

#include <string.h>

/* One world at a time is alive in a process. */
static struct points {
    uint64_t on;
    uint32_t one_in[FAULT_POINT_COUNT];
    uint64_t struck[FAULT_POINT_COUNT];
    struct random random[FAULT_POINT_COUNT];
} points;

static const struct point_text {
    const char *area, *name, *text;
} texts[FAULT_POINT_COUNT] = {
#define X(area, name, text) {#area, #name, text},
    FAULT_POINT_LIST(X)
#undef X
};

#ifdef BARNABAS_FAULT_POINTS
static bool decide(void *context, enum fault_point point)
{
    UNUSED(context);
    if (!(points.on >> point & 1) || !random_chance(&points.random[point], 1, points.one_in[point]))
        return false;
    points.struck[point]++;
    return true;
}

void points_begin(struct sim *sim, uint64_t without)
{
    static const uint32_t odds[] = {2, 5, 20, 100};
    struct random random;
    bool any;

    points = (struct points){0};
    sim_random_init(sim, &random, "fault points");
    any = random_chance(&random, 3, 4);
    for (int i = 0; i < FAULT_POINT_COUNT; i++) {
        char stream[64];

        fmt(stream, sizeof stream, "fault point %s", texts[i].name);
        sim_random_init(sim, &points.random[i], stream);
        points.one_in[i] = odds[random_below(&random, ARRAY_COUNT(odds))];
        if (random_chance(&random, 1, 4) && any && !(without >> i & 1))
            points.on |= (uint64_t)1 << i;
    }
    fault_points_install(decide, NULL);
}

void points_end(void)
{
    fault_points_install(NULL, NULL);
}
#else
void points_begin(struct sim *sim, uint64_t without)
{
    UNUSED(sim);
    UNUSED(without);
}

void points_end(void)
{
}
#endif

uint64_t points_on(void)
{
    return points.on;
}

uint64_t points_struck(int point)
{
    return points.struck[point];
}

const char *points_name(int point)
{
    return texts[point].name;
}

const char *points_area(int point)
{
    return texts[point].area;
}

static int point_find(const char *name, size_t length)
{
    for (int i = 0; i < FAULT_POINT_COUNT; i++)
        if (strlen(texts[i].name) == length && memcmp(texts[i].name, name, length) == 0)
            return i;
    return -1;
}

bool points_parse(const char *names, uint64_t *set_out)
{
    bool is_good = true;

    *set_out = strcmp(names, "all") == 0 ? UINT64_MAX : 0;
    while (*names && *set_out != UINT64_MAX) {
        size_t length = strcspn(names, ",");
        int point = point_find(names, length);

        is_good = is_good && point >= 0;
        if (point >= 0)
            *set_out |= (uint64_t)1 << point;
        names += length + (names[length] == ',');
    }
    return is_good;
}

void points_describe(FILE *out)
{
    bool is_first = true;

    for (int i = 0; i < FAULT_POINT_COUNT; i++) {
        if (!(points.on >> i & 1))
            continue;
        fprintf(out, "%s%s 1 in %u (struck %llu)", is_first ? "  fault points: " : ", ",
                texts[i].name, points.one_in[i], (unsigned long long)points.struck[i]);
        is_first = false;
    }
    if (!is_first)
        fputc('\n', out);
}
