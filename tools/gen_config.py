#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads schema/config and writes config_keys.h, config_tables.c or docs/config.md.

  gen_config.py SCHEMA_DIR header FILE | tables FILE | docs FILE | check-docs FILE
  gen_config.py SCHEMA_DIR unused SOURCE_DIR    implemented broker keys that no source file reads
"""
import os
import re
import shlex
import sys

TYPES = ("boolean", "string", "int", "short", "long", "double", "list", "class", "password")
CHECKS = {"gzip-level": "[1,...,9] or -1", "not-empty": "non-empty string",
          "not-null": "non-null string", "voters": "non-empty list",
          "bootstrap-servers": "non-empty list",
          "throttled-replicas": "[partitionId]:[brokerId],[partitionId]:[brokerId],...",
          "share-offset-reset": "[latest, earliest, by_duration:PnDTnHnMn.nS]",
          "http-listener": "host:port or empty"}
UNITS = ((".bytes", "BYTES"), (".bytes.per.second", "BYTES"), ("buffer.size", "BYTES"),
         (".bytes.between.snapshots", "BYTES"), (".ms", "MS"), (".millis", "MS"),
         (".seconds", "SECONDS"), (".secs", "SECONDS"), (".minutes", "MINUTES"), (".hours", "HOURS"))
SCOPES = (("broker", "BROKER", "broker"), ("topic", "TOPIC", "topic"), ("group", "GROUP", "group"),
          ("client_metrics", "CLIENT_METRICS", "client_metrics"))
STATUS = {"implemented": "CONFIG_IMPLEMENTED", "no-effect": "CONFIG_NO_EFFECT",
          "later": "CONFIG_LATER", "refused": "CONFIG_REFUSED"}


class Key:
    def __init__(self, where, line, own):
        words = line.split()
        self.where, self.own = where, own
        self.name, self.type = words[0], words[1]
        self.required, self.default = True, None
        self.minimum = self.maximum = self.words = self.check = None
        self.any_case = self.distinct = self.not_empty = self.or_null = False
        self.dynamic, self.dynamic_only, self.internal = "read-only", False, False
        self.broker, self.importance = [], "medium"
        self.status, self.reason, self.text = "implemented", None, None
        if self.type not in TYPES:
            fail(where, f"unknown type {self.type}")
        rest = words[2:]
        if rest[:1] == ["="]:
            self.required = False
            self.default = None if rest[1] == "null" else "" if rest[1] == '""' else rest[1]
            rest = rest[2:]
        while rest:
            word = rest.pop(0)
            if word == "min":
                self.minimum = rest.pop(0)
            elif word == "max":
                self.maximum = rest.pop(0)
            elif word in ("in", "in-any-case"):
                self.words, self.any_case = rest.pop(0).split(","), word == "in-any-case"
            elif word in ("distinct", "not-empty", "or-null", "dynamic-only", "internal"):
                setattr(self, word.replace("-", "_"), True)
            elif word == "check":
                self.check = rest.pop(0)
                if self.check not in CHECKS:
                    fail(where, f"unknown check {self.check}")
            elif word == "dynamic":
                self.dynamic = rest.pop(0)
            elif word == "broker":
                for synonym in rest.pop(0).split(","):
                    name, _, factor = synonym.partition("*")
                    self.broker.append((name, int(factor or 1)))
            elif word == "importance":
                self.importance = rest.pop(0)
            else:
                fail(where, f"unknown word {word}")

    def symbol(self, prefix):
        name = self.name.upper().replace(".", "_").replace("-", "_")
        return name if self.own else f"{prefix}_{name}"

    def unit(self):
        if self.type not in ("int", "short", "long"):
            return "NONE"
        for end, unit in UNITS:
            if self.name.endswith(end):
                return unit
        return "NONE"

    def valid(self):
        """Allowed values in the words of Kafka's documentation."""
        if self.check:
            return CHECKS[self.check]
        if self.words:
            case = "(case insensitive) " if self.any_case else ""
            return case + "[" + ", ".join(self.words) + "]"
        if self.minimum is not None and self.maximum is not None:
            return f"[{self.minimum},...,{self.maximum}]"
        if self.minimum is not None:
            return f"[{self.minimum},...]"
        if self.maximum is not None:
            return f"[...,{self.maximum}]"
        return ""

    def check_kind(self):
        if self.check:
            return self.check.upper().replace("-", "_")
        if self.distinct:
            return "LIST"
        if self.words:
            return "WORD_ANY_CASE" if self.any_case else "WORD"
        if self.minimum is not None or self.maximum is not None:
            return "RANGE"
        return "NONE"


