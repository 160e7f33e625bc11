# SPDX-License-Identifier: Apache-2.0
"""Requests of groups for wire.Client, in old, plain versions."""
import struct
import time

from wire import blob, string

OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR, JOIN, HEARTBEAT, LEAVE, SYNC = 8, 9, 10, 11, 12, 13, 14
DESCRIBE, LIST, DELETE, OFFSET_DELETE = 15, 16, 42, 47
LOAD_IN_PROGRESS, NOT_AVAILABLE, NOT_COORDINATOR, INVALID_REQUEST, MEMBER_ID_REQUIRED = 14, 15, 16, 42, 79


def array(items, form):
    return struct.pack(">i", len(items)) + b"".join(form(item) for item in items)


def find_coordinator(client, group, key_type=0):
    """(error, node, host, port)"""
    reader = client.call(FIND_COORDINATOR, 2, string(group) + struct.pack(">b", key_type))
    reader.number("i")
    code = reader.number("h")
    reader.string()
    return code, reader.number("i"), reader.string(), reader.number("i")


def wait_for_coordinator(client, group, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if find_coordinator(client, group)[0] == 0 and offset_fetch(client, group, None)[0] == 0:
            return
        time.sleep(0.02)
    raise AssertionError(f"there is no coordinator for {group}")


def offset_commit(client, group, places, generation=-1, member="", metadata="", instance=None):
    """places: {topic: {partition: offset}}; the answers {topic: {partition: error}}"""
    def partition(item):
        return struct.pack(">iqi", item[0], item[1], -1) + string(metadata)
    body = string(group) + struct.pack(">i", generation) + string(member) + string(instance)
    body += array(list(places.items()),
                  lambda item: string(item[0]) + array(list(item[1].items()), partition))
    reader = client.call(OFFSET_COMMIT, 7, body)
    reader.number("i")
    return dict(reader.array(lambda: (reader.string(), dict(reader.array(
        lambda: (reader.number("i"), reader.number("h")))))))


def offset_fetch(client, group, places):
    """places: {topic: [partition]}, None: all. (error, {topic: {partition: (offset, error)}})"""
    body = string(group)
    if places is None:
        body += struct.pack(">i", -1)
    else:
        body += array(list(places.items()), lambda item: string(item[0]) + array(
            item[1], lambda index: struct.pack(">i", index)))
    reader = client.call(OFFSET_FETCH, 5, body)
    reader.number("i")

    def partition():
        index, offset = reader.number("i"), reader.number("q")
        reader.number("i"), reader.string()
        return index, (offset, reader.number("h"))
    topics = dict(reader.array(lambda: (reader.string(), dict(reader.array(partition)))))
    return reader.number("h"), topics


def join_send(client, group, member="", protocols=(("range", b""),), session_ms=10000, rebalance_ms=10000,
              instance=None, protocol_type="consumer"):
    body = string(group) + struct.pack(">ii", session_ms, rebalance_ms) + string(member) + string(instance)
    body += string(protocol_type) + array(list(protocols), lambda item: string(item[0]) + blob(item[1]))
    client.send(JOIN, 5, body)


def join_read(client):
    reader = client.read()
    reader.number("i")
    return {
        "error": reader.number("h"), "generation": reader.number("i"), "protocol": reader.string(),
        "leader": reader.string(), "member": reader.string(),
        "members": reader.array(lambda: (reader.string(), reader.string(), reader.blob())),
    }


def join(client, group, member="", **options):
    """Joins, with the id that the coordinator gives when it wants one."""
    join_send(client, group, member, **options)
    answer = join_read(client)
    if answer["error"] == MEMBER_ID_REQUIRED:
        join_send(client, group, answer["member"], **options)
        answer = join_read(client)
    return answer


def sync(client, group, generation, member, assignments=(), instance=None):
    """(error, assignment)"""
    body = string(group) + struct.pack(">i", generation) + string(member) + string(instance)
    body += array(list(assignments), lambda item: string(item[0]) + blob(item[1]))
    reader = client.call(SYNC, 3, body)
    reader.number("i")
    return reader.number("h"), reader.blob()


def heartbeat(client, group, generation, member):
    reader = client.call(HEARTBEAT, 3, string(group) + struct.pack(">i", generation) + string(member) + string(None))
    reader.number("i")
    return reader.number("h")


def leave(client, group, members):
    """(error, {member: error})"""
    reader = client.call(LEAVE, 3, string(group) + array(members, lambda each: string(each) + string(None)))
    reader.number("i")
    code = reader.number("h")

    def one():
        member = reader.string()
        reader.string()
        return member, reader.number("h")
    return code, dict(reader.array(one))


def list_groups(client):
    """(error, {group: protocol type})"""
    reader = client.call(LIST, 2, b"")
    reader.number("i")
    return reader.number("h"), dict(reader.array(lambda: (reader.string(), reader.string())))


def describe_groups(client, groups):
    """{group: (error, state, protocol type, protocol, [member])}"""
    reader = client.call(DESCRIBE, 4, array(groups, string) + b"\0")
    reader.number("i")

    def member():
        name = reader.string()
        reader.string()
        client_id, host = reader.string(), reader.string()
        return name, client_id, host, reader.blob(), reader.blob()

    def group():
        code, name = reader.number("h"), reader.string()
        state = (code, reader.string(), reader.string(), reader.string(), reader.array(member))
        reader.number("i")
        return name, state
    return dict(reader.array(group))


def delete_groups(client, groups):
    reader = client.call(DELETE, 1, array(groups, string))
    reader.number("i")
    return dict(reader.array(lambda: (reader.string(), reader.number("h"))))


def offset_delete(client, group, places):
    """(error, {topic: {partition: error}})"""
    body = string(group) + array(list(places.items()), lambda item: string(item[0]) + array(
        item[1], lambda index: struct.pack(">i", index)))
    reader = client.call(OFFSET_DELETE, 0, body)
    code = reader.number("h")
    reader.number("i")
    return code, dict(reader.array(lambda: (reader.string(), dict(reader.array(
        lambda: (reader.number("i"), reader.number("h")))))))
