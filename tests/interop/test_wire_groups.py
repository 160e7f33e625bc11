# SPDX-License-Identifier: Apache-2.0
"""Requests of groups to Apache Kafka and to our node: the answers are equal field by field, step by step. The
scenes are in wire_cases_groups.py and wire_cases_members.py; what is compared how, in wire_sides.py."""
import json
import re
import time

import pytest

import kafka
import wire
import wire_cases_groups as cases
import wire_cases_members
import wire_sides

PROPERTIES = {"group.initial.rebalance.delay.ms": 0, "group.consumer.assignment.interval.ms": 0,
              "group.consumer.min.assignment.interval.ms": 0, "group.max.size": wire_cases_members.MEMBERS_MAX,
              "group.consumer.max.size": wire_cases_members.MEMBERS_MAX}
SCENES = {**cases.SCENES, **wire_cases_members.SCENES}
GIVEN = re.compile(r"\b(wire|[ij])-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class GroupSide(wire_sides.Side):
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
                while wire_sides.passes(step, answer) and time.monotonic() < deadline:
                    time.sleep(0.1)
                    answer = self.step(step, names, connections)
                wire_sides.keep(step, answer, names)
                if answer is not None or not step.hold:
                    answers.append(self.told(step, answer, names))
        finally:
            for each in connections.values():
                each.socket.close()
        return answers

    def step(self, step, names, connections):
        if step.take:
            return connections[step.take].answer(self.codec, step.api, step.version)
        body = self.named(step.body, names)
        if not step.hold:
            with wire.Connection(self.node) as connection:
                return connection.ask(self.codec, step.api, step.version, body)
        if step.hold not in connections:
            connections[step.hold] = wire.Connection(self.node)
        key, flexible, _ = wire.schema()[step.api]
        connections[step.hold].send(wire.request_header(key, step.version, 7, step.version >= flexible)
                                    + self.codec.encode(step.api, step.version, body))
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
        wire_sides.start(made, GroupSide, tools, tmp_path_factory, PROPERTIES)
        yield made
    finally:
        wire_sides.close(made)


@pytest.fixture
def node(sides):
    yield from wire_sides.alive(sides)


@pytest.mark.parametrize("scene", SCENES.values(), ids=[name.replace(" ", "-") for name in SCENES])
def test_the_answers_are_equal(sides, node, scene):
    expected, found = [side.play(scene) for side in sides]
    asked = [step for step in scene if not step.hold]
    wrong = wire_sides.step_differences(asked, expected, found)
    assert not wrong, "\n".join(wrong)


def test_every_version_of_the_groups_apis_is_asked(sides, node):
    wire_sides.expect_all_asked(sides[1], cases.SCENES, cases.RANGES)