def fail(where, text):
    sys.exit(f"{where}: {text}")


def read(path, own=False):
    keys = []
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        where = f"{path}:{number}"
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith(" "):
            keys.append(Key(where, line, own))
            continue
        key, text = keys[-1], line.strip()
        first = text.split(" ", 1)[0]
        if first in STATUS and text.endswith('"'):
            words = shlex.split(text)
            key.status, key.reason = words[0], words[1]
        elif key.text is None:
            key.text = text
        else:
            fail(where, "a second description")
    for key in keys:
        if not key.text:
            fail(key.where, f"{key.name} has no description")
    return keys


def read_all(folder):
    scopes = {}
    for name, _, _ in SCOPES:
        keys = read(os.path.join(folder, name))
        if name == "broker":
            keys += read(os.path.join(folder, "barnabas"), own=True)
        keys.sort(key=lambda key: key.name.encode())
        for one, two in zip(keys, keys[1:]):
            if one.name == two.name:
                fail(two.where, f"{two.name} is there twice")
        scopes[name] = keys
    return scopes


def read_removed(folder):
    rows = []
    for line in open(os.path.join(folder, "removed"), encoding="utf-8"):
        if line.strip() and not line.startswith("#"):
            name, text = line.strip().split(None, 1)
            rows.append((name, text))
    return sorted(rows)


def quote(text):
    if text is None:
        return "NULL"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def header(scopes):
    out = ["/* Written by tools/gen_config.py from schema/config; do not edit. */",
           "#ifndef CONFIG_CONFIG_KEYS_H", "#define CONFIG_CONFIG_KEYS_H", ""]
    for name, prefix, enum in SCOPES:
        out.append(f"enum {enum}_key {{")
        out += [f"    {key.symbol(prefix)}," for key in scopes[name]]
        out += [f"    {prefix}_KEY_COUNT", "};", ""]
    return "\n".join(out + ["#endif", ""])


def tables(scopes, removed):
    brokers = {key.name: key for key in scopes["broker"]}
    out = ["/* Written by tools/gen_config.py from schema/config; do not edit. */",
           '#include "config/config_internal.h"', ""]
    for name, prefix, _ in SCOPES:
        for key in scopes[name]:
            if key.words:
                symbol = key.symbol(prefix).lower()
                listed = ", ".join(quote(word) for word in key.words)
                out.append(f"static const char *const {symbol}_words[] = {{{listed}, NULL}};")
            if key.broker:
                symbol = key.symbol(prefix).lower()
                rows = []
                for broker, factor in key.broker:
                    if broker not in brokers:
                        fail(key.where, f"no broker key {broker}")
                    rows.append(f"{{{brokers[broker].symbol('BROKER')}, {factor}}}")
                out.append(f"static const struct config_synonym {symbol}_synonyms[] = "
                           f"{{{', '.join(rows)}}};")
    for name, prefix, enum in SCOPES:
        out += ["", f"const struct config_key config_{enum}_keys[{prefix}_KEY_COUNT] = {{"]
        for key in scopes[name]:
            symbol = key.symbol(prefix)
            fields = [f".name = {quote(key.name)}", f".default_text = {quote(key.default)}",
                      f".text = {quote(key.text)}", f".valid_text = {quote(key.valid())}",
                      f".type = CONFIG_TYPE_{key.type.upper()}",
                      f".importance = CONFIG_{key.importance.upper()}"]
            if key.reason:
                fields.append(f".status_text = {quote(key.reason)}")
            if key.status != "implemented":
                fields.append(f".status = {STATUS[key.status]}")
            if key.broker:
                fields.append(f".synonyms = {symbol.lower()}_synonyms")
                fields.append(f".synonym_count = {len(key.broker)}")
            if key.dynamic != "read-only":
                fields.append(f".dynamic = CONFIG_{key.dynamic.upper().replace('-', '_')}")
            if key.unit() != "NONE":
                fields.append(f".unit = CONFIG_UNIT_{key.unit()}")
            for flag in ("required", "internal", "dynamic_only", "own"):
                if getattr(key, flag):
                    fields.append(f".{flag} = true")
            if key.check_kind() != "NONE":
                check = [f".kind = CONFIG_CHECK_{key.check_kind()}"]
                if key.minimum is not None:
                    check.append(f".minimum_text = {quote(key.minimum)}, .minimum = {key.minimum}")
                if key.maximum is not None:
                    check.append(f".maximum_text = {quote(key.maximum)}, .maximum = {key.maximum}")
                if key.words:
                    check.append(f".words = {symbol.lower()}_words")
                if not key.not_empty:
                    check.append(".empty_allowed = true")
                if key.or_null:
                    check.append(".null_allowed = true")
                fields.append(".check = {" + ", ".join(check) + "}")
            out.append(f"    [{symbol}] = {{")
            out += [f"        {field}," for field in fields]
            out.append("    },")
        out.append("};")
    out += ["", "const struct config_removed config_removed_keys[] = {"]
    out += [f"    {{{quote(name)}, {quote(text)}}}," for name, text in removed]
    out += ["    {NULL, NULL},", "};", ""]
    return "\n".join(out)


