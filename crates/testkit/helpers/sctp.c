/* Both ends of a conversation over SCTP: busybox has none. Compiled static by the testkit.
 *   sctp serve PORT              sends back what comes, for ever
 *   sctp ask FROM ADDRESS PORT   says a word and prints the answer, and who gave it
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int sctp_socket(void) {
    int fd = socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP);
    if (fd < 0) fail("socket");
    struct timeval patience = {.tv_sec = 5};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return fd;
}

static struct sockaddr_in place(const char *ip, const char *port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    if (inet_pton(AF_INET, ip, &at.sin_addr) != 1) fail(ip);
    return at;
}

int main(int argc, char **argv) {
    char buffer[64];
    signal(SIGPIPE, SIG_IGN);
    if (argc == 3 && !strcmp(argv[1], "serve")) {
        struct sockaddr_in at = place("0.0.0.0", argv[2]), from;
        int fd = socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP);
        if (fd < 0) fail("socket");
        if (bind(fd, (void *)&at, sizeof at) || listen(fd, 8)) fail("listen");
        for (;;) {
            socklen_t len = sizeof from;
            int peer = accept(fd, (void *)&from, &len);
            if (peer < 0) continue;
            ssize_t n = recv(peer, buffer, sizeof buffer, 0);
            if (n > 0) {
                /* Who asked is a part of the answer. */
                char answer[128];
                int size = snprintf(answer, sizeof answer, "%.*s %s", (int)n, buffer,
                                    inet_ntoa(from.sin_addr));
                send(peer, answer, size, 0);
            }
            close(peer);
        }
    }
    if (argc == 5 && !strcmp(argv[1], "ask")) {
        struct sockaddr_in from = place(argv[2], "0"), to = place(argv[3], argv[4]);
        int fd = sctp_socket();
        if (bind(fd, (void *)&from, sizeof from)) fail("bind");
        if (connect(fd, (void *)&to, sizeof to)) fail("connect");
        if (send(fd, "hello", 5, 0) != 5) fail("send");
        ssize_t n = recv(fd, buffer, sizeof buffer, 0);
        if (n <= 0) fail("recv");
        printf("%.*s\n", (int)n, buffer);
        return 0;
    }
    fprintf(stderr, "usage: sctp serve PORT | sctp ask FROM ADDRESS PORT\n");
    return 2;
}
