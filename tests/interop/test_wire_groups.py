# SPDX-License-Identifier: Apache-2.0
"""Requests of groups to Apache Kafka and to our node: the answers are equal field by field, step by step. The
scenes are in wire_cases_groups.py; what is compared how, in test_wire_oracle.py."""
import json
import re
import time

import pytest

import conftest
import kafka
import wire
import wire_cases_groups as cases
from test_wire_oracle import Side, differences

PROPERTIES = {"group.initial.rebalance.delay.ms": 0, "group.consumer.assignment.interval.ms": 0,
              "group.consumer.min.assignment.interval.ms": 0}
GIVEN = re.compile(r"wire-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def codes(answer):
    return {int(code) for code in re.findall(r'"errorCode": (-?\d+)', json.dumps(answer))}


class GroupSide(Side):
    def set_up(self):
        for topic, partitions in (("plain", 2), ("other", 1)):
            self.node.create_topic(topic, "--partitions", partitions)
        told = self.ask("Metadata", 12, {"allowAutoTopicCreation": False, "topics": [
            {"name": "plain"}, {"name": "other"}]})
        self.topic_ids = {each["name"]: each["topicId"] for each in told["topics"]}
        kafka.wait_for(lambda: self.ask("FindCoordinator", 3, cases.find(3, "g"))["errorCode"] == 0)
        kafka.wait_for(lambda: self.ask("Heartbeat", 4, cases.heartbeat(4, "g", 1, "m"))["errorCode"] == 25)
        return self

    def play(self, scene):
        """The answers of a scene, in words that both sides share."""
        names, connections, answers = {}, {}, []
        try:
            for step in scene:
                answer = self.step(step, names, connections)
                deadline = time.monotonic() + 20
                while any(code in codes(answer) for code in step.settle) and time.monotonic() < deadline:
                    time.sleep(0.1)
                    answer = self.step(step, names, connections)
                for name, path in step.keep.items():
                    value = answer
                    for part in path:
                        value = value[part]
                    names[name] = value
                if answer is not None or not step.hold:
                    answers.append(self.told(step, answer, names))
        finally:
            for each in connections.values():
                each.socket.close()
        return answers

    def step(self, step, names, connections):
        if step.take:
            return connections[step.take].answer(self.codec, step.api, step.version)
        text = json.dumps(step.body)
        for name, value in {**{f"id {topic}": each for topic, each in self.topic_ids.items()}, **names}.items():
            text = text.replace(f"<{name}>", value) if isinstance(value, str) else \
                text.replace(f'"<{name}>"', str(value))
        if not step.hold:
            with wire.Connection(self.node) as connection:
                return connection.ask(self.codec, step.api, step.version, json.loads(text))
        if step.hold not in connections:
            connections[step.hold] = wire.Connection(self.node)
        key, flexible, _ = wire.schema()[step.api]
        connections[step.hold].send(wire.request_header(key, step.version, 7, step.version >= flexible)
                                    + self.codec.encode(step.api, step.version, json.loads(text)))
        # until it is there: an answer on another connection tells
        self.ask("ApiVersions", 0, {})
        return None

    def told(self, step, answer, names):
        text = json.dumps(answer)
        for name, value in names.items():
            if isinstance(value, str) and value:
                text = text.replace(json.dumps(value)[1:-1], f"<{name}>")
        return self.compared(step.api, json.loads(GIVEN.sub("<given>", text)))


@pytest.fixture(scope="module")
def sides(tools, tmp_path_factory):
    made = []
    try:
        for name, kind in (("oracle", "apache"), ("ours", conftest.KIND)):
            if not kafka.KINDS[kind].available():
                pytest.skip(f"there is no {kind} node")
            node = kafka.KINDS[kind](tmp_path_factory.mktemp(name), tools, properties=PROPERTIES)
            made.append(GroupSide(node, wire.Codec(tools)))
            node.format()
            node.start()
            made[-1].set_up()
        yield made
    finally:
        for side in made:
            side.node.close()


@pytest.fixture
def node(sides):
    both = [side.node for side in sides]
    for each in both:
        each.revive()
    yield both
    assert all(each.is_alive() for each in both), "a node ended during this test"


@pytest.mark.parametrize("scene", cases.SCENES.values(), ids=[name.replace(" ", "-") for name in cases.SCENES])
def test_the_answers_are_equal(sides, node, scene):
    expected, found = [side.play(scene) for side in sides]
    asked = [step for step in scene if not step.hold]
    wrong = [f"{number}. {step.api} {step.version} {json.dumps(step.body)}\n   {line}"
             for number, step, *pair in zip(range(len(asked)), asked, expected, found)
             for line in differences(*pair)]
    assert not wrong, "\n".join(wrong)


def test_every_version_of_the_groups_apis_is_asked(sides, node):
    asked = {(step.api, step.version) for scene in cases.SCENES.values() for step in scene}
    with wire.Connection(sides[1].node) as connection:
        told = connection.ask(sides[1].codec, "ApiVersions", 0, {})["apiKeys"]
    names = {key: name for name, (key, _, _) in wire.schema().items()}
    ranges = {names.get(each["apiKey"]): (each["minVersion"], each["maxVersion"]) for each in told}
    for api, span in cases.RANGES.items():
        assert ranges[api] == span
        assert {(api, version) for version in range(span[0], span[1] + 1)} <= asked
