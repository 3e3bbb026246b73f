#!/bin/sh
# libmicrohttpd: the answer to HEAD has a body when the size of the response is not known.
#
# RFC 9110 (9.3.2): a server must not send content in the answer to HEAD. Of a response that is made
# with MHD_SIZE_UNKNOWN libmicrohttpd says Transfer-Encoding: chunked and sends, behind the header of
# an answer to HEAD, the last chunk: "0\r\n\r\n". The callback for content is not asked, and GET is as
# it should be. A client that keeps the connection takes the five bytes for the beginning of its next
# answer. With MHD_RF_HTTP_1_0_COMPATIBLE_STRICT the answer has no chunk, and ends with the connection.
#
# Seen with libmicrohttpd 0.9.75 (Debian 12: libmicrohttpd12 0.9.75-6), x86-64. Needs gcc and
# libmicrohttpd-dev. Exits 0 while it is so, 1 when HEAD has no content, 2 when it could not be tried.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"
cat >try.c <<'C'
#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static enum MHD_ResponseFlags flags;

static ssize_t give(void *cls, uint64_t pos, char *buf, size_t max)
{
    (void)cls;
    if (pos > 0) {
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    memcpy(buf, "hello", 5 < max ? 5 : max);
    return 5;
}

static enum MHD_Result answer(void *cls, struct MHD_Connection *c, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **state)
{
    (void)cls, (void)url, (void)method, (void)version, (void)data, (void)size, (void)state;
    struct MHD_Response *r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1024, give, NULL, NULL);
    (void)MHD_set_response_options(r, flags, MHD_RO_END);
    const enum MHD_Result done = MHD_queue_response(c, 200, r);
    MHD_destroy_response(r);
    return done;
}

/* The bytes behind the header; -1: none came. */
static int content_of_head(int port)
{
    static const char ask[] = "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&at, sizeof at) != 0 || write(fd, ask, sizeof ask - 1) < 0) {
        return -1;
    }
    char got[4096] = "";
    size_t n = 0;
    for (ssize_t k; n < sizeof got - 1 && (k = read(fd, got + n, sizeof got - 1 - n)) > 0; n += (size_t)k) {
    }
    close(fd);
    const char *blank = strstr(got, "\r\n\r\n");
    return blank == NULL ? -1 : (int)(got + n - (blank + 4));
}

int main(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct MHD_Daemon *d = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, answer, NULL,
                                            MHD_OPTION_SOCK_ADDR, &at, MHD_OPTION_END);
    const union MHD_DaemonInfo *i = d == NULL ? NULL : MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT);
    if (i == NULL) {
        return 2;
    }
    const int plain = content_of_head(i->port);
    flags = MHD_RF_HTTP_1_0_COMPATIBLE_STRICT;
    const int strict = content_of_head(i->port);
    MHD_stop_daemon(d);
    printf("libmicrohttpd %s: %d bytes behind the header of HEAD, %d with the strict flag\n",
           MHD_get_version(), plain, strict);
    return plain < 0 || strict < 0 ? 2 : plain > 0 ? 0 : 1;
}
C
if ! gcc -o try try.c -lmicrohttpd 2>gcc.log; then
    cat gcc.log
    exit 2
fi
./try
