# SPDX-License-Identifier: Apache-2.0
"""Directories with transactions in every state, written by one node and opened by the other, after clean stops and
after kills: what is open goes on or is aborted, what was decided is done, and the tools tell the same."""
import difflib
import json
import re
import signal

import pytest

import conftest
import kafka
import log_files
import test_transactions
import wire
import wire_cases_groups as groups
import wire_cases_transactions as cases
from test_wire_transactions import made

PARTITIONS = 3
ENDING = [f"ending-{number}" for number in range(6)]
PROPERTIES = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": 600000}
# A killed broker's session ends soon: until then the next one cannot register.
KILLED = {"broker.session.timeout.ms": 2000, "broker.heartbeat.interval.ms": 500}
BUSY, UNSTABLE = (3, 5, 6, 14, 15, 16, 51, 78), 88


def in_order(found):
    """A set of partitions, which stand in any order."""
    topics = json.loads(found[0])
    return json.dumps(sorted((each["topic"], sorted(each["partitionIds"])) for each in topics))


class Producer:
    """A transactional producer that outlives its node: requests of the first protocol, or of the second."""

    def __init__(self, story, name, second=False):
        self.story, self.name, self.second = story, name, second
        self.group = f"group-{name}"
        self.id = self.epoch = None
        self.sequences, self.written, self.offset = {}, {}, None

    def ask(self, api, version, body):
        return self.story.ask(api, version, body)

    def begin(self):
        """The next epoch: what was open is aborted."""
        told = self.ask("InitProducerId", 4, cases.init(4, self.name))
        assert told["errorCode"] == 0, told
        self.id, self.epoch = told["producerId"], told["producerEpoch"]
        self.sequences, self.written, self.offset = {}, {}, None
        return self

    def write(self, *partitions, values=2):
        if not self.second:
            told = self.ask("AddPartitionsToTxn", 3, cases.added(
                3, self.name, ("t", partitions), producer=self.id, epoch=self.epoch))
            assert all(each["partitionErrorCode"] == 0
                       for each in told["resultsByTopicV3AndBelow"][0]["resultsByPartition"]), told
        for partition in partitions:
            first = self.sequences.get(partition, 0)
            content = [f"{self.name}.{self.epoch}.{partition}.{first + each}" for each in range(values)]
            body = cases.produce(12 if self.second else 9, self.name, ("t", partition, cases.records(
                *content, producer=self.id, epoch=self.epoch, sequence=first)))
            (told,) = self.ask("Produce", 12 if self.second else 9, made(body))["responses"][0]["partitionResponses"]
            assert told["errorCode"] == 0, told
            self.sequences[partition] = first + values
            self.written.setdefault(partition, []).extend(content)
            self.story.opened.setdefault((self.name, partition), told["baseOffset"])
        return self

    def commit_offset(self, offset):
        if not self.second:
            assert self.ask("AddOffsetsToTxn", 3, {
                "transactionalId": self.name, "producerId": self.id, "producerEpoch": self.epoch,
                "groupId": self.group})["errorCode"] == 0
        version = 5 if self.second else 3
        body = groups.txn_commit(version, self.name, self.group, ("t", 0, offset), producer=self.id, epoch=self.epoch)
        (told,) = self.ask("TxnOffsetCommit", version, body)["topics"][0]["partitions"]
        assert told["errorCode"] == 0, told
        self.offset = offset
        return self

    def end_body(self, committed):
        return cases.end(self.name, committed, self.id, self.epoch)

    def end(self, committed):
        told = self.ask("EndTxn", 5 if self.second else 4, self.end_body(committed))
        assert told["errorCode"] == 0, told
        self.is_over(committed)
        if self.second:
            self.id, self.epoch = told["producerId"], told["producerEpoch"]
            self.sequences = {}
        assert self.story.state(self.name) == ("CompleteCommit" if committed else "CompleteAbort")
        return self

    def is_over(self, committed):
        for partition, values in self.written.items():
            if committed:
                self.story.expected.extend(value.encode() for value in values)
            self.story.opened.pop((self.name, partition), None)
        if committed and self.offset is not None:
            self.story.offsets[self.group] = self.offset
        self.written, self.offset = {}, None


