# SPDX-License-Identifier: Apache-2.0
"""Requests for records, offsets and metadata, in scenes, to Apache Kafka and to our node: the answers are equal
field by field, step by step, in the order of the answer where Kafka has one. The scenes are in wire_cases_data.py;
fetches that wait, in wire_cases_waits.py."""
import base64
import json
import re
import time

import pytest

import batches
import kafka
import wire
import wire_cases
import wire_cases_data as cases
import wire_cases_waits
import wire_sides

SETTLE_SECONDS = 20
OWN = 1, 8  # the sources of what a topic, a group has of its own
NOW = cases.TIME + 50_000_000_000  # whatever is later is a time of this run, up to LATER
LATER = cases.TIME + 1_000_000_000_000


def made(value):
    """A body with its records made."""
    if isinstance(value, dict):
        if "batches" in value:
            joined = base64.b64decode(batches.joined(*map(made, value["batches"]))) + bytes(value.get("tail", 0))
            return base64.b64encode(joined).decode()
        if "batch" in value:
            options = dict(value["batch"])
            for name in ("values", "keys"):
                if name in options:
                    options[name] = [each.encode() if each is not None else None for each in options[name]]
            if "producer" in options:
                options["producer"] = tuple(options["producer"])
            return batches.batch(options.pop("values"), **options)
        return {name: made(each) for name, each in value.items()}
    return [made(each) for each in value] if isinstance(value, list) else value


class DataSide(wire_sides.Side):
    markers = 0

    def set_up(self):
        self.ask("CreateTopics", 7, {"timeoutMs": 30000, "topics": [
            {"name": topic, "numPartitions": partitions, "replicationFactor": 1, "configs": [
                {"name": name, "value": value} for name, value in {"retention.ms": "-1", **configs}.items()]}
            for topic, (partitions, configs) in cases.TOPICS.items()]})
        kafka.wait_for(self.led)
        kafka.wait_for(lambda: self.ask("FindCoordinator", 3, cases.GROUP.body)["errorCode"] == 0)
        return self

    def led(self):
        told = self.ask("Metadata", 12, wire_cases.metadata(*cases.TOPICS))["topics"]
        self.topic_ids = {each["name"]: each["topicId"] for each in told}
        return all(each["errorCode"] == 0 and each["partitions"] and
                   all(part["errorCode"] == 0 for part in each["partitions"]) for each in told)

    def leads(self, topic):
        """Apache says who leads a partition before that broker is ready to."""
        (told,) = self.ask("ListOffsets", 8, cases.offsets(8, (topic, 0, -1), (topic, 1, -1)))["topics"]
        return all(each["errorCode"] == 0 for each in told["partitions"])

    def configured(self, kind, resource, name):
        (told,) = self.ask("DescribeConfigs", 4, {"resources": [
            {"resourceType": kind, "resourceName": resource, "configurationKeys": [name]}]})["results"]
        return {each["name"]: each["value"] for each in told["configs"] if each["configSource"] in OWN}.get(name)

    def published(self, topic, name, value):
        """A change is told of before all of a node has it, but of one that came later only after that."""
        kafka.wait_for(lambda: self.configured(2, topic, name) == value)
        self.markers += 1
        marker = str(45000 + self.markers)
        self.ask("IncrementalAlterConfigs", 1, {"validateOnly": False, "resources": [
            {"resourceType": 32, "resourceName": "marker", "configs": [
                {"name": "consumer.session.timeout.ms", "configOperation": 0, "value": marker}]}]})
        kafka.wait_for(lambda: self.configured(32, "marker", "consumer.session.timeout.ms") == marker)

    def play(self, scene):
        names, answers = {}, []
        connection = wire.Connection(self.node)
        for step in scene:
            if step.api == "published":
                self.published(**step.body)
                answers.append(None)
                continue
            if step.api == "restart":
                connection.socket.close()
                self.node.restart()
                kafka.wait_for(lambda: self.led() and self.leads(step.body["topic"]))
                connection = wire.Connection(self.node)
                answers.append(None)
                continue
            deadline = time.monotonic() + SETTLE_SECONDS
            while True:
                answer = self.asked(connection, step, names)
                if not isinstance(answer, dict):
                    connection.socket.close()
                    connection = wire.Connection(self.node)
                if not wire_sides.passes(step, answer) or time.monotonic() > deadline:
                    break
                time.sleep(0.05)
            if isinstance(answer, dict):
                wire_sides.keep(step, answer, names)
            answers.append(self.told(step.api, answer, names))
        connection.socket.close()
        return answers

    def asked(self, connection, step, names):
        """The answer, or in a word why there is none."""
        body = made(self.named(step.body, names))
        key, flexible, _ = wire.schema()[step.api]
        connection.send(wire.request_header(key, step.version, 7, step.version >= flexible, step.client)
                        + self.codec.encode(step.api, step.version, body))
        if step.api == "Produce" and body["acks"] == 0:  # an answer to what follows shows that there was none
            connection.send(wire.request_header(18, 0, 8, False))
            frame = connection.receive()
            return "closed" if frame is None else "none" if frame[:4] == b"\0\0\0\x08" else frame.hex()
        answer = connection.answer(self.codec, step.api, step.version)
        return "closed" if answer is None else answer

    def told(self, api, answer, names):
        text = json.dumps(self.shared(answer))
        for name, topic_id in self.topic_ids.items():
            text = text.replace(topic_id, f"<id {name}>")
        for name, value in names.items():
            if isinstance(value, str):
                text = text.replace(value, f"<{name}>")
            elif value > 0:
                text = text.replace(f'"sessionId": {value}', f'"sessionId": "<{name}>"')
        text = re.sub(r"should be within \[[^]]*\]", "should be within <times>", text)
        answer = json.loads(text)
        return answer if api == "Fetch" else self.ordered(answer, {"topicId"})

    def shared(self, value, key=None):
        """An answer in words that both sides share."""
        if isinstance(value, dict):
            return {name: self.shared(each, name) for name, each in value.items()}
        if key == "records" and isinstance(value, str) and value:
            return self.shared(batches.parsed(value))
        if isinstance(value, list):
            return [self.shared(each, key) for each in value]
        if key and key.lower().endswith(("timestamp", "timems")) and isinstance(value, int):
            return "<now>" if NOW < value < LATER else value
        return "<port>" if key == "port" and value == self.node.port else value


