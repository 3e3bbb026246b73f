#!/bin/sh
# libuv: after SIGSTOP and SIGCONT a due timer runs one turn of the loop before data that was readable
# all the while.
#
# One would expect that what a descriptor had to say long before the process went on is read first:
# in a poll that both ends with events and outlasts a timer, the events are delivered before the
# timer. But SIGCONT ends epoll_wait with EINTR; libuv looks at its clock, finds the timer due and
# leaves the poll without events. The timer's callback comes first, the data in the next turn's poll.
# Whoever asks in a timer "was anything read while we stood still?" hears no, and a clock read in the
# read callback says nothing of how long the data had waited.
#
# Seen with libuv 1.44.2 (Debian 12: libuv1 1.44.2-1+deb12u1), Linux, x86-64. Needs gcc, apt-get and
# dpkg-deb; installs the two packages into a temporary folder. Exits 0 while it is so, 1 when the data
# comes first, 2 when it could not be tried.
set -eu
version=1.44.2-1+deb12u1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"
apt-get download -q "libuv1=$version" "libuv1-dev=$version" >/dev/null 2>&1 ||
    { echo "libuv1 $version cannot be had here (apt-get update first?)"; exit 2; }
for package in ./*.deb; do
    dpkg-deb -x "$package" root
done
library=$(dirname "$(find root -name 'libuv.so.1' | head -n 1)")
cat >try.c <<'C'
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

static int turn;
static int timer_turn = -1; /* of the first one after the standstill */
static int read_turn = -1;
static uint64_t last;
static double stood_ms;

static void a_turn_begins(uv_prepare_t *handle)
{
    (void)handle;
    turn++;
}

static void timer_is_due(uv_timer_t *handle)
{
    (void)handle;
    const uint64_t now = uv_hrtime();
    if (now - last > 500000000) {
        stood_ms = (double)(now - last) / 1e6;
        timer_turn = turn;
    }
    last = now;
}

static void data_came(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    read_turn = turn;
    uv_stop(handle->loop);
}

/* Stops its parent, gives it something to read, and lets it go on a second later. */
static void stop_parent(pid_t parent, int fd)
{
    nanosleep(&(struct timespec){0, 300000000}, NULL);
    (void)kill(parent, SIGSTOP);
    nanosleep(&(struct timespec){0, 100000000}, NULL);
    (void)!write(fd, "x", 1);
    nanosleep(&(struct timespec){1, 0}, NULL);
    (void)kill(parent, SIGCONT);
    _exit(0);
}

int main(void)
{
    int fds[2];
    const pid_t parent = getpid();
    if (pipe(fds) != 0) {
        return 2;
    }
    const pid_t child = fork();
    if (child == 0) {
        stop_parent(parent, fds[1]);
    }
    uv_loop_t *loop = uv_default_loop();
    uv_prepare_t prepare;
    uv_timer_t timer;
    uv_poll_t poll;
    (void)uv_prepare_init(loop, &prepare);
    (void)uv_prepare_start(&prepare, a_turn_begins);
    (void)uv_timer_init(loop, &timer);
    (void)uv_timer_start(&timer, timer_is_due, 50, 50);
    (void)uv_poll_init(loop, &poll, fds[0]);
    (void)uv_poll_start(&poll, UV_READABLE, data_came);
    last = uv_hrtime();
    (void)uv_run(loop, UV_RUN_DEFAULT);
    (void)waitpid(child, NULL, 0);
    printf("libuv %s stood still for %.0f ms: the timer ran in turn %d, the data was read in turn %d\n",
           uv_version_string(), stood_ms, timer_turn, read_turn);
    return timer_turn >= 0 && read_turn > timer_turn ? 0 : 1;
}
C
gcc -O1 -Iroot/usr/include try.c -o try -L"$library" -Wl,-rpath,"$dir/$library" -l:libuv.so.1 -lpthread ||
    { echo "it does not compile"; exit 2; }
status=0
for _ in 1 2 3; do
    ./try || status=1
done
exit "$status"
