/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/protocol_command.c: `barnabas protocol`: messages from bytes to JSON and back, and the list of
 * APIs. Reads standard input whole; single thread.
 */
#include "base/parse.h"
#include "cli/command.h"
#include "protocol/message.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>

#define INPUT_BYTES_MAX (256 * MIB)

enum byte_form { FORM_AUTO, FORM_HEX, FORM_RAW };

struct task {
    const struct api *api;           /* NULL: a record or another message without API */
    const struct message_type *type; /* of the body */
    int16_t version;
    bool is_request;
    bool with_header;
    enum byte_form form;
    struct arena *arena;
};

static const char usage[] =
    "usage: barnabas protocol list\n"
    "       barnabas protocol decode API VERSION request|response [--header] [--hex|--raw]\n"
    "       barnabas protocol encode API VERSION request|response [--header] [--hex|--raw]\n"
    "       barnabas protocol decode|encode MESSAGE VERSION [--hex|--raw]\n"
    "\n"
    "decode reads the bytes of one message from standard input and prints it as JSON, encode does\n"
    "the opposite. API is a name or number (Metadata, 3); MESSAGE is the name of any message or\n"
    "record (RegisterBrokerRecord, OffsetCommitValue).\n"
    "\n"
    "  --header  a request or response header stands before the message;\n"
    "            the JSON is then {\"header\": …, \"body\": …}\n"
    "  --hex     the bytes are hexadecimal digits (decode tells by itself; encode's default)\n"
    "  --raw     the bytes stand as they are\n";

static int fail(const char *what, enum err err, const struct why *why)
{
    fprintf(stderr, "barnabas protocol: %s: %s (%s)\n", what,
            why && why->text[0] ? why->text : err_text(err), err_name(err));
    return CLI_FAILED;
}

static int usage_error(const char *what, const char *word)
{
    fprintf(stderr, "barnabas protocol: %s%s%s\n%s", what, word ? " " : "", word ? word : "",
            usage);
    return CLI_USAGE;
}

/* ---- bytes in and out ---- */

static enum err input_read(struct writer *out)
{
    char buffer[16 * 1024];
    size_t size;

    while ((size = fread(buffer, 1, sizeof buffer, stdin)) > 0)
        writer_bytes(out, buffer, size);
    return ferror(stdin) ? ERR_IO : writer_error(out);
}

static bool looks_hex(struct slice input)
{
    size_t digits = 0;

    for (size_t i = 0; i < input.size_bytes; i++) {
        if (isspace(input.data[i]))
            continue;
        if (!isxdigit(input.data[i]))
            return false;
        digits++;
    }
    return digits > 0 && digits % 2 == 0;
}

static int hex_digit(uint8_t byte)
{
    return isdigit(byte) ? byte - '0' : tolower(byte) - 'a' + 10;
}

static enum err hex_decode(struct slice input, struct arena *arena, struct slice *out)
{
    uint8_t *data = arena_allocate(arena, input.size_bytes / 2 + 1);
    size_t digits = 0;

    if (!data)
        return ERR_NO_MEMORY;
    if (input.size_bytes > 0 && !looks_hex(input))
        return ERR_FORMAT;
    for (size_t i = 0; i < input.size_bytes; i++) {
        if (isspace(input.data[i]))
            continue;
        data[digits / 2] = (uint8_t)(digits % 2 ? data[digits / 2] | hex_digit(input.data[i])
                                                : hex_digit(input.data[i]) << 4);
        digits++;
    }
    *out = slice_of(data, digits / 2);
    return OK;
}

static int bytes_print(struct slice bytes, enum byte_form form)
{
    if (form == FORM_RAW) {
        fwrite(bytes.data, 1, bytes.size_bytes, stdout);
    } else {
        for (size_t i = 0; i < bytes.size_bytes; i++)
            printf("%02x", bytes.data[i]);
        putchar('\n');
    }
    return command_printed(CLI_OK);
}

/* ---- headers ---- */

static const struct message_type *header_type(const struct task *task)
{
    return message_type_find(task->is_request ? SLICE("RequestHeader") : SLICE("ResponseHeader"));
}

/* Finds how long the header is; a request's must be of the API and version asked for. */
static enum err header_measure(const struct task *task, struct slice bytes, size_t *size_bytes_out,
                               struct why *why)
{
    struct cursor cursor = cursor_of(bytes);
    struct request_header request;
    int32_t correlation_id;

