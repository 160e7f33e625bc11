# SPDX-License-Identifier: Apache-2.0
"""Requests of administrators to Apache Kafka and to our node, in scenes: the answers are equal field by field, step by
step. The scenes are in wire_cases_admin.py; what is compared how, in wire_sides.py."""
import time

import pytest

import wire_cases
import wire_cases_admin as cases
import wire_sides

# A change is known to the broker a moment after the controller has answered, at one side sooner than at the other.
SETTLE_SECONDS = 10


class AdminSide(wire_sides.Side):
    def set_up(self):
        for topic, *options in (("plain", "--partitions", 2), ("compact", "--config", "cleanup.policy=compact"),
                                ("there.is_one",)):
            self.node.create_topic(topic, *options)
        told = self.ask("Metadata", 12, wire_cases.metadata("plain", "compact"))
        self.topic_ids = {each["name"]: each["topicId"] for each in told["topics"]}
        return self

    def compared(self, api, answer):
        if api == "DescribeConfigs":
            for result in answer["results"]:
                result["configs"] = [each for each in result["configs"] if not each["name"].startswith("barnabas.")]
        return super().compared(api, answer)


@pytest.fixture(scope="module")
def sides(tools, tmp_path_factory):
    pair = []
    try:
        wire_sides.start(pair, AdminSide, tools, tmp_path_factory, cases.PROPERTIES)
        yield pair
    finally:
        wire_sides.close(pair)


@pytest.fixture
def node(sides):
    yield from wire_sides.alive(sides)


def wrong(sides, step):
    api, version, body = step
    return list(wire_sides.differences(*(side.compared(api, side.ask(api, version, body)) for side in sides)))


@pytest.mark.parametrize("scene", cases.SCENES.values(), ids=[name.replace(" ", "-") for name in cases.SCENES])
def test_the_answers_are_equal(sides, node, scene):
    found = []
    for number, step in enumerate(scene):
        lines = wrong(sides, step)
        deadline = time.monotonic() + SETTLE_SECONDS
        while lines and step[0] in cases.READS and time.monotonic() < deadline:
            time.sleep(0.1)
            lines = wrong(sides, step)
        found += [f"{number}. {step}\n   {line}" for line in lines]
    assert not found, "\n".join(found)
