/* Prints the IPv4 addresses of a name, found by getaddrinfo for both families. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	struct addrinfo *all, *one, hints = { .ai_socktype = SOCK_STREAM };
	int found = 0;
	int error = getaddrinfo(argc > 1 ? argv[1] : "", 0, &hints, &all);
	if (error) {
		fprintf(stderr, "%s\n", gai_strerror(error));
		return 2;
	}
	for (one = all; one; one = one->ai_next) {
		char text[INET_ADDRSTRLEN];
		if (one->ai_family != AF_INET)
			continue;
		struct sockaddr_in *address = (struct sockaddr_in *)one->ai_addr;
		puts(inet_ntop(AF_INET, &address->sin_addr, text, sizeof text));
		found = 1;
	}
	return !found;
}
