#!/bin/sh
# libuv: a timer of 0 ms that is started by its own callback fires again in the same turn of the loop.
#
# One would expect uv_timer_start(timer, cb, 0, 0) in cb to mean "in the next turn, after what came in
# was read": it is how work is cut into parts so that the loop stays responsive. But up to libuv 1.44
# the turn runs timers as long as the first one is due, and the clock that it compares with is the one
# that was read when the turn began, so that the new one is due at once. All parts run back to back,
# without one poll between them. A timer of 1 ms waits for the next turn, however long the part took.
#
# Seen with libuv 1.44.2 (Debian 12: libuv1 1.44.2-1+deb12u1), x86-64: five parts in turns 0 0 0 0 0
# with 0 ms and 0 1 2 3 4 with 1 ms. Needs gcc, apt-get and dpkg-deb; installs the two packages into a
# temporary folder. Exits 0 while it is so, 1 when each part has a turn of its own, 2 when it could
# not be tried.
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
#include <stdio.h>
#include <uv.h>

enum { PARTS = 5 };

static int turn;
static int part;
static int turns[PARTS];
static uint64_t pause_ms;

static void a_turn_polls(uv_prepare_t *handle)
{
    (void)handle;
    turn++;
}

static void one_part(uv_timer_t *timer)
{
    turns[part++] = turn;
    if (part < PARTS) {
        uv_timer_start(timer, one_part, pause_ms, 0);
    }
}

/* How many turns the parts took; they are printed. */
static int try(uint64_t ms)
{
    uv_loop_t loop;
    uv_prepare_t prepare;
    uv_timer_t timer;
    turn = part = 0;
    pause_ms = ms;
    uv_loop_init(&loop);
    uv_prepare_init(&loop, &prepare);
    uv_prepare_start(&prepare, a_turn_polls);
    uv_unref((uv_handle_t *)&prepare);
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, one_part, 0, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    printf("%d ms: parts in turns", (int)ms);
    for (int i = 0; i < PARTS; i++) {
        printf(" %d", turns[i]);
    }
    printf("\n");
    return turns[PARTS - 1] - turns[0];
}

int main(void)
{
    printf("libuv %s\n", uv_version_string());
    const int zero = try(0);
    const int one = try(1);
    return zero == 0 && one == PARTS - 1 ? 0 : 1;
}
C
gcc -o try try.c -Iroot/usr/include -L"$library" -l:libuv.so.1 || { echo "it does not compile"; exit 2; }
LD_LIBRARY_PATH="$library" ./try
