/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/http.h"

#include "base/fmt.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define LARGE_BYTES (3 * MIB)

/* What the handler saw last; read after the answer came, which orders it. */
struct bench {
    struct http_handler handler;
    char method[16];
    char path[64];
    size_t calls;
};

static void answer(struct http_handler *handler, const struct http_request *request,
                   struct http_answer *out)
{
    struct bench *bench = CONTAINER_OF(handler, struct bench, handler);

    bench->calls++;
    fmt(bench->method, sizeof(bench->method), "%s", request->method);
    fmt(bench->path, sizeof(bench->path), "%s", request->path);
    assert_int_equal(out->status, 200);
    if (strcmp(request->path, "/metrics") == 0) {
        out->content_type = "text/plain; version=0.0.4";
        writer_bytes(&out->body, "up 1\n", 5);
    } else if (strcmp(request->path, "/large") == 0) {
        uint8_t *bytes = writer_reserve(&out->body, LARGE_BYTES);

        memset(bytes, 'x', LARGE_BYTES);
    } else if (strcmp(request->path, "/overflow") == 0) {
        (void)writer_reserve(&out->body, 65 * MIB);
    } else if (strcmp(request->path, "/empty") == 0) {
        out->status = 204;
    } else {
        out->status = 404;
    }
}

static struct http_server *start(struct bench *bench, const char *address)
{
    struct http_options options = {
        .address = address, .connections_max = 2, .idle_seconds = 1, .request_bytes_max = 16 * KIB};
    struct http_server *server;
    struct why why = {""};

    memset(bench, 0, sizeof(*bench));
    bench->handler.answer = answer;
    assert_int_equal(http_server_start(&options, NULL, &bench->handler, &server, &why), OK);
    assert_true(http_server_port(server) > 0);
    return server;
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Everything until the server closes; the first bytes go into `out`, the number of all is
 * returned. */
static size_t read_all(int fd, char *out, size_t capacity)
{
    static char buffer[65536];
    size_t total = 0;
    ssize_t got;

    while ((got = recv(fd, buffer, sizeof(buffer), 0)) > 0) {
        if (total < capacity - 1)
            memcpy(out + total, buffer, MIN((size_t)got, capacity - 1 - total));
        total += (size_t)got;
    }
    out[MIN(total, capacity - 1)] = '\0';
    return total;
}

static size_t ask(struct http_server *server, const char *method, const char *path,
                  const char *body, char *out, size_t capacity)
{
    char request[512];
    int fd = connect_to(http_server_port(server));
    size_t size_bytes = fmt(request, sizeof(request),
                            "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                            "Content-Length: %zu\r\n\r\n%s",
                            method, path, strlen(body), body);

    assert_int_equal(send(fd, request, size_bytes, MSG_NOSIGNAL), size_bytes);
    size_bytes = read_all(fd, out, capacity);
    close(fd);
    return size_bytes;
}

static void an_answer_has_status_type_length_and_body(void **state)
{
    struct bench bench;
    struct http_server *server = start(&bench, "127.0.0.1");
    char text[1024];

    ask(server, "GET", "/metrics?name=up", "", text, sizeof(text));
    assert_int_equal(strncmp(text, "HTTP/1.1 200 ", 13), 0);
    assert_non_null(strstr(text, "Content-Type: text/plain; version=0.0.4\r\n"));
    assert_non_null(strstr(text, "Content-Length: 5\r\n"));
    assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\nup 1\n");
    http_server_stop(&server);
    assert_null(server);
    assert_string_equal(bench.method, "GET");
    assert_string_equal(bench.path, "/metrics");
}

static void an_error_without_body_gets_its_standard_text(void **state)
{
    struct bench bench;
    struct http_server *server = start(&bench, "localhost");
    char text[1024];

    ask(server, "GET", "/nothing", "", text, sizeof(text));
    assert_int_equal(strncmp(text, "HTTP/1.1 404 ", 13), 0);
    assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\nNot Found\n");
    ask(server, "GET", "/empty", "", text, sizeof(text));
    assert_int_equal(strncmp(text, "HTTP/1.1 204 ", 13), 0);
    ask(server, "GET", "/overflow", "", text, sizeof(text));
    assert_int_equal(strncmp(text, "HTTP/1.1 500 ", 13), 0);
    http_server_stop(&server);
}

static void a_head_is_a_get_without_body_and_bodies_of_requests_are_dropped(void **state)
{
    struct bench bench;
    struct http_server *server = start(&bench, "");
    char text[1024];

    ask(server, "HEAD", "/metrics", "", text, sizeof(text));
    assert_int_equal(strncmp(text, "HTTP/1.1 200 ", 13), 0);
    assert_non_null(strstr(text, "Content-Length: 5\r\n"));
    assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\n");
    assert_string_equal(bench.method, "GET");
    ask(server, "POST", "/metrics", "a body that nobody reads", text, sizeof(text));
    assert_int_equal(strncmp(text, "HTTP/1.1 200 ", 13), 0);
    http_server_stop(&server);
    assert_string_equal(bench.method, "POST");
    assert_int_equal(bench.calls, 2);
}

static void a_large_answer_arrives_whole(void **state)
{
    struct bench bench;
    struct http_server *server = start(&bench, NULL);
    static char text[4 * MIB];
    size_t size_bytes = ask(server, "GET", "/large", "", text, sizeof(text));
    const char *body = strstr(text, "\r\n\r\n");

    assert_non_null(body);
    assert_int_equal(size_bytes - (size_t)(body + 4 - text), LARGE_BYTES);
    http_server_stop(&server);
}

static void headers_above_the_memory_of_a_connection_are_refused(void **state)
{
    struct bench bench;
    struct http_server *server = start(&bench, "127.0.0.1");
    int fd = connect_to(http_server_port(server));
    static char request[40000];
    char text[1024];

    memset(request, 'a', sizeof(request));
    memcpy(request, "GET /", 5);
    (void)!send(fd, request, sizeof(request), MSG_NOSIGNAL); /* may be cut off by the refusal */
    read_all(fd, text, sizeof(text));
    close(fd);
    ask(server, "GET", "/metrics", "", text, sizeof(text)); /* and others go on */
    assert_int_equal(strncmp(text, "HTTP/1.1 200 ", 13), 0);
    http_server_stop(&server);
    assert_int_equal(bench.calls, 1);
}

static void bytes_that_are_no_http_end_that_connection_alone(void **state)
{
    struct bench bench;
    struct http_server *server = start(&bench, "127.0.0.1");
    static const char bytes[] = "\0\0\0\x10\0\x12\0\3 kafka? \r\n\r\n";
    int fd = connect_to(http_server_port(server));
    char text[1024];

    assert_int_equal(send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL), sizeof(bytes));
    read_all(fd, text, sizeof(text)); /* ends by the idle time at the latest */
    close(fd);
    ask(server, "GET", "/metrics", "", text, sizeof(text));
    assert_int_equal(strncmp(text, "HTTP/1.1 200 ", 13), 0);
    http_server_stop(&server);
    assert_int_equal(bench.calls, 1);
}

