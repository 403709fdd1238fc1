/* The limit of the machine: start a command again and again, some at once, its stdout and stderr read from two pipes.

   spawn_loop RUNS WORKERS COMMAND [ARGUMENT...]

   One thread: posix_spawn, poll, read, waitpid. What is read is counted and forgotten. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void open_pipe(int ends[2]) {
#ifdef __linux__
    if (pipe2(ends, O_CLOEXEC)) fail("pipe2");
#else
    if (pipe(ends)) fail("pipe");
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
#endif
}

/* Start one run; the reading ends of its pipes go to two entries of the poll set. */
static pid_t start(char **command, struct pollfd *streams) {
    int out[2], err[2];
    pid_t pid;
    posix_spawn_file_actions_t actions;
    open_pipe(out);
    open_pipe(err);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_adddup2(&actions, err[1], 2);
    if (posix_spawn(&pid, command[0], &actions, NULL, command, environ)) fail(command[0]);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    close(err[1]);
    streams[0] = (struct pollfd){.fd = out[0], .events = POLLIN};
    streams[1] = (struct pollfd){.fd = err[0], .events = POLLIN};
    return pid;
}

int main(int count, char **words) {
    static char chunk[65536];
    if (count < 4) return 2;
    int left = atoi(words[1]), workers = atoi(words[2]), running = 0, failed = 0;
    char **command = words + 3;
    long long bytes = 0;
    struct pollfd *streams = malloc(2 * workers * sizeof *streams);
    pid_t *pids = calloc(workers, sizeof *pids);
    if (!streams || !pids) fail("malloc");
    for (int i = 0; i < 2 * workers; i++) streams[i].fd = -1; /* which poll passes over */

    while (left || running) {
        for (int i = 0; i < workers && left; i++) {
            if (pids[i]) continue;
            pids[i] = start(command, streams + 2 * i);
            running++;
            left--;
        }
        if (poll(streams, 2 * workers, -1) < 0) fail("poll");
        for (int i = 0; i < 2 * workers; i++) {
            if (streams[i].fd < 0 || !streams[i].revents) continue;
            ssize_t got = read(streams[i].fd, chunk, sizeof chunk);
            if (got < 0) fail("read");
            bytes += got;
            if (got) continue;
            close(streams[i].fd);
            streams[i].fd = -1;
            if (streams[i ^ 1].fd >= 0) continue; /* its other stream is open */
            int status;
            if (waitpid(pids[i / 2], &status, 0) < 0) fail("waitpid");
            failed += status != 0;
            pids[i / 2] = 0;
            running--;
        }
    }
    printf("%lld bytes, %d failed\n", bytes, failed);
    return failed != 0;
}
