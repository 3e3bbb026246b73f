#!/bin/sh
# libcurl: whether a renewed file of certificates is noticed depends on CURLOPT_CAPATH.
#
# The papers of CURLOPT_CA_CACHE_TIMEOUT (7.87.0 and later, OpenSSL) say that what was parsed of the CA file
# is kept for 24 hours unless it is set otherwise. It is kept only while no directory of certificates is
# set, and Debian builds libcurl with one. So with the defaults the file is read again for every connection:
# a renewed one counts at once, and a large bundle is parsed each time. With CURLOPT_CAPATH set to NULL it is
# kept: a process that runs goes on to refuse its server after the file was renewed, though handshakes fail
# for it, until 24 hours are over. A timeout of 0 is right in both cases.
#
# Seen with libcurl 7.88.1 (Debian 12: libcurl4 7.88.1-10+deb12u15), x86-64. Needs gcc,
# libcurl4-openssl-dev and openssl. Exits 0 while it is so, 1 when it is otherwise, 2 when it could not be
# tried.
set -eu
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || :; rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"
cat >try.c <<'C'
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t drop(char *bytes, size_t size, size_t n, void *ctx)
{
    (void)bytes;
    (void)ctx;
    return size * n;
}

static CURLcode ask(CURLM *multi, const char *url, int with_directory, int timeout)
{
    CURL *easy = curl_easy_init();
    CURLcode result = CURLE_FAILED_INIT;
    int left = 1;
    CURLMsg *m = NULL;
    (void)curl_easy_setopt(easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(easy, CURLOPT_CAINFO, "trusted");
    if (!with_directory) {
        (void)curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
    (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT, 10L);
    if (timeout == 0) {
        (void)curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
    }
    (void)curl_multi_add_handle(multi, easy);
    while (left > 0 && curl_multi_perform(multi, &left) == CURLM_OK && left > 0) {
        (void)curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
    while ((m = curl_multi_info_read(multi, &left)) != NULL) {
        result = m->data.result;
    }
    (void)curl_multi_remove_handle(multi, easy);
    curl_easy_cleanup(easy);
    return result;
}

int main(int argc, char **argv)
{
    (void)argc;
    CURLM *multi = curl_multi_init();
    const int with_directory = atoi(argv[2]);
    const int timeout = atoi(argv[3]);
    const CURLcode first = ask(multi, argv[1], with_directory, timeout);
    if (system("cp right trusted") != 0) { /* renewed, beside a process that runs */
        return 2;
    }
    const CURLcode second = ask(multi, argv[1], with_directory, timeout);
    printf("%d %d\n", first, second);
    (void)curl_multi_cleanup(multi);
    return 0;
}
C
if ! gcc -o try try.c -lcurl 2>log ||
    ! openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=old -keyout oldkey -out old 2>>log ||
    ! openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
        -addext subjectAltName=IP:127.0.0.1 -keyout key -out right 2>>log; then
    cat log
    exit 2
fi
mkfifo wait said
openssl s_server -accept 127.0.0.1:0 -key key -cert right -www <wait >said 2>&1 &
server=$!
exec 3>wait 4<said
until [ -n "${port:=}" ]; do
    read -r line <&4 || exit 2 # it has ended
    port=$(echo "$line" | sed -n 's/^ACCEPT 127.0.0.1:\([0-9]*\)$/\1/p')
done
tried() {
    cp old trusted
    ./try "https://127.0.0.1:$port/" "$@" || exit 2
}
usual=$(tried 1 -1)
alone=$(tried 0 -1)
never=$(tried 0 0)
echo "results of two transfers, the file renewed between them (0: good, 60: not trusted)"
echo "as it comes: $usual; without a directory: $alone; without a directory and with a timeout of 0: $never"
[ "$usual" = "60 0" ] && [ "$alone" = "60 60" ] && [ "$never" = "60 0" ]
