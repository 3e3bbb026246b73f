#!/bin/sh
# libwebsockets: a client is told the same of every TLS handshake that fails.
#
# LWS_CALLBACK_CLIENT_CONNECTION_ERROR brings a text in `in`. Of a certificate that nobody signed whom the
# client trusts, and of a port that does not speak TLS at all, it is the same one: "connect SSL err 1:
# error:00000001:lib(0)::reason(1)". It is the result of SSL_get_error (1) put through
# ERR_error_string, which wants a code of OpenSSL's error queue. The true cause of the first is only told
# to who handles LWS_CALLBACK_OPENSSL_PERFORM_SERVER_CERT_VERIFICATION: user is the X509_STORE_CTX then,
# not the user pointer of the connection, and len is 0 when OpenSSL does not accept the certificate.
#
# Seen with libwebsockets 4.1.6 (Debian 12: libwebsockets17 4.1.6-3), x86-64. Needs gcc, libwebsockets-dev,
# libssl-dev and openssl. Exits 0 while it is so, 1 when the texts differ, 2 when it could not be tried.
set -eu
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || :; rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"
cat >try.c <<'C'
#include <libwebsockets.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char text[256];
static int verify_error;

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    (void)wsi;
    if (reason == LWS_CALLBACK_CLIENT_CONNECTION_ERROR) {
        snprintf(text, sizeof text, "%s", in == NULL ? "(nothing)" : (const char *)in);
    } else if (reason == LWS_CALLBACK_OPENSSL_PERFORM_SERVER_CERT_VERIFICATION && len == 0) {
        verify_error = X509_STORE_CTX_get_error((X509_STORE_CTX *)user);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    (void)argc;
    static const struct lws_protocols protocols[] = {{"p", on_event, 0, 4096, 0, NULL, 0},
                                                     {NULL, NULL, 0, 0, 0, NULL, 0}};
    lws_set_log_level(0, NULL);
    const struct lws_context_creation_info info = {.port = CONTEXT_PORT_NO_LISTEN,
                                                   .protocols = protocols,
                                                   .options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
                                                   .gid = -1,
                                                   .uid = -1};
    struct lws_context *context = lws_create_context(&info);
    const struct lws_client_connect_info to = {.context = context,
                                               .address = "127.0.0.1",
                                               .port = atoi(argv[1]),
                                               .ssl_connection = LCCSCF_USE_SSL,
                                               .path = "/",
                                               .host = "127.0.0.1",
                                               .local_protocol_name = "p"};
    (void)lws_client_connect_via_info(&to);
    for (int i = 0; i < 200 && text[0] == '\0'; i++) {
        (void)lws_service(context, 50);
    }
    printf("%d %s\n", verify_error, text);
    lws_context_destroy(context);
    return text[0] == '\0' ? 2 : 0;
}
C
if ! gcc -o try try.c -lwebsockets -lcrypto 2>gcc.log ||
    ! openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -keyout key -out cert 2>log; then
    cat gcc.log log 2>/dev/null
    exit 2
fi
mkfifo wait said
# One that speaks TLS, with a certificate that nobody knows.
openssl s_server -accept 127.0.0.1:0 -key key -cert cert <wait >said 2>&1 &
server=$!
exec 3>wait 4<said
until [ -n "${port:=}" ]; do
    read -r line <&4 || exit 2 # it has ended
    port=$(echo "$line" | sed -n 's/^ACCEPT 127.0.0.1:\([0-9]*\)$/\1/p')
done
untrusted=$(./try "$port") || exit 2
kill "$server"
# One that does not: any line is no TLS record.
cat >plain.c <<'C'
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t n = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 5) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &n) != 0) {
        return 2;
    }
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    const int c = accept(fd, NULL, NULL);
    char buf[512];
    (void)!read(c, buf, sizeof buf);
    return write(c, "HTTP/1.1 400 Bad Request\r\n\r\n", 28) < 0;
}
C
gcc -o plain plain.c || exit 2
mkfifo plain.out
./plain >plain.out &
server=$!
read -r port <plain.out || exit 2
plain=$(./try "$port") || exit 2
echo "untrusted certificate: $untrusted"
echo "no TLS at all:         $plain"
[ "${untrusted#* }" = "${plain#* }" ] && [ "${untrusted%% *}" != 0 ] && [ "${plain%% *}" = 0 ]