@pytest.fixture(scope="module")
def sides(tools, tmp_path_factory):
    pair = []
    try:
        wire_sides.start(pair, DataSide, tools, tmp_path_factory)
        yield pair
    finally:
        wire_sides.close(pair)


@pytest.fixture
def node(sides):
    yield from wire_sides.alive(sides)


@pytest.mark.parametrize("scene", cases.SCENES.values(), ids=[name.replace(" ", "-") for name in cases.SCENES])
def test_the_answers_are_equal(sides, node, scene):
    expected, found = [side.play(scene) for side in sides]
    wrong = wire_sides.step_differences(scene, expected, found)
    assert not wrong, "\n".join(wrong)


def test_the_same_ends_the_wait_of_a_fetch(sides, node):
    """Whether an answer came before its time was out, and what it said."""
    told = []
    for side in sides:
        for name in ("waits", "waits-too"):
            side.ask("CreateTopics", 7, {"timeoutMs": 10000, "topics": [
                {"name": name, "numPartitions": 2, "replicationFactor": 1,
                 "configs": [{"name": "retention.ms", "value": "-1"}]}]})
        kafka.wait_for(lambda: side.leads("waits") and side.leads("waits-too"))
        (topic,) = side.ask("Metadata", 12, wire_cases.metadata("waits"))["topics"]
        side.topic_ids["waits"] = topic["topicId"]
        answers = []
        for name, fetch, events in wire_cases_waits.waits("waits", "waits-too"):
            with wire.Connection(side.node) as waiting:
                key, flexible, _ = wire.schema()["Fetch"]
                start = time.monotonic()
                waiting.send(wire.request_header(key, fetch.version, 7, True)
                             + side.codec.encode("Fetch", fetch.version, side.named(fetch.body)))
                time.sleep(0.2)
                for event in events:
                    side.ask(event.api, event.version, made(side.named(event.body)))
                    time.sleep(0.1)
                answer = waiting.answer(side.codec, "Fetch", fetch.version)
                # What waits to the end is never here before it; what does not has all but that for its way.
                came = time.monotonic() - start < (wire_cases_waits.WAIT_MS - 100) / 1000
            answers.append((name, "early" if came else "late", side.told("Fetch", answer, {})))
        told.append(answers)
    assert [each[:2] for each in told[1]] == [each[:2] for each in told[0]]
    assert told[1] == told[0]
