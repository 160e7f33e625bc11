# SPDX-License-Identifier: Apache-2.0
"""Apache Kafka and our node side by side: both started alike, asked alike, and their answers compared field by
field, once ids, times and places that must differ are named alike."""
import json
import re
import time

import pytest

import conftest
import kafka
import wire
import wire_cases

# What differs from one run of the same node to the next, at whatever depth it stands.
VARYING = {"clusterEpoch", "finalizedFeaturesEpoch", "lastFetchTimestamp", "lastCaughtUpTimestamp",
           "totalBytes", "usableBytes", "producerId", "highWatermark", "logEndOffset", "logAppendTimeMs",
           "incarnationId", "directoryId", "replicaDirectoryId"}
STILL_COMPARED = {"Fetch": {"highWatermark"}, "DescribeProducers": {"producerId"}}
ALSO_VARYING = {"DescribeQuorum": {"leaderEpoch"}}
COORDINATOR_LOAD_IN_PROGRESS = 14  # of producer ids too, until the first block of them has come


class Side:
    """A node, and what its answers must not be compared by. A test says in set_up() what is there first."""

    def __init__(self, node, codec):
        self.node = node
        self.codec = codec
        self.topic_ids = {}

    def named(self, body, names={}):
        """A body with the ids of topics, and with what earlier answers gave to `names`."""
        text = json.dumps(body)
        for name, value in {**{f"id {topic}": each for topic, each in self.topic_ids.items()}, **names}.items():
            text = text.replace(f"<{name}>", value) if isinstance(value, str) else \
                text.replace(f'"<{name}>"', str(value))
        return json.loads(text)

    def ask(self, api, version, body):
        body = self.named(body)
        with wire.Connection(self.node) as connection:
            while True:
                answer = connection.ask(self.codec, api, version, body)
                if api != "InitProducerId" or answer["errorCode"] != COORDINATOR_LOAD_IN_PROGRESS:
                    return answer
                time.sleep(0.05)

    def compared(self, api, answer):
        """An answer in the words that both sides share; lists of structures in a fixed order."""
        text = json.dumps(answer)
        for name, topic_id in self.topic_ids.items():
            text = text.replace(topic_id, f"<id {name}>")
        text = text.replace(str(self.node.folder), "<folder>")
        text = re.sub(r"should be within \[[^]]*\]", "should be within <times>", text)
        for name, port in (("port", self.node.port), ("controller port", self.node.controller_port)):
            text = re.sub(rf"(?<!\d){port}(?!\d)", json.dumps(f"<{name}>")[1:-1], text)
        return self.ordered(json.loads(re.sub(r'("port": )(<[^>]+>)', r'\1"\2"', text)),
                            VARYING - STILL_COMPARED.get(api, set()) | ALSO_VARYING.get(api, set()))

    def ordered(self, value, varying):
        if isinstance(value, dict):
            return {name: "<varying>" if name in varying and each != -1 else
                    "<id>" if name == "topicId" and not each.startswith("<id") and each not in (
                        wire.ZERO_ID, wire_cases.NO_ID) else self.ordered(each, varying)
                    for name, each in value.items()}
        if isinstance(value, list):
            items = [self.ordered(each, varying) for each in value]
            return sorted(items, key=json.dumps) if any(isinstance(each, dict) for each in items) else items
        return value


def differences(expected, found, path="answer"):
    """Where two answers differ, a line each."""
    if isinstance(expected, dict) and isinstance(found, dict) and set(expected) == set(found):
        for name in expected:
            yield from differences(expected[name], found[name], f"{path}.{name}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, pair in enumerate(zip(expected, found)):
            yield from differences(*pair, f"{path}[{index}]")
    elif expected != found:
        yield f"{path}: Apache has {json.dumps(expected)}, we have {json.dumps(found)}"


def step_differences(steps, expected, found):
    """Where the answers to some steps differ, each with its step."""
    return [f"{number}. {step.api} {step.version} {json.dumps(step.body)}\n   {line}"
            for number, step, *pair in zip(range(len(steps)), steps, expected, found)
            for line in differences(*pair)]


def keep(step, answer, names):
    """What a step wants later ones to name."""
    for name, path in step.keep.items():
        value = answer
        for part in path:
            value = value[part]
        names[name] = value


def passes(step, answer):
    """Whether an answer is one that passes by itself: has an error code or words of step.settle."""
    text = json.dumps(answer)
    found = {int(code) for code in re.findall(r'rrorCode": (-?\d+)', text)}
    return any(each in found if isinstance(each, int) else each in text for each in step.settle)


def start(sides, side_class, tools, folders, properties=None, options=()):
    """Adds both, set up, to a list whose nodes the caller closes however far this comes."""
    for name, kind in (("oracle", "apache"), ("ours", conftest.KIND)):
        if not kafka.KINDS[kind].available():
            pytest.skip(f"there is no {kind} node")
        node = kafka.KINDS[kind](folders.mktemp(name), tools, properties=properties)
        sides.append(side_class(node, wire.Codec(tools)))
        node.format(*options)
        node.start()
        sides[-1].set_up()


def close(sides):
    for side in sides:
        side.node.close()


def alive(sides):
    """Both nodes, alive before and after; a report of a failure shows their logs."""
    both = [side.node for side in sides]
    for each in both:
        each.revive()
    yield both
    assert all(each.is_alive() for each in both), "a node ended during this test"


def advertised(side):
    """Name of each API to its versions, from first to last."""
    with wire.Connection(side.node) as connection:
        told = connection.ask(side.codec, "ApiVersions", 0, {})["apiKeys"]
    names = {key: name for name, (key, _, _) in wire.schema().items()}
    return {names.get(each["apiKey"]): (each["minVersion"], each["maxVersion"]) for each in told}


def expect_all_asked(side, scenes, ranges):
    """Every version that a node advertises of some APIs, of those named in `ranges`, is in a scene."""
    asked = {(step.api, step.version) for scene in scenes.values() for step in scene}
    told = advertised(side)
    for api, span in ranges.items():
        assert told[api] == span
        assert {(api, version) for version in range(span[0], span[1] + 1)} <= asked
    return asked
