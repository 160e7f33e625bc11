/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chaos/lossy_control.c: the control page of the lossy disk: which calls fail, wait or kill.
 */
#include "lossy_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static int64_t *page;
static uint64_t random_state;

void control_begin(const char *path)
{
    int fd = real.open(path, O_RDWR | O_CLOEXEC);

    page =
        fd < 0 ? MAP_FAILED : mmap(NULL, CONTROL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED || page[CONTROL_MAGIC] != CONTROL_MAGIC_VALUE) {
        fprintf(stderr, "lossy disk: %s is no control page\n", path);
        abort();
    }
    real.close(fd);
    random_state = (uint64_t)page[CONTROL_SEED] ^ (uint64_t)getpid() * 0x9e3779b97f4a7c15u;
}

int64_t control_get(enum control field)
{
    return __atomic_load_n(&page[field], __ATOMIC_RELAXED);
}

int64_t control_add(enum control field, int64_t amount)
{
    return __atomic_fetch_add(&page[field], amount, __ATOMIC_RELAXED);
}

bool control_matches(const char *path)
{
    char text[CONTROL_MATCH_BYTES];

    memcpy(text, &page[CONTROL_COUNT], sizeof text);
    text[sizeof text - 1] = 0;
    return strstr(path, text) != NULL;
}

bool control_strikes(enum control skip, enum control count, const char *path)
{
    if (control_get(count) <= 0 || !control_matches(path))
        return false;
    if (control_get(skip) > 0) {
        control_add(skip, -1);
        return false;
    }
    return control_add(count, -1) > 0;
}

bool control_name_fails(const char *path)
{
    if (!control_strikes(CONTROL_NAME_FAIL_SKIP, CONTROL_NAME_FAIL_COUNT, path))
        return false;
    control_add(CONTROL_NAMES_FAILED, 1);
    errno = EIO;
    return true;
}

bool control_read_fails(const char *path)
{
    if (!control_strikes(CONTROL_READ_FAIL_SKIP, CONTROL_READ_FAIL_COUNT, path))
        return false;
    control_add(CONTROL_READS_FAILED, 1);
    errno = EIO;
    return true;
}

uint64_t control_random(uint64_t below)
{
    random_state += 0x9e3779b97f4a7c15u; /* splitmix64 */
    uint64_t mixed = random_state;

    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return (mixed ^ mixed >> 31) % below;
}

void control_pause_us(int64_t microseconds)
{
    struct timespec pause = {microseconds / 1000000, microseconds % 1000000 * 1000};

    if (microseconds > 0)
        nanosleep(&pause, NULL);
}

bool control_is_last_call(void)
{
    return control_get(CONTROL_KILL_AFTER) > 0 && control_add(CONTROL_KILL_AFTER, -1) == 1;
}

void control_die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}