def status_cell(key):
    return key.status if not key.reason else f"{key.status}: {key.reason}"


def docs(scopes):
    titles = {"broker": "Broker and controller", "topic": "Topics", "group": "Groups",
              "client_metrics": "Client metrics subscriptions"}
    out = ["<!-- Written by tools/gen_config.py from schema/config; do not edit. -->",
           "# Configuration", "",
           "Every key of Kafka 4.4 and the `barnabas.` keys of our own. *Status*: **implemented**; "
           "**later**: accepted, checked and shown, but its part is not built yet; **no-effect**: "
           "the thing does not exist here; **refused**: any value but the default refuses the "
           "start or the change. Keys that are set and not implemented are listed at start. "
           "*Change*: whether and where a running broker takes a new value.", "",
           "In a file, sizes may carry `KiB`, `MiB`, `GiB`, `TiB` and times `ms`, `s`, `min`, `h`, "
           "`d`: `log.segment.bytes=256MiB`, `log.retention.ms=7d`. Values set over the protocol "
           "are plain numbers, as in Kafka.", ""]
    for name, _, _ in SCOPES:
        keys = [key for key in scopes[name] if not key.internal]
        own = [key for key in keys if key.own]
        for title, rows in ((titles[name], [key for key in keys if not key.own]),
                            ("Barnabas's own", own)):
            if not rows:
                continue
            change = name == "broker" and rows is not own
            out += [f"## {title}", ""]
            third = "Change" if change else "Broker default" if name in ("topic", "group") else None
            head = ["Key", "Type", "Default", "Allowed"] + ([third] if third else [])
            head += ["Status", "What it does"]
            out.append("| " + " | ".join(head) + " |")
            out.append("|" + "---|" * len(head))
            for key in rows:
                default = "required" if key.required else "null" if key.default is None else (
                    "empty" if key.default == "" else f"`{key.default}`")
                cells = [f"`{key.name}`", key.type, default, key.valid() or "any"]
                if change:
                    cells.append("dynamic only" if key.dynamic_only else key.dynamic)
                elif third:
                    cells.append(", ".join(f"`{b}`" for b, _ in key.broker) or "–")
                cells += [status_cell(key), key.text]
                out.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
            out.append("")
    return "\n".join(out)


def unused(scopes, folder):
    """A key is read by its symbol, or through the topic or group key that it is the default of."""
    words = set()
    for here, _, names in os.walk(folder):
        for name in names:
            if name.endswith((".c", ".h")):
                text = open(os.path.join(here, name), encoding="utf-8").read()
                words.update(re.findall(r"\b(?:BROKER|BARNABAS)_[A-Z0-9_]+", text))
    for scope in ("topic", "group"):
        for key in scopes[scope]:
            words.update("BROKER_" + name.upper().replace(".", "_") for name, _ in key.broker)
    return [key.name for key in scopes["broker"]
            if key.status == "implemented" and key.symbol("BROKER") not in words]


def main():
    folder, what, path = sys.argv[1:]
    scopes = read_all(folder)
    if what == "check-docs":
        if not os.path.exists(path) or open(path, encoding="utf-8").read() != docs(scopes):
            sys.exit(f"{path} is stale: run tools/gen_config.py {folder} docs {path}")
        return
    if what == "unused":
        print("\n".join(unused(scopes, path)))
        return
    text = {"header": lambda: header(scopes), "docs": lambda: docs(scopes),
            "tables": lambda: tables(scopes, read_removed(folder))}[what]()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
