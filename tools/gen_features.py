#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads schema/ and writes what this build serves: docs/features.md and served_apis.h.

  gen_features.py SCHEMA_DIR docs FILE | header FILE | --check FILE
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gen_config  # noqa: E402

LISTENERS = ("broker", "controller")
# Apache advertises versions that it no longer decodes, for old librdkafka: only here.
BELOW_SCHEMA = {"Produce"}


def fail(text):
    sys.exit(f"gen_features.py: {text}")


def versions_of(text):
    low, _, high = text.partition("-")
    return int(low), int(high or low)


class Api:
    def __init__(self, words):
        self.key, self.name = int(words[1]), words[2]
        self.low, self.high = versions_of(words[words.index("versions") + 1])
        at = words.index("listener") + 1
        self.listeners = [word for word in words[at:] if word in LISTENERS]


def read_protocol(folder):
    """APIs by name, and (kind, name, versions) of every record."""
    apis, records = {}, []
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if not os.path.isfile(path):
            continue
        group = None
        for line in open(path, encoding="utf-8"):
            words = line.split("#")[0].split()
            if not words:
                continue
            if words[0] == "api":
                api = Api(words)
                apis[api.name] = api
            elif words[0] in ("record", "data") and not line.startswith(" "):
                plain = words[1] if words[0] == "data" else words[2]
                records.append((words[0], plain, words[words.index("versions") + 1]))
            elif words[0] in ("group", "transaction", "share") and not line.startswith(" "):
                group = words[0]
                records.append((group, words[2], "–"))
    return apis, sorted(set(records))


def read_served(path, apis, records):
    """{listener: {name: (low, high)}}, {record: set of words}"""
    served = {listener: {} for listener in LISTENERS}
    used = {}
    known = {name for _, name, _ in records}
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        where = f"{path}:{number}"
        if words[0] in LISTENERS and len(words) == 3:
            api = apis.get(words[1])
            if not api or words[0] not in api.listeners:
                fail(f"{where}: no API {words[1]} on the {words[0]} listener")
            low, high = versions_of(words[2])
            if high > api.high or low > high or (low < api.low and api.name not in BELOW_SCHEMA):
                fail(f"{where}: {api.name} has versions {api.low}-{api.high}")
            if words[1] in served[words[0]]:
                fail(f"{where}: {words[1]} is there twice")
            served[words[0]][words[1]] = (low, high)
        elif words[0] == "record" and len(words) >= 3 and set(words[2:]) <= {"read", "written"}:
            if words[1] not in known:
                fail(f"{where}: no record {words[1]}")
            used[words[1]] = words[2:]
        else:
            fail(f"{where}: not understood: {line.strip()}")
    return served, used


def header(apis, served):
    out = ["/* Written by tools/gen_features.py from schema/served; do not edit. */",
           "#ifndef CONFIG_SERVED_APIS_H", "#define CONFIG_SERVED_APIS_H", "",
           "#include <stdint.h>", "",
           "/* What ApiVersions advertises; ascending keys, the last row has api_key -1. */",
           "struct served_api {", "    int16_t api_key;", "    int16_t min;", "    int16_t max;",
           "};", ""]
    for listener in LISTENERS:
        out.append("__attribute__((unused)) static const struct served_api "
                   f"served_{listener}_apis[] = {{")
        for name in sorted(served[listener], key=lambda name: apis[name].key):
            low, high = served[listener][name]
            out.append(f"    {{{apis[name].key}, {low}, {high}}}, /* {name} */")
        out += ["    {-1, 0, 0},", "};", ""]
    return "\n".join(out + ["#endif", ""])


def span(pair):
    return "–" if not pair else f"{pair[0]}" if pair[0] == pair[1] else f"{pair[0]}–{pair[1]}"


def api_section(apis, served):
    count = sum(1 for name in apis if any(name in served[one] for one in LISTENERS))
    out = ["## APIs", "",
           f"{count} of Kafka's {len(apis)} APIs are answered. A dash: not advertised. ACL and delegation-token "
           "APIs are answered as by a Kafka without authorizer and secret key: refused. Produce below version 3 is "
           "advertised for old librdkafka, as Kafka does, and not decoded.", "",
           "| Key | API | Kafka 4.4 | Broker listener | Controller listener |",
           "|---|---|---|---|---|"]
    for api in sorted(apis.values(), key=lambda api: api.key):
        cells = [span(served[one].get(api.name)) for one in LISTENERS]
        out.append(f"| {api.key} | {api.name} | {span((api.low, api.high))} | "
                   f"{cells[0]} | {cells[1]} |")
    return out + [""]


def config_section(scopes):
    out = ["## Configuration", "",
           "Every key is known, checked and described: see [config.md](config.md).", "",
           "| Scope | Keys | Implemented | Later | No effect | Refused |", "|---|---|---|---|---|---|"]
    own = [key for key in scopes["broker"] if key.own]
    rows = [("Broker and controller (3 dynamic only)", [key for key in scopes["broker"] if not key.own]),
            ("`barnabas.`", own)]
    rows += [(title, scopes[name]) for name, title in
             (("topic", "Topic"), ("group", "Group"), ("client_metrics", "Client metrics"))]
    for title, keys in rows:
        keys = [key for key in keys if not key.internal]
        counts = [sum(1 for key in keys if key.status == status)
                  for status in ("implemented", "later", "no-effect", "refused")]
        out.append(f"| {title} | {len(keys)} | " + " | ".join(map(str, counts)) + " |")
    out.append("")
    for status, title in (("later", "Accepted, but its part is not built yet"),
                          ("no-effect", "Without effect here"),
                          ("refused", "Refused unless left at its default")):
        reasons = {}
        for name, _, _ in gen_config.SCOPES:
            for key in scopes[name]:
                if key.status == status and not key.internal:
                    reasons.setdefault(key.reason, []).append(f"`{key.name}`")
        out += [f"### {title}", ""]
        out += [f"- {reason}: {', '.join(dict.fromkeys(keys))}"
                for reason, keys in sorted(reasons.items())]
        out.append("")
    return out


def record_section(records, used):
    titles = {"record": "Metadata", "group": "Group coordinator", "share": "Share coordinator",
              "transaction": "Transaction coordinator", "data": "Control records, files and others"}
    out = ["## Records", "",
           "The codec knows all of them; *read* and *written* say what the node does with them (of ACLs and "
           "delegation tokens, which another node wrote: keeps them, in its snapshots too).",
           "", "| Kind | Record | Versions | Node |", "|---|---|---|---|"]
    for kind, name, versions in records:
        out.append(f"| {titles[kind]} | {name} | {versions} | "
                   f"{', '.join(used.get(name, [])) or '–'} |")
    return out + [""]


def docs(scopes, apis, records, served, used):
    out = ["<!-- Written by tools/gen_features.py from schema/; do not edit. -->",
           "# What this build serves", "",
           "Generated from the same tables that the server is built from; a test fails when this "
           "page is stale.", ""]
    out += api_section(apis, served) + config_section(scopes) + record_section(records, used)
    return "\n".join(out)


def main():
    folder, what, path = sys.argv[1:]
    apis, records = read_protocol(os.path.join(folder, "protocol"))
    served, used = read_served(os.path.join(folder, "served"), apis, records)
    if what == "header":
        text = header(apis, served)
    else:
        text = docs(gen_config.read_all(os.path.join(folder, "config")), apis, records, served,
                    used)
    if what in ("--check", "check"):
        if not os.path.exists(path) or open(path, encoding="utf-8").read() != text:
            fail(f"{path} is stale: run tools/gen_features.py {folder} docs {path}")
        return
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
