/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config/endpoint.c: texts that name hosts and ports: quorum voters, bootstrap servers.
 */
#include "config/config_internal.h"

#include "base/parse.h"

static bool is_host_byte(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z') || byte == '-' || byte == '%' || byte == '.' ||
           byte == '_' || byte == ':';
}

bool config_host_valid(struct slice host)
{
    for (size_t i = 0; i < host.size_bytes; i++)
        if (!is_host_byte(host.data[i]))
            return false;
    return true;
}

static size_t last_index(struct slice text, uint8_t byte)
{
    for (size_t i = text.size_bytes; i > 0; i--)
        if (text.data[i - 1] == byte)
            return i - 1;
    return SIZE_MAX;
}

bool config_host_port(struct slice text, struct slice *host_out, int32_t *port_out)
{
    size_t colon = last_index(text, ':');
    size_t scheme = 0;
    struct slice host;
    struct slice port;

    if (colon == SIZE_MAX || colon + 1 == text.size_bytes)
        return false;
    port = slice_sub(text, colon + 1, SIZE_MAX);
    for (size_t i = 0; i < port.size_bytes; i++)
        if (port.data[i] < '0' || port.data[i] > '9')
            return false;
    if (parse_i32(port, port_out) != OK || *port_out > 65535)
        return false;
    for (size_t i = 0; i + 2 < colon; i++)
        if (memcmp(text.data + i, "://", 3) == 0)
            scheme = i + 3;
    host = slice_sub(text, scheme, colon - scheme);
    if (host.size_bytes > 0 && host.data[0] == '[')
        host = slice_sub(host, 1, SIZE_MAX);
    if (host.size_bytes > 0 && host.data[host.size_bytes - 1] == ']')
        host.size_bytes--;
    *host_out = host;
    return config_host_valid(host);
}

static enum err voter_form(struct why *why, struct slice text, const char *part)
{
    return why_set(why, ERR_CONFIG,
                   "Failed to parse host %s from entry %.*s for the configuration "
                   "controller.quorum.voters. Each entry should be in the form "
                   "`{id}@{host}:{port}`.",
                   part, SLICE_ARGS(text));
}

enum err config_voter_parse(struct slice text, struct voter_config *out, struct why *why)
{
    size_t at = last_index(text, '@');
    struct slice id = slice_sub(text, 0, at);
    struct slice address;

    if (at == SIZE_MAX || at + 1 == text.size_bytes || last_index(id, '@') != SIZE_MAX)
        return why_set(why, ERR_CONFIG,
                       "Invalid configuration value for controller.quorum.voters. Each entry "
                       "should be in the form `{id}@{host}:{port}`.");
    if (parse_i32(id, &out->id) != OK)
        return why_set(why, ERR_CONFIG, "Failed to parse voter ID as an integer from %.*s",
                       SLICE_ARGS(id));
    address = slice_sub(text, at + 1, SIZE_MAX);
    if (!config_host_port(address, &out->host, &out->port))
        return voter_form(why, text, "name");
    return OK;
}

enum err config_bootstrap_parse(struct slice text, struct endpoint_config *out, struct why *why)
{
    if (!config_host_port(text, &out->host, &out->port))
        return why_set(why, ERR_CONFIG,
                       "Failed to parse host name from %.*s for the configuration "
                       "controller.quorum.bootstrap.servers. Each entry should be in the form "
                       "\"{host}:{port}\"",
                       SLICE_ARGS(text));
    return OK;
}
