# SPDX-License-Identifier: Apache-2.0
"""The server-side assignors of consumer groups: Apache Kafka's classes and ours give the same answers.

Questions are random groups that live on: members and topics come and go, and the last assignment is what
the next one starts from. A failure names the seed; ASSIGNORS_SEED repeats it, ASSIGNORS_COUNT says how many
groups."""
import os
import pathlib
import random
import subprocess
import uuid

import pytest

import java_tools
from seeds import seed_of

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BARNABAS_BUILD", ROOT / "build"))
PEER = BUILD / "tests/unit/coordinator/assign_peer"
JAVA = "assignors/AssignorsPeer.java"
COUNT = int(os.environ.get("ASSIGNORS_COUNT", "200"))
ROUNDS = 8

pytestmark = [
    pytest.mark.skipif(not java_tools.available(), reason="needs java, javac and mvn"),
    pytest.mark.skipif(not PEER.exists(), reason=f"needs {PEER}"),
]


@pytest.fixture(scope="module")
def seed():
    return seed_of("ASSIGNORS_SEED")


class Group:
    def __init__(self, chance):
        self.chance = chance
        self.assignor = chance.choice(["uniform", "range"])
        self.homogeneous = chance.random() < 0.5
        self.topics = {}  # id → partitions
        self.members = {}  # id → (instance, topics)
        self.old = {}  # member → {topic id: partitions}
        self.scale = chance.choice([3, 10, 40])
        for _ in range(chance.randint(0, self.scale)):
            self.topic_add()
        for _ in range(chance.randint(1, self.scale)):
            self.member_add()

    def topic_add(self):
        identity = uuid.UUID(int=self.chance.getrandbits(128)).hex
        self.topics[identity] = self.chance.choice([0, 1, 2, 3, 7, 16, self.chance.randint(1, 60)])

    def subscription(self):
        return {topic for topic in self.topics if self.homogeneous or self.chance.random() < 0.5}

    def member_add(self):
        name = self.chance.choice([
            str(uuid.UUID(int=self.chance.getrandbits(128))), f"member-{self.chance.randint(0, 999)}"])
        instance = f"i{self.chance.randint(0, 999)}" if self.chance.random() < 0.3 else None
        taken = {other for other, _ in self.members.values()}
        self.members[name] = (None if instance in taken else instance, self.subscription())

    def change(self):
        for _ in range(self.chance.randint(1, 3)):
            kind = self.chance.randrange(5)
            if kind == 0:
                self.topic_add()
            elif kind == 1 and self.topics:
                self.topics.pop(self.chance.choice(sorted(self.topics)))
            elif kind == 2:
                self.member_add()
            elif kind == 3 and len(self.members) > 1:
                self.members.pop(self.chance.choice(sorted(self.members)))
            elif self.topics:
                self.topics[self.chance.choice(sorted(self.topics))] += self.chance.randint(0, 5)
        self.old = {member: {topic: parts for topic, parts in topics.items() if topic in self.topics}
                    for member, topics in self.old.items() if member in self.members}
        for member, (instance, topics) in self.members.items():
            fresh = self.homogeneous or self.chance.random() < 0.2
            self.members[member] = (instance, self.subscription() if fresh else topics & set(self.topics))

    def question(self):
        self.order = sorted(self.topics)
        place = {topic: index for index, topic in enumerate(self.order)}
        words = [self.assignor, "homogeneous" if self.homogeneous else "mixed",
                 ",".join(f"{topic}={self.topics[topic]}" for topic in self.order) or "-"]
        for member, (instance, topics) in self.members.items():
            old = "/".join(f"{place[topic]}:" + ".".join(map(str, parts))
                           for topic, parts in sorted(self.old.get(member, {}).items()) if parts)
            words.append("=".join([member, instance or "-",
                                   ".".join(str(place[topic]) for topic in sorted(topics)) or "-", old or "-"]))
        return " ".join(words)

    def learn(self, answer):
        self.old = {}
        if answer == "UNKNOWN_SERVER_ERROR":
            return
        for member, text in zip(self.members, answer.split(" ")):
            self.old[member] = {} if text == "-" else {
                self.order[int(item.split(":")[0])]: [int(part) for part in item.split(":")[1].split(".")]
                for item in text.split("/")}

    def check(self):
        """Every partition of a subscribed topic has one owner, who subscribes to it."""
        owned = [(topic, part) for topics in self.old.values() for topic, parts in topics.items() for part in parts]
        assert len(owned) == len(set(owned))
        wanted = set().union(*(topics for _, topics in self.members.values()))
        assert set(owned) == {(topic, part) for topic in wanted for part in range(self.topics[topic])}
        for member, topics in self.old.items():
            assert set(topics) <= self.members[member][1]


def run(command, questions):
    return subprocess.run(command, input=questions.encode(), check=True, timeout=300,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode().splitlines()


def test_both_assign_alike_through_the_lives_of_random_groups(seed):
    chance = random.Random(seed)
    groups = [Group(chance) for _ in range(COUNT)]
    for number in range(ROUNDS):
        questions = [group.question() for group in groups]
        text = "\n".join(questions) + "\n"
        ours = run([PEER], text)
        kafkas = run(java_tools.command(JAVA), text)
        assert len(ours) == len(kafkas) == len(groups)
        for group, question, our, kafka in zip(groups, questions, ours, kafkas):
            assert our == kafka, f"ASSIGNORS_SEED={seed} round {number}: {question[:2000]}"
            group.learn(our)
            group.check()
            group.change()
