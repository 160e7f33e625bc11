# SPDX-License-Identifier: Apache-2.0
"""Requests of transactions to Apache Kafka and to our node: the answers are equal field by field, step by step.
The scenes are in wire_cases_transactions.py; offsets of transactions are in wire_cases_groups.py."""
import base64
import json
import time

import pytest

import batches
import kafka
import wire
import wire_cases_transactions as cases
import wire_sides

PROPERTIES = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": 600000}
SETTLE_SECONDS = 20
SCENES = ((2, cases.SCENES), (0, cases.SCENES_BEFORE))


def made(value):
    """A body with its records made."""
    if isinstance(value, dict):
        if "batches" in value:
            return batches.joined(*map(made, value["batches"]))
        if "batch" in value:
            options = dict(value["batch"])
            return batches.batch([each.encode() for each in options.pop("values")],
                                 **{**options, "producer": tuple(options["producer"])})
        return {name: made(each) for name, each in value.items()}
    return [made(each) for each in value] if isinstance(value, list) else value


class TransactionSide(wire_sides.Side):
    prefix = ""

    def set_up(self):
        self.ask("CreateTopics", 7, {"timeoutMs": 30000, "topics": [
            {"name": topic, "numPartitions": 2, "replicationFactor": 1,
             "configs": [{"name": "retention.ms", "value": "-1"}]} for topic in cases.TOPICS]})
        body = {"allowAutoTopicCreation": False, "topics": [{"name": topic} for topic in cases.TOPICS]}

        def led():
            told = self.ask("Metadata", 12, body)["topics"]
            self.topic_ids = {each["name"]: each["topicId"] for each in told}
            return all(each["errorCode"] == 0 and each["partitions"] and
                       all(part["errorCode"] == 0 for part in each["partitions"]) for each in told)
        kafka.wait_for(led)
        for version, kind in ((3, 0), (3, 1)):
            kafka.wait_for(lambda: self.ask("FindCoordinator", version, cases.find(version, "g", kind=kind))[
                "errorCode"] == 0)
        kafka.wait_for(lambda: self.ask("InitProducerId", 4, cases.init(4, "warm"))["errorCode"] == 0)
        kafka.wait_for(lambda: self.ask("OffsetFetch", 7, {"groupId": "g", "topics": []})["errorCode"] == 0)
        return self

    def play(self, scene):
        names, answers = {}, []
        self.prefix = "list" if any(step.api == "ListTransactions" for step in scene) else ""
        connection = wire.Connection(self.node)
        try:
            for step in scene:
                deadline = time.monotonic() + SETTLE_SECONDS
                while True:
                    try:
                        body = made(self.named(step.body, names))
                        answer = connection.ask(self.codec, step.api, step.version, body)
                    except TimeoutError:
                        answer = "none in time"
                    if not isinstance(answer, dict):
                        connection.socket.close()
                        connection = wire.Connection(self.node)
                    if not wire_sides.passes(step, answer) or time.monotonic() > deadline:
                        break
                    time.sleep(0.05)
                wire_sides.keep(step, answer, names)
                answers.append(self.ordered(self.shared(answer, {
                    value: f"<{name}>" for name, value in reversed(names.items()) if name.startswith("pid")}),
                    {"topicId"}))
        finally:
            connection.socket.close()
        return answers

    def shared(self, value, producers, key=None):
        """An answer in words that both sides share: producers by the names that the scene gave them."""
        if isinstance(value, dict):
            return {name: self.shared(each, producers, name) for name, each in value.items()}
        if isinstance(value, list):
            if key == "transactionStates":  # those of other scenes may be anything
                value = [each for each in value if each["transactionalId"].startswith(self.prefix)]
            return [self.shared(each, producers, key) for each in value]
        if key == "records" and isinstance(value, str) and value:
            assert base64.b64decode(value)
            return self.shared(batches.parsed(value), producers)
        if key == "producerId" and value != -1:
            return producers.get(value, value if value in (123456, 123457) else "<another>")
        if key and key.lower().endswith(("timestamp", "timems", "timestampms")) and isinstance(value, int):
            return value if value < cases.TIME + 1000 else "<now>"
        if key == "port":
            return "<port>" if value == self.node.port else value
        return value


@pytest.fixture(scope="module")
def pairs(tools, tmp_path_factory):
    """Both nodes of a cluster with a level of transaction.version."""
    made_pairs = {}

    def get(level):
        if level not in made_pairs:
            made_pairs[level] = []
            wire_sides.start(made_pairs[level], TransactionSide, tools, tmp_path_factory, PROPERTIES,
                             ("--standalone", "--feature", f"transaction.version={level}"))
        return made_pairs[level]

    yield get
    for pair in made_pairs.values():
        wire_sides.close(pair)


@pytest.fixture
def level():
    return 2


@pytest.fixture
def sides(pairs, level):
    return pairs(level)


@pytest.fixture
def node(sides):
    yield from wire_sides.alive(sides)


@pytest.mark.parametrize("level, scene", [(level, scene) for level, scenes in SCENES for scene in scenes.values()],
                         ids=[f"{name} at level {level}".replace(" ", "-") for level, scenes in SCENES for name in scenes])
def test_the_answers_are_equal(sides, node, level, scene):
    expected, found = [side.play(scene) for side in sides]
    wrong = wire_sides.step_differences(scene, expected, found)
    assert not wrong, "\n".join(wrong)


def test_every_version_of_the_transactions_apis_is_asked(sides, node):
    asked = wire_sides.expect_all_asked(sides[1], cases.SCENES, cases.RANGES)
    for api, versions in (("Produce", cases.PRODUCE), ("Fetch", cases.FETCH), ("ListOffsets", cases.LIST_OFFSETS)):
        assert {(api, version) for version in versions} <= asked
