/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chaos/lossy_disk.h: what the parts of the lossy disk share, and the two formats that tests/chaos/disk.py reads and
 * writes: the journal of what can still be lost, and the control page. docs/design/chaos.md.
 *
 * The library sits between a program and libc (LD_PRELOAD). For a test only; it keeps global state because
 * that is what stands behind a system call.
 */
#ifndef TESTS_CHAOS_LOSSY_DISK_H
#define TESTS_CHAOS_LOSSY_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* ---- the control page: LOSSY_CONTROL; 8-byte numbers that both sides change while the program runs ---- */
enum control {
    CONTROL_MAGIC,
    CONTROL_SEED,
    CONTROL_SYNC_FAIL_SKIP,  /* so many syncs pass … */
    CONTROL_SYNC_FAIL_COUNT, /* … and so many then fail with EIO */
    CONTROL_WRITE_FAIL_SKIP,
    CONTROL_WRITE_FAIL_COUNT,
    CONTROL_SPACE_LEFT,     /* bytes that files may still grow by; -1: no bound */
    CONTROL_SHORT_ONE_IN,   /* one write in so many is cut short; 0: none */
    CONTROL_SYNC_DELAY_MIN, /* microseconds */
    CONTROL_SYNC_DELAY_MAX,
    CONTROL_WRITE_DELAY_ONE_IN,
    CONTROL_WRITE_DELAY_MAX, /* microseconds */
    CONTROL_WALL_OFFSET_MS,  /* added to the wall clock */
    CONTROL_SYNC_LIES,  /* 1: a sync says OK and covers nothing; 2: and only those of directories */
    CONTROL_KILL_AFTER, /* calls that change the disk until SIGKILL in the middle of one; 0: never */
    CONTROL_SYNC_REAL,  /* 1: syncs reach the kernel too */
    CONTROL_NAME_FAIL_SKIP,
    CONTROL_NAME_FAIL_COUNT,
    CONTROL_READ_FAIL_SKIP,
    CONTROL_READ_FAIL_COUNT,
    /* Counted by the library. */
    CONTROL_WRITES,
    CONTROL_SYNCS,
    CONTROL_NAMES, /* creations, renames, removals */
    CONTROL_SYNCS_FAILED,
    CONTROL_WRITES_FAILED,
    CONTROL_WRITES_SHORT,
    CONTROL_NAMES_FAILED,
    CONTROL_READS_FAILED,
    CONTROL_COUNT
};
#define CONTROL_MAGIC_VALUE 0x3179737369646bLL
#define CONTROL_MATCH_BYTES 128 /* behind the numbers: only paths that hold this text fail */
#define CONTROL_BYTES (CONTROL_COUNT * 8 + CONTROL_MATCH_BYTES)

/* ---- the journal: LOSSY_JOURNAL/journal; appended before (names that come to be: after) the call ---- */
enum journal_kind {
    JOURNAL_START = 1,
    JOURNAL_WRITE,     /* a: offset, b: bytes, c: size before; data: what stood there */
    JOURNAL_TRUNCATE,  /* a: new size, c: size before; data: what is cut off */
    JOURNAL_SYNC_OK,   /* a: covers entries that begin before this position of the journal */
    JOURNAL_SYNC_FAIL, /* the same: lost for certain when the power goes */
    JOURNAL_CREATE,    /* a: directory; data: name */
    JOURNAL_MKDIR,
    JOURNAL_RENAME, /* a: directory, b: directory to, c: 1 when something was replaced; data: name NUL name */
    JOURNAL_UNLINK, /* a: directory, data: name */
    JOURNAL_RMDIR,
};
#define JOURNAL_MAGIC 0x4c4f5353u
struct journal_entry {
    uint32_t magic, kind;
    int64_t inode;
    int64_t a, b, c;
    int64_t data_bytes; /* follow */
};

/* What stood under a name that goes is linked to LOSSY_JOURNAL/kept/<position of its entry>, so that it can come
 * back and its inode's number is not given out anew meanwhile. */

/* ---- lossy_journal.c ---- */
void lossy_begin(void); /* before anything else; cheap when done */
bool lossy_is_on(void);
bool lossy_is_below(const char *path);
void lossy_lock(void);
void lossy_unlock(void);
/* Under the lock. Returns the entry's position. */
int64_t journal_append(enum journal_kind kind, int64_t inode, int64_t a, int64_t b, int64_t c,
                       const struct iovec *data, int data_count);
int64_t journal_position(void);
/* The path under which the content of an entry at the current position would be kept. */
void journal_kept_path(char *out, size_t capacity_bytes);

/* ---- lossy_disk.c ---- */
bool lossy_is_watched(int fd);

/* ---- lossy_control.c ---- */
void control_begin(const char *path);
int64_t control_get(enum control field);
int64_t control_add(enum control field, int64_t amount); /* the value before */
/* Has a bounded count left for this path? Takes one of it. */
bool control_strikes(enum control skip, enum control count, const char *path);
bool control_matches(const char *path);
uint64_t control_random(uint64_t below); /* under the lock */
void control_pause_us(int64_t microseconds);
/* The same for names and reads: counts, sets errno. */
bool control_name_fails(const char *path);
bool control_read_fails(const char *path);
/* Under the lock: is this the call in which the process shall die? */
bool control_is_last_call(void);
void control_die(void) __attribute__((noreturn));

/* ---- lossy_names.c ---- */
int64_t lossy_inode_at(const char *path); /* -1: nothing is there */
/* The directory's inode, and the last name of the path. */
int64_t lossy_parent_of(const char *path, struct iovec *name);

/* ---- the calls behind ours ---- */
struct real_calls {
    int (*open)(const char *path, int flags, ...);
    int (*close)(int fd);
    ssize_t (*pread)(int fd, void *buffer, size_t bytes, off_t position);
    ssize_t (*preadv2)(int fd, const struct iovec *vectors, int count, off_t position, int flags);
    ssize_t (*write)(int fd, const void *data, size_t bytes);
    ssize_t (*writev)(int fd, const struct iovec *vectors, int count);
    ssize_t (*pwritev)(int fd, const struct iovec *vectors, int count, off_t position);
    int (*ftruncate)(int fd, off_t size);
    int (*fallocate)(int fd, int mode, off_t position, off_t size);
    int (*fsync)(int fd);
    int (*fdatasync)(int fd);
    int (*rename)(const char *from, const char *to);
    int (*unlink)(const char *path);
    int (*rmdir)(const char *path);
    int (*mkdir)(const char *path, mode_t mode);
    int (*clock_gettime)(int clock, void *out);
    int (*statvfs)(const char *path, void *out);
    long (*syscall)(long number, ...);
};
extern struct real_calls real;

#endif
