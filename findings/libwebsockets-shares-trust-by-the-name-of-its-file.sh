#!/bin/sh
# libwebsockets: a second vhost made for a renewed file of certificates trusts what the first one read.
#
# Whom a client trusts is a matter of its vhost (client_ssl_ca_filepath), so who is given a renewed file makes
# a new vhost for it. With the same path it gets the OpenSSL context of the first one: contexts are found
# again by a hash of the options, in which a file counts by its name, not by what is in it. The new vhost
# refuses the server, though its file has the right certificate. With another name of the same file, "./" before it,
# it is accepted.
#
# Seen with libwebsockets 4.1.6 (Debian 12: libwebsockets17 4.1.6-3), x86-64. Needs gcc, libwebsockets-dev,
# libssl-dev and openssl. Exits 0 while it is so, 1 when it is otherwise, 2 when it could not be tried.
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

enum { NOTHING, TRUSTED, REFUSED };
static int result;

/* The server speaks no WebSocket: whether its certificate was accepted is all that counts. */
static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    (void)wsi;
    (void)user;
    (void)in;
    if (reason == LWS_CALLBACK_OPENSSL_PERFORM_SERVER_CERT_VERIFICATION) {
        result = len == 0 ? REFUSED : TRUSTED;
    } else if (reason == LWS_CALLBACK_CLIENT_CONNECTION_ERROR && result == NOTHING) {
        result = REFUSED;
    }
    return 0;
}

static const struct lws_protocols protocols[] = {{"p", on_event, 0, 4096, 0, NULL, 0},
                                                 {NULL, NULL, 0, 0, 0, NULL, 0}};

static const char *ask(struct lws_context *context, const char *file, int port)
{
    const struct lws_context_creation_info info = {.port = CONTEXT_PORT_NO_LISTEN,
                                                   .protocols = protocols,
                                                   .vhost_name = file,
                                                   .options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
                                                   .client_ssl_ca_filepath = file};
    struct lws_vhost *vhost = lws_create_vhost(context, &info);
    if (vhost == NULL || lws_init_vhost_client_ssl(&info, vhost) != 0) {
        return "failed";
    }
    const struct lws_client_connect_info to = {.context = context,
                                               .vhost = vhost,
                                               .address = "127.0.0.1",
                                               .port = port,
                                               .ssl_connection = LCCSCF_USE_SSL,
                                               .path = "/",
                                               .host = "127.0.0.1",
                                               .local_protocol_name = "p"};
    result = NOTHING;
    (void)lws_client_connect_via_info(&to);
    for (int i = 0; i < 200 && result == NOTHING; i++) {
        (void)lws_service(context, 50);
    }
    return result == TRUSTED ? "trusted" : result == REFUSED ? "refused" : "silent";
}

int main(int argc, char **argv)
{
    (void)argc;
    const int port = atoi(argv[1]);
    lws_set_log_level(0, NULL);
    const struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .gid = -1,
        .uid = -1};
    struct lws_context *context = lws_create_context(&info);
    printf("%s", ask(context, "trusted", port));
    if (system("cp right trusted") != 0) { /* renewed, beside a process that runs */
        return 2;
    }
    printf(" %s", ask(context, "trusted", port));
    printf(" %s\n", ask(context, "./trusted", port));
    lws_context_destroy(context);
    return 0;
}
C
if ! gcc -o try try.c -lwebsockets -lcrypto 2>log ||
    ! openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=old -keyout oldkey -out trusted 2>>log ||
    ! openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
        -addext subjectAltName=IP:127.0.0.1 -keyout key -out right 2>>log; then
    cat log
    exit 2
fi
mkfifo wait said
openssl s_server -accept 127.0.0.1:0 -key key -cert right <wait >said 2>&1 &
server=$!
exec 3>wait 4<said
until [ -n "${port:=}" ]; do
    read -r line <&4 || exit 2 # it has ended
    port=$(echo "$line" | sed -n 's/^ACCEPT 127.0.0.1:\([0-9]*\)$/\1/p')
done
said=$(./try "$port") || exit 2
echo "before the file was renewed, a new vhost after it, another name of the file: $said"
[ "$said" = "refused refused trusted" ]
