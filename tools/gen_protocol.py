#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the structs and descriptor tables of every message from schema/protocol.

usage: gen_protocol.py --outputs SCHEMA_DIR          the names of the files that will be written
       gen_protocol.py SCHEMA_DIR OUT_DIR [DEPFILE]  writes them

The schema language
  api KEY NAME  versions A-B  flexible C+|none  listener broker|controller…  [unstable]
  record|remote KEY NAME  versions …  flexible …     metadata and remote log records
  group|share|transaction KEY NAME                   coordinator records: sections `key`, `value`
  data|header NAME  versions …  flexible …
Then sections (request, response | fields | key, value; a section may name its own versions) of fields
  Name  type  versions  [= default]  [tag N]  [ignorable]  [plain]  [# comment]
type is bool i8 i16 u16 i32 u32 i64 f64 uuid string bytes records, the name of a struct, or [] and one
of these; `?` behind it: null is allowed (`?2+`: in these versions). The fields of a struct stand
indented under the first field that uses it, or under `struct Name` when several do. A tagged field
is tagged in all its versions. `ignorable`: silently left out of versions that lack the field.
`plain`: the old length form in flexible versions too.
"""
import os
import re
import sys

VERSION_OPEN = 127  # stands for "and above"
PRIMITIVES = {
    "bool": "bool", "i8": "int8_t", "i16": "int16_t", "u16": "uint16_t", "i32": "int32_t",
    "u32": "uint32_t", "i64": "int64_t", "f64": "double", "uuid": "struct uuid",
    "string": "struct slice", "bytes": "struct slice", "records": "struct slice",
}
INTEGERS = {"i8": (8, True), "i16": (16, True), "u16": (16, False), "i32": (32, True),
            "u32": (32, False), "i64": (64, True)}
KEYWORDS = set("""auto break case char const continue default do double else enum extern float for goto
if inline int long register restrict return short signed sizeof static struct switch typedef union
unsigned void volatile while bool true false""".split())


def snake(name):
    name = name.replace("KRaft", "Kraft")
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name).lower()


def versions(text):
    if text == "none":
        return None
    match = re.fullmatch(r"(\d+)(\+|-(\d+))?", text)
    if not match:
        raise ValueError(f"bad version range {text!r}")
    low = int(match[1])
    return low, low if not match[2] else VERSION_OPEN if match[2] == "+" else int(match[3])


class Field:
    def __init__(self, words):
        self.name, kind, span = words[:3]
        self.versions = versions(span)
        self.array = kind.startswith("[]")
        match = re.fullmatch(r"(?:\[\])?(\w+)(\?(.*))?", kind)
        self.kind = match[1]
        self.nullable = None
        if match[2]:
            self.nullable = versions(match[3]) if match[3] else self.versions
        self.default = None
        self.tag = -1
        self.ignorable = self.plain = False
        rest = words[3:]
        while rest:
            word = rest.pop(0)
            if word == "=":
                self.default = rest.pop(0)
            elif word == "tag":
                self.tag = int(rest.pop(0))
            elif word in ("ignorable", "plain"):
                setattr(self, word, True)
            else:
                raise ValueError(f"unknown word {word!r}")
        self.c_name = snake(self.name)
        if self.c_name in KEYWORDS:
            self.c_name += "_"
        self.json_name = self.name[0].lower() + self.name[1:]
        self.primitive = self.kind in PRIMITIVES
        self.pointer = not self.primitive and not self.array and self.nullable is not None
        self.check()

    def check(self):
        if self.nullable and self.primitive and not self.array and \
                self.kind not in ("string", "bytes", "records"):
            raise ValueError(f"{self.kind} cannot be null")
        if self.default == "null" and not self.nullable:
            raise ValueError("null default of a field that is never null")
        if self.default is None and self.kind == "records":
            self.default = "null"
        if self.default not in (None, "null"):
            if self.kind in INTEGERS and not self.array:
                bits, signed = INTEGERS[self.kind]
                low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
                if not low <= int(self.default) <= high:
                    raise ValueError(f"default {self.default} out of range")
            elif self.kind != "bool" or self.array:
                raise ValueError(f"default {self.default} of a {self.kind}")


class Struct:
    def __init__(self, name):
        self.name = name
        self.fields = []
        self.c_name = None


class Message:
    def __init__(self, name, group, key, span, flexible):
        self.name, self.group, self.key = name, group, key
        self.versions, self.flexible = versions(span), versions(flexible)
        self.c_name = snake(name) + ("_data" if group == "header" else "")
        self.structs = {}
        self.root = Struct(name)

    def finish(self):
        """Names the structs and puts them in an order in which each follows what it embeds."""
        self.root.c_name = self.c_name
        ordered = []

        def visit(struct):
            if struct in ordered:
                return
            for field in struct.fields:
                if field.primitive:
                    continue
                if field.kind not in self.structs:
                    raise ValueError(f"{self.name}: no struct {field.kind}")
                visit(self.structs[field.kind])
            tags = [field.tag for field in struct.fields if field.tag >= 0]
            if len(set(tags)) != len(tags):
                raise ValueError(f"{self.name}: a tag is used twice in {struct.name}")
            if len({field.c_name for field in struct.fields}) != len(struct.fields):
                raise ValueError(f"{self.name}: a field stands twice in {struct.name}")
            ordered.append(struct)

        for struct in self.structs.values():
            struct.c_name = f"{self.c_name}_{snake(struct.name)}"
        visit(self.root)
        if len(ordered) != len(self.structs) + 1:
            raise ValueError(f"{self.name}: an unused struct")
        self.ordered = ordered


class Api:
    def __init__(self, key, name, listeners, unstable):
        self.key, self.name, self.listeners, self.unstable = key, name, listeners, unstable
        self.request = self.response = None


def option(words, name, default=None):
    return words[words.index(name) + 1] if name in words else default


def parse_file(path):
    """Yields the messages of one file, and the Api when it is one."""
    lines = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.split("#", 1)[0].rstrip()
            if line.strip():
                lines.append((number, len(line) - len(line.lstrip()), line.split()))
    try:
        number, _, head = lines.pop(0)
        group = head[0]
        key, name = (-1, head[1]) if group in ("data", "header") else (int(head[1]), head[2])
        span, flexible = option(head, "versions"), option(head, "flexible")
        api = None
        if group == "api":
            at = head.index("listener") + 1
            listeners = [word for word in head[at:] if word in ("broker", "controller")]
            api = Api(key, name, listeners, "unstable" in head)
        messages = []
        stack = []
        for number, indent, words in lines:
            if indent == 0:
                suffix = "" if words[0] == "fields" else words[0].capitalize()
                message = Message(name + suffix, group, key, option(words, "versions", span),
                                  option(words, "flexible", flexible))
                messages.append(message)
                stack = [(2, message.root)]
                continue
            while stack[-1][0] > indent:
                stack.pop()
            if words[0] == "struct" and len(words) == 2:
                struct = Struct(words[1])
                message.structs[words[1]] = struct
                stack.append((indent + 2, struct))
                continue
            if stack[-1][0] < indent:  # the first field under its parent
                parent = stack[-1][1].fields[-1]
                if parent.primitive or parent.kind in message.structs or indent != stack[-1][0] + 2:
                    raise ValueError("fields under a field that takes none")
                struct = Struct(parent.kind)
                message.structs[parent.kind] = struct
                stack.append((indent, struct))
            stack[-1][1].fields.append(Field(words))
        for message in messages:
            message.finish()
    except (ValueError, IndexError, TypeError, AttributeError) as error:
        sys.exit(f"{path}:{number}: {error}")
    if api:
        api.request, api.response = messages
    return api, messages


def parse_all(directory):
    apis, messages = [], []
    for name in sorted(os.listdir(directory)):
        api, found = parse_file(os.path.join(directory, name))
        messages += found
        if api:
            apis.append(api)
    apis.sort(key=lambda api: api.key)
    seen = {}
    for message in messages:
        for struct in message.ordered:
            if struct.c_name in seen:
                sys.exit(f"struct {struct.c_name} comes from {seen[struct.c_name]} and {message.name}")
            seen[struct.c_name] = message.name
    return apis, messages


# ---- C text ----

def member(message, field):
    base = PRIMITIVES.get(field.kind) or f"struct {message.structs[field.kind].c_name}"
    if field.array:
        return [f"{base} *{field.c_name};", f"int32_t {field.c_name}_count;"]
    return [f"{base} {'*' if field.pointer else ''}{field.c_name};"]


def remark(message, field):
    """What a reader of the header wants to know beyond the type."""
    words = []
    if field.kind in ("bytes", "records"):
        words.append(field.kind)
    low, high = field.versions
    if (low, high) != (0, VERSION_OPEN) and (low, high) != message.versions:
        words.append(f"v{low}+" if high == VERSION_OPEN else f"v{low}" if low == high else f"v{low}-{high}")
    if field.nullable:
        words.append("nullable")
    if field.default is not None and field.kind != "records":
        words.append(f"default {field.default}")
    if field.pointer and field.default is None:
        words.append("default: the shared, read-only default struct")
    if field.tag >= 0:
        words.append(f"tag {field.tag}")
    return f" /* {', '.join(words)} */" if words else ""


def header_text(message):
    guard = f"PROTOCOL_GENERATED_{message.c_name.upper()}_H"
    span = f"{message.versions[0]}-{message.versions[1]}"
    flexible = f"{message.flexible[0]}+" if message.flexible else "none"
    out = [f"/* {message.name}, versions {span}, flexible {flexible}. Written by tools/gen_protocol.py from",
           " * schema/protocol; do not edit. */",
           f"#ifndef {guard}", f"#define {guard}", "", '#include "protocol/message.h"', ""]
    for struct in message.ordered:
        name = struct.c_name
        out.append(f"struct {name} {{")
        for field in struct.fields:
            lines = member(message, field)
            lines[0] += remark(message, field)
            out += ["    " + line for line in lines]
        if not struct.fields:
            out.append("    bool empty_; /* no fields */")
        out += ["};", f"extern const struct {name} {name}_default;",
                f"static inline void {name}_init(struct {name} *out)", "{",
                f"    *out = {name}_default;", "}",
                "/* Initialised elements; NULL when out of memory. */",
                f"static inline struct {name} *",
                f"{name}_array(struct arena *arena, size_t count)", "{",
                f"    return (struct {name} *)message_array(",
                f"        arena, count, &{name}_default, sizeof {name}_default);", "}", ""]
    out += [f"extern const struct message_type {message.c_name}_type;", "", "#endif", ""]
    return "\n".join(out)


def initial(message, field):
    """The designated initialisers of one member; an empty list when zero is the default."""
    name = field.c_name
    if field.array:
        return [f".{name}_count = -1"] if field.default == "null" else []
    if field.kind in ("string", "bytes", "records"):
        return [] if field.default == "null" else [f".{name} = {{(const uint8_t *)\"\", 0}}"]
    if field.pointer:
        if field.default == "null":
            return []
        name_of = message.structs[field.kind].c_name
        return [f".{name} = (struct {name_of} *)&{name_of}_default"]
    if not field.primitive:
        inner = initials(message, message.structs[field.kind])
        return [f".{name} = {{{', '.join(inner)}}}"] if inner else []
    if field.default is None:
        return []
    value = field.default
    if field.kind == "i64":
        value = f"INT64_C({value})"
    elif value == str(-(1 << 31)):
        value = "INT32_MIN"
    return [f".{name} = {value}"]


def initials(message, struct):
    return [text for field in struct.fields for text in initial(message, field)]


def span_text(span):
    return "{%d, %d}" % (span if span else (1, 0))


def table_text(message):
    out = []
    for struct in message.ordered:
        name = struct.c_name
        inner = ", ".join(initials(message, struct))
        out.append(f"const struct {name} {name}_default = {{{inner or '0'}}};")
        if struct.fields:
            out.append(f"static const struct message_field {name}_fields[] = {{")
        for field in struct.fields:
            flags = [flag for flag, on in (
                ("MESSAGE_ARRAY", field.array), ("MESSAGE_POINTER", field.pointer),
                ("MESSAGE_IGNORABLE", field.ignorable), ("MESSAGE_PLAIN", field.plain),
                ("MESSAGE_NULL_DEFAULT", field.default == "null")) if on]
            kind = field.kind.upper() if field.primitive else "STRUCT"
            parts = [f'"{field.json_name}"', f"MESSAGE_{kind}", " | ".join(flags) or "0",
                     str(field.tag), span_text(field.versions), span_text(field.nullable),
                     f"offsetof(struct {name}, {field.c_name})",
                     f"offsetof(struct {name}, {field.c_name}_count)" if field.array else "0",
                     "NULL" if field.primitive else f"&{message.structs[field.kind].c_name}_table"]
            out.append(f"    {{{', '.join(parts)}}},")
        if struct.fields:
            out.append("};")
        order = sorted((field.tag, at) for at, field in enumerate(struct.fields) if field.tag >= 0)
        if order:
            text = ", ".join(str(at) for _, at in order)
            out.append(f"static const uint8_t {name}_tags[] = {{{text}}};")
        out += [f"static const struct message_struct {name}_table = {{",
                f'    "{struct.name}", {name + "_fields" if struct.fields else "NULL"}, '
                f'{name + "_tags" if order else "NULL"}, &{name}_default,',
                f"    sizeof(struct {name}), {len(struct.fields)}, {len(order)},", "};"]
    flexible = message.flexible[0] if message.flexible else "INT16_MAX"
    out += [f"const struct message_type {message.c_name}_type = {{",
            f'    "{message.name}", {message.key}, {message.versions[0]}, {message.versions[1]}, '
            f"{flexible}, &{message.c_name}_table,", "};", ""]
    return "\n".join(out)


def tables(apis, messages):
    out = ["/* Written by tools/gen_protocol.py from schema/protocol; do not edit. */",
           '#include "protocol/generated/messages.h"', "",
           '#include "protocol/message_internal.h"', ""]
    out += [table_text(message) for message in messages]
    out.append("const struct api message_apis[] = {")
    for api in apis:
        listeners = " | ".join(f"API_LISTENER_{word.upper()}" for word in api.listeners)
        response = api.response.root
        throttle = any(field.json_name == "throttleTimeMs" for field in response.fields)
        throttle = f"offsetof(struct {response.c_name}, throttle_time_ms)" if throttle else "-1"
        out.append(f'    {{{api.key}, "{api.name}", &{api.request.c_name}_type, '
                   f"&{api.response.c_name}_type, {throttle}, {listeners}, "
                   f"{str(api.unstable).lower()}}},")
    out += ["};", f"const size_t message_apis_count = {len(apis)};",
            "const int16_t message_apis_by_key[] = { /* index + 1; 0: no API has the key */"]
    out += [f"    [{api.key}] = {index + 1}," for index, api in enumerate(apis)]
    out += ["};", f"const size_t message_apis_by_key_count = {apis[-1].key + 1};", "",
            "const struct message_type *const message_types[] = { /* sorted by name */"]
    out += [f"    &{message.c_name}_type," for message in sorted(messages, key=lambda m: m.name)]
    out += ["};", f"const size_t message_types_count = {len(messages)};", "",
            "const struct message_type *const message_metadata_records[] = { /* by key */"]
    records = {message.key: message for message in messages if message.group == "record"}
    out += [f"    [{key}] = &{records[key].c_name}_type," for key in sorted(records)]
    out += ["};", f"const size_t message_metadata_records_count = {max(records) + 1};", ""]
    return "\n".join(out)


def keys(apis, messages):
    out = ["/* Written by tools/gen_protocol.py from schema/protocol; do not edit. */",
           "#ifndef PROTOCOL_GENERATED_API_KEYS_H", "#define PROTOCOL_GENERATED_API_KEYS_H", "",
           "enum api_key {"]
    out += [f"    API_{snake(api.name).upper()} = {api.key}," for api in apis]
    out += ["};", f"#define API_KEY_MAX {apis[-1].key}", ""]
    for group, comment in (("record", "records of the metadata log"), ("group", "__consumer_offsets"),
                           ("share", "__share_group_state"), ("transaction", "__transaction_state"),
                           ("remote", "__remote_log_metadata")):
        prefix = "metadata" if group == "record" else group
        out += [f"enum {prefix}_record_key {{ /* {comment} */"]
        found = sorted((message.key, message.name) for message in messages
                       if message.group == group and not message.name.endswith("Value"))
        for key, name in found:
            name = snake(name[:-3] if name.endswith("Key") else re.sub("Record$", "", name)).upper()
            out.append(f"    {prefix.upper()}_RECORD_{name} = {key},")
        out += ["};", ""]
    return "\n".join(out + ["#endif", ""])


def aggregate(messages):
    return "\n".join(["/* Written by tools/gen_protocol.py from schema/protocol; do not edit. */",
                      "#ifndef PROTOCOL_GENERATED_MESSAGES_H", "#define PROTOCOL_GENERATED_MESSAGES_H", "",
                      '#include "protocol/generated/api_keys.h"']
                     + [f'#include "protocol/generated/{message.c_name}.h"' for message in messages]
                     + ["", "#endif", ""])


def write(directory, name, text):
    path = os.path.join(directory, name)
    try:
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return  # an untouched file rebuilds nothing
    except FileNotFoundError:
        pass
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def main():
    arguments = sys.argv[1:]
    if arguments[0] == "--outputs":
        _, messages = parse_all(arguments[1])
        print("\n".join(["tables.c", "api_keys.h", "messages.h"]
                        + [f"{message.c_name}.h" for message in messages]))
        return
    schema, target = arguments[:2]
    apis, messages = parse_all(schema)
    os.makedirs(target, exist_ok=True)
    write(target, "tables.c", tables(apis, messages))
    write(target, "api_keys.h", keys(apis, messages))
    write(target, "messages.h", aggregate(messages))
    for message in messages:
        write(target, f"{message.c_name}.h", header_text(message))
    if len(arguments) > 2:
        sources = " ".join(os.path.join(schema, name) for name in sorted(os.listdir(schema)))
        with open(arguments[2], "w", encoding="utf-8") as file:
            file.write(f"{os.path.join(target, 'tables.c')}: {schema} {sources}\n")


if __name__ == "__main__":
    main()
