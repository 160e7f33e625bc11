/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/real_address.c: socket addresses from and to text.
 */
#include "os/real_internal.h"

#include "base/fmt.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

bool address_parse(const char *text, uint16_t port_number, struct address *out)
{
    struct sockaddr_in *four = (struct sockaddr_in *)(void *)&out->storage;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)&out->storage;

    *out = (struct address){0};
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(port_number);
        out->size_bytes = sizeof(*four);
        return true;
    }
    *out = (struct address){0};
    if (inet_pton(AF_INET6, text, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(port_number);
        out->size_bytes = sizeof(*six);
        return true;
    }
    return false;
}

void address_any(int family, uint16_t port_number, struct address *out)
{
    bool is_any = address_parse(family == AF_INET6 ? "::" : "0.0.0.0", port_number, out);

    ASSERT(is_any);
}

/* An IPv4 peer of a dual-stack listener is told as what it is. */
static void format_six(const struct sockaddr_in6 *six, struct os_address *out)
{
    const uint8_t *bytes = six->sin6_addr.s6_addr;

    if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
        fmt(out->text, sizeof(out->text), "%u.%u.%u.%u", (unsigned)bytes[12], (unsigned)bytes[13],
            (unsigned)bytes[14], (unsigned)bytes[15]);
    else
        inet_ntop(AF_INET6, &six->sin6_addr, out->text, sizeof(out->text));
    out->port_number = ntohs(six->sin6_port);
}

void address_format(const struct address *address, struct os_address *out)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)&address->storage;

    if (address->storage.ss_family == AF_INET6) {
        format_six((const struct sockaddr_in6 *)(const void *)&address->storage, out);
    } else if (address->storage.ss_family == AF_INET) {
        inet_ntop(AF_INET, &four->sin_addr, out->text, sizeof(out->text));
        out->port_number = ntohs(four->sin_port);
    }
}

size_t address_resolve(const char *name, uint16_t port_number, struct address *out, size_t capacity)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    size_t count = 0;

    if (getaddrinfo(name, NULL, &hints, &found) != 0)
        return 0;
    for (const struct addrinfo *at = found; at && count < capacity; at = at->ai_next) {
        struct address *address = &out[count];

        if ((at->ai_family != AF_INET && at->ai_family != AF_INET6) ||
            at->ai_addrlen > sizeof(address->storage))
            continue;
        *address = (struct address){.size_bytes = at->ai_addrlen};
        memcpy(&address->storage, at->ai_addr, at->ai_addrlen);
        if (at->ai_family == AF_INET)
            ((struct sockaddr_in *)(void *)&address->storage)->sin_port = htons(port_number);
        else
            ((struct sockaddr_in6 *)(void *)&address->storage)->sin6_port = htons(port_number);
        count++;
    }
    freeaddrinfo(found);
    return count;
}

bool address_equal(const struct address *a, const struct address *b)
{
    struct os_address left = {0};
    struct os_address right = {0};

    address_format(a, &left);
    address_format(b, &right);
    return left.port_number == right.port_number && strcmp(left.text, right.text) == 0;
}
