#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the statuses of schema/config against the sources and the tests.

  check_config_use.py [list]      run in the project's root; list: one line per key and where it is read

1. A key without a status word (implemented) is read outside src/config: by its symbol (BROKER_X, TOPIC_X,
   BARNABAS_X), by its name in quotes, or by what src/config makes of it (READ_THROUGH, topic fields,
   the topic key that takes its default from it).
2. A later, no-effect or refused key is not read there, but for READ_THOUGH_NOT_IMPLEMENTED.
3. A test names each implemented key in a line with the word `effect:`, behind it the keys in question:
   the test sets them and observes what differs.
"""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gen_config  # noqa: E402

# What src/config makes of single keys, and where others take it: fields of struct node_config and
# functions of config.h.
READ_THROUGH = {
    "advertised.listeners": r"config\.advertised|config->advertised",
    "barnabas.flush.mode": r"->flush_mode == CONFIG_FLUSH_OS",
    "barnabas.flush.os.topics": r"->flush_os_topics",
    "barnabas.http.listener": r"config\.http",
    "barnabas.shards": r"config\.shards",
    "broker.id": r"config\.node_id",  # another name of node.id
    "controller.listener.names": r"config\.controller_listener_names|listener->controller",
    "controller.quorum.bootstrap.servers": r"config->bootstrap",
    "controller.quorum.voters": r"config->voters",
    "inter.broker.listener.name": r"config\.inter_broker_listener",
    "listener.security.protocol.map": r"config\.listeners",  # names and protocols of listeners
    "listeners": r"config\.listeners",
    "log.dir": r"config\.log_dirs",
    "log.dirs": r"config\.log_dirs",
    "max.connections.per.ip.overrides": r"\.ip_limits",
    "metadata.log.dir": r"config\.metadata_log_dir",
    "node.id": r"config\.node_id",
    "process.roles": r"config->broker \|\||config\.controller",
}
# Topic keys whose field of struct topic_config has another name.
TOPIC_FIELDS = {
    "cleanup.policy": "delete_segments|compact",
    "compression.type": "compression",
    "follower.replication.throttled.replicas": "follower_throttled_replicas",
    "internal.segment.bytes": "segment_bytes",  # takes its place when set
    "leader.replication.throttled.replicas": "leader_throttled_replicas",
    "message.timestamp.type": "message_timestamp_log_append",
}
# Keys that are read and yet not implemented, and why that is honest.
READ_THOUGH_NOT_IMPLEMENTED = {
    **{f"controller.quorum.{name}": "handed to the raft core, which has nobody to talk to yet"
       for name in ("election.backoff.max.ms", "election.timeout.ms", "fetch.max.bytes",
                    "fetch.snapshot.max.bytes", "fetch.timeout.ms", "request.timeout.ms",
                    "retry.backoff.ms")},
    "controller.quorum.auto.join.enable": "handed to the raft core, which knows it; the start refuses true",
    "follower.replication.throttled.replicas": "kept with the topic's settings; nobody asks them yet",
    "leader.replication.throttled.replicas": "kept with the topic's settings; nobody asks them yet",
}


def sources(folder, without=()):
    """(path, text without comments) of C files."""
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders
                            if os.path.join(here, each) not in without and each != "generated")
        for name in sorted(names):
            if name.endswith((".c", ".h")):
                path = os.path.join(here, name)
                text = open(path, encoding="utf-8").read()
                yield path, re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), text, flags=re.S)


def place(found, path, text, start):
    found.append(f"{path}:{text.count(chr(10), 0, start) + 1}")


def readers(scopes):
    """key (scope, name) → places that read it."""
    symbols, patterns = {}, {}
    for scope, prefix in (("broker", "BROKER"), ("topic", "TOPIC")):
        for key in scopes[scope]:
            symbols[key.symbol(prefix)] = (scope, key.name)
            symbols[f'"{key.name}"'] = None if scope == "topic" else (scope, key.name)
    for name, pattern in READ_THROUGH.items():
        patterns[("broker", name)] = re.compile(pattern)
    for key in scopes["topic"]:
        field = TOPIC_FIELDS.get(key.name, key.name.replace(".", "_"))
        patterns[("topic", key.name)] = re.compile(rf"topic(?:\.|->)(?:{field})\b(?!\s*=[^=])")
    found = {(scope, key.name): [] for scope in ("broker", "topic") for key in scopes[scope]}
    for path, text in sources("src", without=("src/config",)):
        for match in re.finditer(r'\b(?:BROKER|TOPIC|BARNABAS)_[A-Z0-9_]+\b|"barnabas\.[a-z.]+"', text):
            if symbols.get(match[0]):
                place(found[symbols[match[0]]], path, text, match.start())
        for key, pattern in patterns.items():
            match = pattern.search(text)
            if match:
                place(found[key], path, text, match.start())
    for key in scopes["topic"]:  # a broker's value is read as the topic's
        if key.status == "implemented" and found[("topic", key.name)]:
            for name, _ in key.broker:
                found[("broker", name)] += found[("topic", key.name)]
    return found


def tested():
    """Keys named behind `effect:` in the tests, with the place."""
    named = {}
    for here, folders, names in os.walk("tests"):
        folders[:] = [each for each in folders if each not in ("node_modules", "golden", "corpus")]
        for name in names:
            if not name.endswith((".c", ".h", ".py")):
                continue
            path = os.path.join(here, name)
            for number, line in enumerate(open(path, encoding="utf-8"), 1):
                _, mark, rest = line.partition("effect:")
                rest = re.split(r'"|\*/', rest)[0]
                for word in re.findall(r"[a-z][a-z0-9]*(?:\.[a-z0-9]+)+|\b(?:preallocate|listeners)\b", rest) if mark else ():
                    named.setdefault(word, []).append(f"{path}:{number}")
    return named


def main():
    scopes = gen_config.read_all("schema/config")
    found, named, wrong = readers(scopes), tested(), []
    for scope in ("broker", "topic"):
        for key in scopes[scope]:
            places = found[(scope, key.name)]
            if sys.argv[1:] == ["list"]:
                print(f"{scope} {key.name} [{key.status}] read: {' '.join(places[:3]) or '-'} "
                      f"test: {' '.join(named.get(key.name, [])[:3]) or '-'}")
            if key.status == "implemented":
                if not places:
                    wrong.append(f"{key.where}: {key.name} claims to be implemented, and nothing reads it")
                if key.name not in named:
                    wrong.append(f"{key.where}: {key.name} is implemented, and no test says `effect: {key.name}`")
            elif places and key.name not in READ_THOUGH_NOT_IMPLEMENTED:
                wrong.append(f"{key.where}: {key.name} is \"{key.status}\", and {places[0]} reads it")
    known = {key.name for scope in scopes.values() for key in scope}
    for table in (READ_THROUGH, TOPIC_FIELDS, READ_THOUGH_NOT_IMPLEMENTED, named):
        wrong += [f"tools/check_config_use.py: {name} is no key" if table is not named
                  else f"{named[name][0]}: {name} is no key" for name in table if name not in known]
    print("\n".join(wrong), end="\n" if wrong else "")
    if sys.argv[1:] != ["list"]:
        total = sum(len(scopes[scope]) for scope in scopes)
        by = {status: sum(key.status == status for scope in scopes.values() for key in scope)
              for status in gen_config.STATUS}
        print(f"{total} keys: " + ", ".join(f"{count} {status}" for status, count in by.items()))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