static void a_connection_above_the_limit_is_closed(void **state)
{
    struct bench bench;
    struct http_server *server = start(&bench, "127.0.0.1");
    int held[2] = {connect_to(http_server_port(server)), connect_to(http_server_port(server))};
    char text[1024];
    int third;

    for (int i = 0; i < 2; i++) { /* both are served, so both are counted */
        static const char request[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

        assert_int_equal(send(held[i], request, sizeof(request) - 1, MSG_NOSIGNAL),
                         sizeof(request) - 1);
        assert_true(recv(held[i], text, sizeof(text), 0) > 0);
    }
    third = connect_to(http_server_port(server));
    close(held[0]);
    close(held[1]);
    ask(server, "GET", "/metrics", "", text, sizeof(text)); /* a slot is free again, in time */
    close(third);
    http_server_stop(&server);
}

static void a_taken_port_and_a_foreign_address_are_told(void **state)
{
    struct bench bench;
    struct http_server *server = start(&bench, "127.0.0.1"), *second;
    struct http_options options = {.address = "127.0.0.1", .port = http_server_port(server)};
    struct why why = {""};

    assert_int_equal(http_server_start(&options, NULL, &bench.handler, &second, &why),
                     ERR_ADDRESS_IN_USE);
    assert_null(second);
    assert_non_null(strstr(why.text, "127.0.0.1"));
    options.address = "192.0.2.1";
    assert_int_equal(http_server_start(&options, NULL, &bench.handler, &second, &why), ERR_ADDRESS);
    options.address = "no such name";
    assert_int_equal(http_server_start(&options, NULL, &bench.handler, &second, &why), ERR_ADDRESS);
    http_server_stop(&server);
    http_server_stop(&server); /* NULL */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_has_status_type_length_and_body),
        cmocka_unit_test(an_error_without_body_gets_its_standard_text),
        cmocka_unit_test(a_head_is_a_get_without_body_and_bodies_of_requests_are_dropped),
        cmocka_unit_test(a_large_answer_arrives_whole),
        cmocka_unit_test(headers_above_the_memory_of_a_connection_are_refused),
        cmocka_unit_test(bytes_that_are_no_http_end_that_connection_alone),
        cmocka_unit_test(a_connection_above_the_limit_is_closed),
        cmocka_unit_test(a_taken_port_and_a_foreign_address_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