    if (!task->is_request) {
        TRY(response_header_decode(task->api->key, task->version, &cursor, &correlation_id));
    } else {
        TRY(request_header_decode(&cursor, &request));
        if (request.api_key != task->api->key || request.api_version != task->version)
            return why_set(why, ERR_FORMAT, "the header is of %s version %d",
                           api_key_name(request.api_key), request.api_version);
    }
    *size_bytes_out = bytes.size_bytes - cursor_left(&cursor);
    return OK;
}

/* The versions of headers are 1, 2 (request) and 0, 1 (response): the higher ones are flexible. */
static int16_t header_version(const struct task *task)
{
    const struct message_type *type = header_type(task);
    uint8_t buffer[16];
    struct writer writer;

    if (task->is_request)
        return task->version >= task->type->flexible_min ? type->version_max : type->version_min;
    writer_init_fixed(&writer, buffer, sizeof buffer);
    response_header_encode(task->api->key, task->version, 0, &writer);
    return writer.size_bytes > sizeof(int32_t) ? type->version_max : type->version_min;
}

/* ---- decode ---- */

static enum err message_print(const struct task *task, const struct message_type *type,
                              int16_t version, struct cursor *cursor, struct writer *json)
{
    void *message = arena_zeroed(task->arena, 1, message_struct_bytes(type));

    if (!message)
        return ERR_NO_MEMORY;
    TRY(message_decode(type, version, cursor, task->arena, message));
    return message_to_json(type, version, message, json);
}

static enum err all_print(const struct task *task, struct cursor *cursor, struct writer *json,
                          struct why *why)
{
    size_t header_bytes;

    if (!task->with_header)
        return message_print(task, task->type, task->version, cursor, json);
    TRY(header_measure(task, slice_of(cursor->at, cursor_left(cursor)), &header_bytes, why));
    writer_bytes(json, "{\"header\":", 10);
    TRY(message_print(task, header_type(task), header_version(task), cursor, json));
    writer_bytes(json, ",\"body\":", 8);
    TRY(message_print(task, task->type, task->version, cursor, json));
    writer_u8(json, '}');
    return writer_error(json);
}

static int decode(const struct task *task, struct slice input)
{
    CLEANUP(writer_release) struct writer json;
    struct cursor cursor;
    struct slice bytes = input;
    struct why why = {{0}};
    enum err err = OK;

    writer_init(&json, &heap_allocator, SIZE_MAX);
    if (task->form == FORM_HEX || (task->form == FORM_AUTO && looks_hex(input)))
        err = hex_decode(input, task->arena, &bytes);
    if (err != OK)
        return fail("input is not hexadecimal", err, NULL);
    cursor = cursor_of(bytes);
    err = all_print(task, &cursor, &json, &why);
    if (err != OK)
        return fail(task->type->name, err, &why);
    if (cursor_left(&cursor) > 0)
        fprintf(stderr, "barnabas protocol: %zu bytes follow the message\n", cursor_left(&cursor));
    writer_u8(&json, '\n');
    return bytes_print(writer_slice(&json), FORM_RAW);
}

/* ---- encode ---- */

static enum err message_put(const struct task *task, const struct message_type *type,
                            int16_t version, struct slice json, struct writer *bytes,
                            struct why *why)
{
    void *message = arena_zeroed(task->arena, 1, message_struct_bytes(type));

    if (!message)
        return ERR_NO_MEMORY;
    TRY(message_from_json(type, version, json, task->arena, message, why));
    return message_encode(type, version, message, bytes);
}

/* The text of one member of the outer object. */
static enum err member_put(const struct task *task, const json_t *outer, const char *name,
                           const struct message_type *type, int16_t version, struct writer *bytes,
                           struct why *why)
{
    char *text = json_dumps(json_object_get(outer, name), JSON_COMPACT);
    enum err err;

    if (!text)
        return why_set(why, ERR_FORMAT, "an object with the member %s is expected", name);
    err = message_put(task, type, version, slice_from_text(text), bytes, why);
    free(text);
    return err;
}

static enum err all_put(const struct task *task, struct slice json, struct writer *bytes,
                        struct why *why)
{
    json_error_t problem;
    json_t *outer;
    enum err err;

    if (!task->with_header)
        return message_put(task, task->type, task->version, json, bytes, why);
    outer = json_loadb((const char *)json.data, json.size_bytes, JSON_ALLOW_NUL, &problem);
    if (!outer)
        return why_set(why, ERR_FORMAT, "line %d: %s", problem.line, problem.text);
    err = member_put(task, outer, "header", header_type(task), header_version(task), bytes, why);
    if (err == OK)
        err = member_put(task, outer, "body", task->type, task->version, bytes, why);
    json_decref(outer);
    return err;
}

