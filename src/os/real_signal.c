/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/real_signal.c: the signals that ask a process to stop or to look again, taken by a thread that
 * sleeps in poll. No code runs in a signal handler.
 * Threads  Every thread that this module starts has all such signals blocked; the caller of
 *          os_on_signal, the one thread that is not ours, gets them blocked there.
 */
#include "os/real_internal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void *signals_run(void *context)
{
    struct signals *signals = context;
    struct pollfd waits[2] = {{.fd = signals->signal_fd, .events = POLLIN},
                              {.fd = signals->stop_fd, .events = POLLIN}};

    for (;;) {
        struct signalfd_siginfo info;

        if (poll(waits, 2, -1) < 0) {
            ASSERT(errno == EINTR);
            continue;
        }
        if (waits[1].revents != 0)
            return NULL;
        if (read(signals->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
            signals->notify(signals->context, (int)info.ssi_signo);
    }
}

static void close_all(struct signals *signals)
{
    if (signals->signal_fd >= 0)
        close(signals->signal_fd);
    if (signals->stop_fd >= 0)
        close(signals->stop_fd);
}

/* Whoever had a signal ignored for this process (nohup, a shell for what runs in the background) meant it. Blocked,
 * it would reach the descriptor all the same. */
static void add_unless_ignored(sigset_t *wanted, int signal)
{
    struct sigaction now;

    if (sigaction(signal, NULL, &now) < 0 || now.sa_handler != SIG_IGN)
        sigaddset(wanted, signal);
}

enum err real_on_signal(struct os *os, void (*notify)(void *context, int signal), void *context)
{
    struct signals *signals = &CONTAINER_OF(os, struct real_os, base)->signals;
    sigset_t wanted;
    enum err err;

    signals_fini(signals);
    if (!notify)
        return OK;
    sigemptyset(&wanted);
    add_unless_ignored(&wanted, SIGTERM);
    add_unless_ignored(&wanted, SIGINT);
    add_unless_ignored(&wanted, SIGHUP);
    signals->notify = notify;
    signals->context = context;
    signals->signal_fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    signals->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (signals->signal_fd < 0 || signals->stop_fd < 0) {
        err = real_err(errno);
        close_all(signals);
        return err;
    }
    pthread_sigmask(SIG_BLOCK, &wanted, &signals->mask_before);
    err = thread_create("signals", signals_run, signals, &signals->thread);
    if (err != OK) {
        pthread_sigmask(SIG_SETMASK, &signals->mask_before, NULL);
        close_all(signals);
        return err;
    }
    signals->is_running = true;
    return OK;
}

void signals_fini(struct signals *signals)
{
    uint64_t one = 1;

    if (!signals->is_running)
        return;
    while (write(signals->stop_fd, &one, sizeof(one)) < 0)
        ASSERT(errno == EINTR);
    pthread_join(signals->thread, NULL);
    signals->is_running = false;
    close_all(signals);
    pthread_sigmask(SIG_SETMASK, &signals->mask_before, NULL);
}
