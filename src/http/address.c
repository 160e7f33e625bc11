/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http/address.c: from the text of a configuration to what the library binds. Names are resolved,
 * IPv4 first, as for the listeners of the protocol.
 */
#include "http/http_internal.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

static struct http_address address_v4(struct in_addr host, uint16_t port)
{
    struct sockaddr_in socket_address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = host};
    struct http_address address = {.is_v6 = false};

    memcpy(&address.storage, &socket_address, sizeof(socket_address));
    return address;
}

static struct http_address address_v6(struct in6_addr host, uint16_t port)
{
    struct sockaddr_in6 socket_address = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = host};
    struct http_address address = {.is_v6 = true};

    memcpy(&address.storage, &socket_address, sizeof(socket_address));
    return address;
}

static size_t resolve(const char *name, uint16_t port, struct http_address *out)
{
    static const int families[] = {AF_INET, AF_INET6};

    for (size_t i = 0; i < ARRAY_COUNT(families); i++) {
        struct addrinfo hints = {.ai_family = families[i], .ai_socktype = SOCK_STREAM};
        struct addrinfo *found = NULL;

        if (getaddrinfo(name, NULL, &hints, &found) != 0 || !found)
            continue;
        if (families[i] == AF_INET)
            *out = address_v4(((struct sockaddr_in *)(void *)found->ai_addr)->sin_addr, port);
        else
            *out = address_v6(((struct sockaddr_in6 *)(void *)found->ai_addr)->sin6_addr, port);
        freeaddrinfo(found);
        return 1;
    }
    return 0;
}

size_t http_addresses(const char *address, uint16_t port, struct http_address out[2])
{
    struct in_addr v4;
    struct in6_addr v6;

    if (!address || !address[0]) {
        out[0] = address_v6(in6addr_any, port);
        out[1] = address_v4((struct in_addr){htonl(INADDR_ANY)}, port);
        out[0].is_any = out[1].is_any = true;
        return 2; /* the second for machines without IPv6 */
    }
    if (inet_pton(AF_INET, address, &v4) == 1) {
        out[0] = address_v4(v4, port);
        return 1;
    }
    if (inet_pton(AF_INET6, address, &v6) == 1) {
        out[0] = address_v6(v6, port);
        out[0].is_any = IN6_IS_ADDR_UNSPECIFIED(&v6);
        return 1;
    }
    return resolve(address, port, out);
}