class Story:
    def __init__(self, folder, tools, **properties):
        ports = kafka.free_ports(2)
        kinds = [kafka.ApacheNode, kafka.KINDS[conftest.KIND]]
        self.nodes = {kind.kind: kind(folder, tools, ports, properties={**PROPERTIES, **properties}) for kind in kinds}
        self.codec = wire.Codec(tools)
        self.node = None
        self.expected = []  # values of committed transactions
        self.offsets = {}  # group: committed offset
        self.opened = {}  # (transactional id, partition): first offset of what is open
        self.producers = {}
        self.ending = []  # (name, decision, whether it was answered)

    def close(self):
        for node in self.nodes.values():
            node.close()

    def open(self, kind):
        self.node = self.nodes[kind]
        first = not self.node.log_dirs[0].exists()
        if first:
            self.node.format()
        self.node.start()
        if first:
            self.node.create_topic("t", "--partitions", PARTITIONS, "--config", "retention.ms=-1")
            for kind_ in (0, 1):
                kafka.wait_for(lambda: self.once("FindCoordinator", 3, groups.find(3, "g", kind=kind_))["errorCode"] == 0)

    def once(self, api, version, body):
        with wire.Connection(self.node) as connection:
            return connection.ask(self.codec, api, version, body)

    def ask(self, api, version, body, passing=BUSY):
        """The answer, once it is none of those that pass by themselves."""
        answers = []

        def settled():
            answers.append(self.once(api, version, body))
            found = re.findall(r"rrorCode': (-?\d+)", str(answers[-1]))
            return not any(int(each) in passing for each in found)
        kafka.wait_for(settled)
        return answers[-1]

    def state(self, name):
        states = []

        def over():
            states.append(self.ask("DescribeTransactions", 0, {"transactionalIds": [name]})["transactionStates"][0][
                "transactionState"])
            return not states[-1].startswith("Prepare")
        kafka.wait_for(over)
        return states[-1]

    def producer(self, name, second=False):
        self.producers[name] = Producer(self, name, second)
        return self.producers[name].begin()

    # ---- chapters ----

    def begin(self, kind):
        """Transactions in every state but those on their way to an end."""
        self.open(kind)
        self.producer("empty")
        self.producer("committed").write(0, 1, 2).commit_offset(3).end(True)
        self.producer("aborted").write(0, 2).commit_offset(4).end(False)
        self.producer("second", second=True).write(0, 1).commit_offset(5).end(True).write(0, 1).end(False)
        self.producers["committed"].write(1).commit_offset(6).end(False)
        self.producers["aborted"].write(1, 2).commit_offset(7).end(True)
        for name in ENDING:
            self.producer(name)
        self.open_some()

    def open_some(self):
        """What is left open: to go on, and to be aborted by the next producer."""
        for name, second in (("on", False), ("on-second", True), ("left", False), ("left-second", True)):
            if name not in self.producers:
                self.producer(name, second)
            self.producers[name].write(1, 2).commit_offset(20)

    def end_some(self, how):
        """Ends are asked for side by side; the node is gone before all of them can be done."""
        for name in ENDING:
            self.producers[name].write(0, 1, 2).commit_offset(30)
        connections = [wire.Connection(self.node) for _ in ENDING]
        payloads = [wire.request_header(26, 4, 7, True) + self.codec.encode(
            "EndTxn", 4, self.producers[name].end_body(index % 2 == 0)) for index, name in enumerate(ENDING)]
        for connection, payload in zip(connections, payloads):
            connection.send(payload)
        first = connections[0].receive()
        self.node.process.send_signal(signal.SIGKILL if how == "kill" else signal.SIGTERM)
        answers = [first]
        for connection in connections[1:]:
            try:
                answers.append(connection.receive())
            except OSError:
                answers.append(None)
        self.ending = [(name, index % 2 == 0, bool(answer) and answer[9:11] == b"\0\0")
                       for index, (name, answer) in enumerate(zip(ENDING, answers))]
        process, self.node.process = self.node.process, None
        process.wait(kafka.STOP_SECONDS)
        for connection in connections:
            connection.socket.close()

    def learn_of_the_ending(self):
        """What was answered is done; what was not is done or is aborted by the next producer, and never a part."""
        for name, committed, answered in self.ending:
            state = self.state(name)
            if state == "Ongoing":
                assert not answered, name
                self.producers[name].is_over(False)
                self.producers[name].begin()
                assert self.state(name) == "Empty"
            else:
                assert state == ("CompleteCommit" if committed else "CompleteAbort"), (name, state)
                if self.node.kind == "apache":
                    self.write_markers_that_apache_left_out(self.producers[name], committed)
                self.producers[name].is_over(committed)
        self.ending = []

    def write_markers_that_apache_left_out(self, producer, committed):
        """Apache's coordinator that loads before its broker is unfenced takes partitions without a leader for deleted
        ones, and completes the transaction without markers there. An operator would do this."""
        places = [("t", range(PARTITIONS)), ("__consumer_offsets", range(1))]
        told = self.ask("DescribeProducers", 0, {"topics": [{"name": topic, "partitionIndexes": list(partitions)}
                                                            for topic, partitions in places]})
        for topic in told["topics"]:
            for partition in topic["partitions"]:
                for each in partition["activeProducers"]:
                    if each["producerId"] == producer.id and each["currentTxnStartOffset"] != -1:
                        self.ask("WriteTxnMarkers", 1, cases.markers(1, (
                            producer.id, producer.epoch, committed, [(topic["name"], [partition["partitionIndex"]])],
                            max(each["coordinatorEpoch"], 0), 0)))

    def goes_on(self):
        self.producers["on"].write(0, 2).commit_offset(21).end(True)
        self.producers["on-second"].write(0, 1).commit_offset(22).end(True)
        for name in ("left", "left-second"):
            old = (self.producers[name].id, self.producers[name].epoch)
            self.producers[name].is_over(False)
            self.producers[name].begin()
            late = self.ask("EndTxn", 4, cases.end(name, True, *old))
            assert late["errorCode"] in (47, 90), late
            self.producers[name].write(0).commit_offset(23).end(True)
        for name in ("empty", "committed", "aborted", "second"):
            self.producers[name].write(0, 2).end(True)

    # ---- looking ----

    def check(self):
        """Last stable offsets, committed values, offsets of groups."""
        for partition in range(PARTITIONS):
            ends = [self.ask("ListOffsets", 7, cases.offsets(7, "t", -1, level, partition))["topics"][0]["partitions"][0][
                "offset"] for level in (0, 1)]
            first = min([offset for (_, place), offset in self.opened.items() if place == partition], default=ends[0])
            assert ends[1] == first, self.log_end(partition, ends)
        # What is behind an open transaction is not read yet: a committed value that lacks is behind one.
        found = test_transactions.read(self.node, "t", PARTITIONS, "read_committed",
                                       0 if self.opened else len(self.expected))
        assert len(set(found)) == len(found) and set(found) <= set(self.expected)
        if not self.opened:
            assert found == sorted(self.expected)
        for name, producer in self.producers.items():
            body = {"groupId": producer.group, "topics": [{"name": "t", "partitionIndexes": [0]}], "requireStable": True}
            (told,) = self.ask("OffsetFetch", 7, body, (*BUSY, *(() if producer.offset else (UNSTABLE,))))["topics"][0][
                "partitions"]
            assert told["errorCode"] == (UNSTABLE if producer.offset else 0), (name, told)
            if not producer.offset:
                assert told["committedOffset"] == self.offsets.get(producer.group, -1), name

    def log_end(self, partition, ends):
        """For a report: what is open on a partition, in the eyes of the node and in ours."""
        told = self.once("DescribeProducers", 0, {"topics": [{"name": "t", "partitionIndexes": [partition]}]})
        names = {each.id: name for name, each in self.producers.items()}
        found = told["topics"][0]["partitions"][0]["activeProducers"]
        open_there = [(names.get(each["producerId"]), each) for each in found if each["currentTxnStartOffset"] != -1]
        return f"{self.node.kind} {partition}: {ends}, open {open_there}\nexpected {self.opened}"

    def told_by_tools(self):
        """What kafka-transactions prints, without what hangs on the time."""
        told = [sorted(self.node.tool("kafka-transactions", "list").lines())]
        for name in ("committed", "aborted", "second", "on", "on-second"):
            lines = self.node.tool("kafka-transactions", "describe", "--transactional-id", name).lines()
            durations = [index for index, word in enumerate(lines[0].split("\t")) if "Duration" in word]
            told.append([[word.strip() for index, word in enumerate(line.split("\t")) if index not in durations]
                         for line in lines])
        for partition in range(PARTITIONS):
            told.append(sorted(self.node.tool("kafka-transactions", "describe-producers", "--topic", "t",
                                              "--partition", partition).lines()))
        return told

    def dumps(self):
        """What kafka-dump-log prints of the files that stand still: without sizes, sums and times, and with the
        producers' names in place of their ids."""
        names = {str(producer.id): f"<{name}>" for name, producer in self.producers.items()}
        shown = {}
        for title, suffix, topics, options in (
                ("transactions", ".log", "__transaction_state", ["--transaction-log-decoder"]),
                ("offsets", ".log", "__consumer_offsets", ["--offsets-decoder"]),
                ("records", ".log", "t", ["--deep-iteration", "--print-data-log"]),
                ("snapshots", ".snapshot", "t", []), ("aborted", ".txnindex", "t", [])):
            files = log_files.files_of(self.node, suffix, topics)
            text = log_files.checked(self.node, files, *options).replace(str(self.node.folder), "")
            text = re.sub(r"(producerId\"?: ?)(\d+)", lambda found: found[1] + names.get(found[2], found[2]), text)
            text = re.sub(r" (position|CreateTime|LogAppendTime|size|crc|deleteHorizonMs): \d*", "", text)
            text = re.sub(r'(?<="transactionPartitions":)\[\{.*?\}\](?=,")', in_order, text)
            text = re.sub(r'(?<="topicId":)"[^"]*"', "<id>", text)
            text = re.sub(r"(\w*[tT]imestamp\w*\"?: ?)\d+", r"\1<now>", text)
            shown[title] = sorted(text.splitlines()) if title == "snapshots" else text.splitlines()
        return shown