static int encode(const struct task *task, struct slice input)
{
    CLEANUP(writer_release) struct writer bytes;
    struct why why = {{0}};
    size_t header_bytes;
    enum err err;

    writer_init(&bytes, &heap_allocator, SIZE_MAX);
    err = all_put(task, input, &bytes, &why);
    if (err == OK && task->with_header)
        err = header_measure(task, writer_slice(&bytes), &header_bytes, &why);
    if (err != OK)
        return fail(task->type->name, err, &why);
    return bytes_print(writer_slice(&bytes), task->form);
}

/* ---- command line ---- */

static int list(void)
{
    const struct api *api;

    for (size_t i = 0; (api = api_at(i)) != NULL; i++)
        printf("%3d %-38s %2d-%-2d %s%s%s\n", api->key, api->name, api->request->version_min,
               api->request->version_max, api->listeners & API_LISTENER_BROKER ? "broker " : "",
               api->listeners & API_LISTENER_CONTROLLER ? "controller " : "",
               api->latest_version_unstable ? "(latest unstable)" : "");
    return command_printed(CLI_OK);
}

/* Fills api, is_request and type from the words behind decode or encode. */
static int task_target(struct task *task, const char *const *words, int count)
{
    struct slice name = slice_from_text(words[0]);
    int32_t number;

    if (count == 2) {
        task->type = message_type_find(name);
        return task->type ? CLI_OK : usage_error("no message", words[0]);
    }
    task->api = parse_i32(name, &number) == OK && number >= 0 && number <= INT16_MAX
                    ? api_find((int16_t)number)
                    : api_find_name(name);
    if (!task->api)
        return usage_error("no API", words[0]);
    task->is_request = strcmp(words[2], "request") == 0;
    if (!task->is_request && strcmp(words[2], "response") != 0)
        return usage_error("neither request nor response:", words[2]);
    task->type = task->is_request ? task->api->request : task->api->response;
    return CLI_OK;
}

static int task_run(struct task *task, bool is_decode)
{
    CLEANUP(writer_release) struct writer input;
    CLEANUP(arena_release) struct arena arena;
    enum err err;

    writer_init(&input, &heap_allocator, INPUT_BYTES_MAX);
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    task->arena = &arena;
    err = input_read(&input);
    if (err != OK)
        return fail("standard input", err, NULL);
    if (is_decode)
        return decode(task, slice_of(input.data ? input.data : (uint8_t *)"", input.size_bytes));
    return encode(task, slice_of(input.data ? input.data : (uint8_t *)"", input.size_bytes));
}

static int protocol_run(int argc, char **argv)
{
    struct task task = {.form = FORM_AUTO};
    const char *words[4];
    int count = 0, status;
    int32_t version;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(usage, stdout);
            return command_printed(CLI_OK);
        }
        if (strcmp(argv[i], "--header") == 0)
            task.with_header = true;
        else if (strcmp(argv[i], "--hex") == 0)
            task.form = FORM_HEX;
        else if (strcmp(argv[i], "--raw") == 0)
            task.form = FORM_RAW;
        else if (strncmp(argv[i], "--", 2) == 0)
            return usage_error("no option", argv[i]);
        else if (count == (int)ARRAY_COUNT(words))
            return usage_error("too many words:", argv[i]);
        else
            words[count++] = argv[i];
    }
    if (count == 1 && strcmp(words[0], "list") == 0)
        return list();
    if (count < 3 || (strcmp(words[0], "decode") != 0 && strcmp(words[0], "encode") != 0))
        return usage_error("what to do?", NULL);
    status = task_target(&task, words + 1, count - 1);
    if (status != CLI_OK)
        return status;
    if (task.with_header && !task.api)
        return usage_error("only requests and responses have a header", NULL);
    if (parse_i32(slice_from_text(words[2]), &version) != OK || version < task.type->version_min ||
        version > task.type->version_max) {
        fprintf(stderr, "barnabas protocol: %s has the versions %d to %d, not %s\n",
                task.type->name, task.type->version_min, task.type->version_max, words[2]);
        return CLI_USAGE;
    }
    task.version = (int16_t)version;
    return task_run(&task, strcmp(words[0], "decode") == 0);
}

const struct command protocol_command = {
    .name = "protocol",
    .summary = "messages of the protocol: bytes to JSON and back",
    .run = protocol_run,
};