# Who begins, and who opens it then. (With Apache in our place there are still two stories.)
BEGINNERS = [("apache", conftest.KIND), (conftest.KIND, "apache")]
IDS = ["apache-began", "we-began"]


@pytest.fixture(scope="module")
def stopped(tools, tmp_path_factory):
    """Stories that were begun by the first kind of node, which was stopped: what the tools told, and the dumps."""
    stories = {}

    def get(number):
        if number not in stories:
            story, told = stories[number] = (Story(tmp_path_factory.mktemp("node"), tools), {})
            story.begin(BEGINNERS[number][0])
            story.check()
            told["tools"] = story.told_by_tools()
            story.node.stop()
            told["dumps"] = story.dumps()
        return stories[number]

    for kind in ("apache", conftest.KIND):
        if not kafka.KINDS[kind].available():
            pytest.skip(f"there is no {kind} node")
    yield get
    for story, _ in stories.values():
        story.close()


def test_what_both_write_is_dumped_alike(stopped):
    expected, found = [stopped(each)[1]["dumps"] for each in range(2)]
    wrong = [line for title in expected for line in difflib.unified_diff(expected[title], found[title], title, title, n=0)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("number", range(2), ids=IDS)
def test_transactions_survive_a_clean_stop(stopped, number):
    first, second = BEGINNERS[number]
    story, told = stopped(number)
    story.open(second)
    story.check()
    assert story.told_by_tools() == told["tools"]
    story.goes_on()
    story.open_some()
    story.check()
    story.end_some("stop")
    log_files.check_directories(story.node)
    story.open(first)
    story.learn_of_the_ending()
    story.check()
    story.goes_on()
    story.check()


@pytest.mark.parametrize("first, second", BEGINNERS, ids=IDS)
def test_transactions_survive_a_kill(tools, tmp_path, stopped, first, second):
    story = Story(tmp_path / "node", tools, **KILLED)
    try:
        story.begin(first)
        for kind in (second, first):
            story.end_some("kill")
            story.open(kind)
            story.learn_of_the_ending()
            story.check()
            story.goes_on()
            story.open_some()
        story.goes_on()
        story.check()
        story.node.stop()
        log_files.check_directories(story.node)
    finally:
        story.close()
