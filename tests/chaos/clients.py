# SPDX-License-Identifier: Apache-2.0
"""Clients that work while faults strike, a thread each, as the actors of tests/sim: every request and every end is
an event of the history. A thread ends when the run drains and nothing of its own is open."""
import collections
import random
import threading
import time

import kafka_requests as kafka
import records
from kafka_requests import Closed, Refused, error_name

import group_wire

IN_FLIGHT_MAX = 5


class Worker(threading.Thread):
    """run: the Run it belongs to. What it raises is a failure of the run."""

    def __init__(self, run, number, pace=0.004):
        super().__init__(daemon=True, name=f"{type(self).__name__}-{number}")
        self.chaos, self.number, self.pace = run, number, pace
        self.random = random.Random(f"{run.seed} {self.name}")
        self.client, self.links = None, 0

    @property
    def history(self):
        return self.chaos.history

    def connect(self):
        if self.client is None:
            self.client = kafka.Client(self.chaos.port, timeout=self.chaos.spec.request_seconds)
            self.links += 1

    def disconnect(self):
        if self.client is not None:
            self.client.close()
            self.client = None

    def run(self):
        try:
            while not self.is_done():
                try:
                    self.connect()
                    self.step()
                except (Closed, Refused) as error:
                    if isinstance(error, Closed):
                        self.disconnect()
                    self.broken(error)
                    time.sleep(0.005 + self.random.random() * 0.02)
                time.sleep(self.pace * self.random.random())
            self.disconnect()
        except BaseException as error:  # noqa: B036  (any end but a good one is a failure)
            self.chaos.fail(f"{self.name}: {type(error).__name__}: {error}", error)

    def is_done(self):
        return self.chaos.is_draining

    def broken(self, error):
        """The connection is gone, or a request was refused as a whole."""


class Sending:
    """One batch from its invention to its end."""

    def __init__(self, lane, op, data):
        self.lane, self.op, self.data = lane, op, data
        self.is_maybe = False  # an earlier attempt may have had its effect


class Lane:
    """One partition of one topic (of one id)."""

    def __init__(self, topic, partition):
        self.topic, self.partition = topic, partition
        self.sendings = collections.deque()
        self.in_flight, self.must_rewind, self.next_sequence = 0, False, 0


class Producer(Worker):
    """Idempotent: sends again, in order, until it is answered, as Kafka's clients do. Otherwise never again, so that
    nothing of its may be there twice."""

    def __init__(self, run, number, acks=-1, is_idempotent=True, in_flight=IN_FLIGHT_MAX, topics=("t",), pad=120,
                 pace=0.004):
        super().__init__(run, number, pace)
        self.acks, self.is_idempotent = acks, is_idempotent and acks != 0
        self.in_flight_max, self.topics, self.pad = in_flight, topics, pad
        self.lanes, self.sent = {}, collections.deque()  # sent: (correlation, Sending) in their order
        self.identity, self.is_starting_over = None, False

    # ---- ends ----

    def end(self, sending, phase, offset=None, error=None):
        sending.lane.sendings.remove(sending)
        self.history.add("produce", phase, sending.op, process=self.number, topic=sending.lane.topic.key,
                         partition=sending.lane.partition, offset=offset, error=error)

    def give_up(self, sending, error):
        self.end(sending, "unknown" if sending.is_maybe else "fail", error=error)

    def broken(self, error):
        if isinstance(error, Refused):
            return  # of InitProducerId
        while self.sent:
            _, sending = self.sent.popleft()
            sending.lane.in_flight -= 1
            sending.is_maybe = True
            if self.is_idempotent:
                sending.lane.must_rewind = True
            else:
                self.give_up(sending, "NETWORK_EXCEPTION")
        for lane in self.lanes.values():
            lane.must_rewind |= bool(lane.sendings)

    def answered(self, sending, code, offset):
        sending.lane.in_flight -= 1
        if code == 0 or (code == kafka.DUPLICATE and self.is_idempotent):
            self.chaos.acknowledged += 1
            self.end(sending, "ok", offset if code == 0 else None)
            return
        sending.is_maybe |= code in kafka.MAYBE_APPENDED
        if self.is_idempotent and (code != kafka.OUT_OF_ORDER or sending.lane.sendings[0] is sending):
            # One attempt; it may be sent again. Whether it may be out of order is judged by the history.
            self.history.add("produce", "unknown", sending.op, process=self.number, topic=sending.lane.topic.key,
                             partition=sending.lane.partition, error=error_name(code))
        if not self.is_idempotent:
            if code not in kafka.RETRIABLE:
                raise AssertionError(f"Produce of op {sending.op}: {error_name(code)}")
            self.give_up(sending, error_name(code))
            return
        if code in (3, 100) and sending.lane.topic.is_churn:
            self.is_starting_over = True
            return
        sending.lane.must_rewind = True
        if code in kafka.RETRIABLE:
            time.sleep(0.005)
            return
        if code == kafka.OUT_OF_ORDER and sending.lane.sendings[0] is not sending:
            return  # because of the one before it
        if code not in (kafka.OUT_OF_ORDER, kafka.UNKNOWN_PRODUCER):
            raise AssertionError(f"Produce of op {sending.op}: {error_name(code)}")
        self.is_starting_over = True

    # ---- sending ----

    def send(self, sending):
        lane = sending.lane
        if self.acks == 0:
            sending.is_maybe = True
        else:
            self.sent.append((self.client.correlation + 1, sending))
            lane.in_flight += 1
        try:
            self.client.produce_send(lane.topic.id, lane.partition, sending.data, self.acks, 1500)
        finally:
            if self.acks == 0:
                self.give_up(sending, None)

    def invent(self, lane):
        count = self.random.randint(1, 12)
        first_value = self.history.values(count)
        pad = self.random.randint(0, self.pad)
        timestamp = self.history.wall_ms()
        producer = {}
        if self.is_idempotent:
            producer = {"producer_id": self.identity[0], "epoch": self.identity[1], "sequence": lane.next_sequence}
            lane.next_sequence = lane.next_sequence + count & 0x7FFFFFFF
        data = records.numbered(first_value, count, lane.topic.key, lane.partition, pad, timestamp, **producer)
        op = self.history.add(
            "produce", "invoke", process=self.number, topic=lane.topic.key, partition=lane.partition, acks=self.acks,
            link=None if self.is_idempotent else self.number * 1000 + self.links % 1000,
            producer_id=producer.get("producer_id"), producer_epoch=producer.get("epoch"),
            base_sequence=producer.get("sequence"), first_value=first_value, count=count, size_bytes=len(data),
            timestamp_ms=timestamp)
        sending = Sending(lane, op, data)
        lane.sendings.append(sending)
        return sending

    def start_over(self):
        for lane in self.lanes.values():
            while lane.sendings:
                self.give_up(lane.sendings[0], None)
        self.lanes.clear()
        self.identity, self.is_starting_over = None, False

    def step(self):
        if self.is_starting_over and not self.sent:
            self.start_over()
        if self.is_idempotent and self.identity is None:
            self.identity = self.chaos.producer_id_of(self.client)
        for lane in self.lanes.values():
            if lane.must_rewind and lane.in_flight == 0 and not self.is_starting_over:
                lane.must_rewind = False
                for sending in list(lane.sendings):
                    self.send(sending)
        if self.random.random() < 0.005 and not any(lane.sendings for lane in self.lanes.values()):
            self.start_over()  # as a new process of the same application
            return
        topic = self.chaos.topics.any(self.random, self.topics)
        if topic and not self.is_starting_over and not self.chaos.is_draining:
            partition = self.random.randrange(topic.partitions)
            lane = self.lanes.setdefault((topic.key, partition), Lane(topic, partition))
            if not lane.must_rewind and len(lane.sendings) < self.in_flight_max:
                self.send(self.invent(lane))
        while self.sent and (len(self.sent) >= self.in_flight_max or self.random.random() < 0.6):
            correlation, code, offset = self.client.produce_read()
            expected, sending = self.sent.popleft()
            assert correlation == expected, "answers are out of order"
            self.answered(sending, code, offset)

    def is_done(self):
        return self.chaos.is_draining and not any(lane.sendings for lane in self.lanes.values())


class Consumer(Worker):
    """Reads the assigned partitions, all of a topic, and remembers what it was shown; now and then from the start."""

    def __init__(self, run, number, topic="t", max_bytes=None, wait_ms=None, pace=0.01, searches=False,
                 isolation=None):
        super().__init__(run, number, pace)
        self.topic_name, self.searches, self.isolation = topic, searches, isolation
        self.max_bytes = max_bytes or self.random.choice((700, 3000, 65536))
        self.wait_ms = self.random.randint(0, 200) if wait_ms is None else wait_ms
        self.topic, self.positions = None, {}

    def step(self):
        topic = self.chaos.topics.named(self.topic_name)
        if topic is None:
            return
        if topic is not self.topic:
            self.topic, self.positions = topic, {partition: 0 for partition in range(topic.partitions)}
        if self.searches and self.random.random() < 0.1:
            self.search()
        if self.random.random() < 0.02:
            self.positions[self.random.randrange(topic.partitions)] = 0
        self.fetch()

    def event(self, partition, phase, op, **fields):
        return self.history.add("fetch", phase, op, process=self.number, topic=self.topic.key, partition=partition,
                                **fields)

    def fetch(self):
        """True: every partition was read up to its high watermark."""
        isolation = self.random.randrange(2) if self.isolation is None else self.isolation
        ops = {partition: self.event(partition, "invoke", None, offset=offset, isolation=isolation)
               for partition, offset in self.positions.items()}
        lost, is_through = [], True
        try:
            asked = list(self.positions.items())
            self.random.shuffle(asked)  # so that one partition does not keep the others from being read
            answers = self.client.fetch_by_id(self.topic.id, dict(asked), self.wait_ms, self.max_bytes,
                                              isolation)
            for partition, (code, high, stable, start, data, aborted) in answers.items():
                if code == 0:
                    batches = records.batches_seen(data, self.topic.key, partition, aborted if isolation else (),
                                                   self.topic.is_compacted)
                    self.event(partition, "ok", ops.pop(partition), high_watermark=high, last_stable=stable,
                               log_start=start, isolation=isolation, batches=batches or None)
                    if batches:
                        self.positions[partition] = max(self.positions[partition], batches[-1]["last_offset"] + 1)
                    is_through &= self.positions[partition] >= high
                else:
                    self.event(partition, "fail", ops.pop(partition), error=error_name(code))
                    is_through = False
                    if code == kafka.OUT_OF_RANGE:
                        lost.append(partition)
                    elif code == 2:
                        raise AssertionError(f"Fetch of {self.topic.name}-{partition} from "
                                             f"{self.positions[partition]}: CORRUPT_MESSAGE")
                    elif code not in kafka.RETRIABLE:
                        raise AssertionError(f"Fetch of {self.topic.name}-{partition}: {error_name(code)}")
        finally:
            is_through &= not ops
            for partition, op in ops.items():
                self.event(partition, "fail", op)
        for partition in lost:
            found = self.list_offset(partition, -2)
            self.positions[partition] = found if found is not None else 0
        return is_through

    def list_offset(self, partition, timestamp):
        fields = {"process": self.number, "topic": self.topic.key, "partition": partition}
        op = self.history.add("list_offsets", "invoke", timestamp_ms=timestamp, **fields)
        phase, offset, error = "fail", None, None
        try:
            offset = self.client.list_offset(self.topic.name, partition, timestamp)
            phase = "ok"
        except Refused as refused:
            error = error_name(refused.code)
            if refused.code not in kafka.RETRIABLE:
                raise AssertionError(f"ListOffsets: {error_name(refused.code)}") from refused
        finally:
            self.history.add("list_offsets", phase, op, offset=offset, error=error, **fields)
        return offset

    def search(self):
        self.list_offset(self.random.randrange(self.topic.partitions),
                         self.history.wall_ms() - self.random.randrange(8000))


class FinalReader(Consumer):
    """Reads its topic whole, once, when all faults are over."""

    def __init__(self, run, number, topic):
        super().__init__(run, number, topic, max_bytes=1 << 18, wait_ms=0,
                         isolation=1 if topic in ("b", "bk") else None)
        self.is_through = False

    def step(self):
        if self.topic is None:
            self.topic = self.chaos.topics.named(self.topic_name)
            self.positions = {partition: 0 for partition in range(self.topic.partitions)}
        self.is_through = self.fetch()

    def is_done(self):
        return self.is_through or self.chaos.is_over


class Deleter(Worker):
    """Moves the log start."""

    def __init__(self, run, number, topic="t", pace=0.3):
        super().__init__(run, number, pace)
        self.topic_name = topic

    def step(self):
        topic = self.chaos.topics.named(self.topic_name)
        if topic is None:
            return
        partition = self.random.randrange(topic.partitions)
        end = self.client.list_offset(topic.name, partition, -1)
        offset = self.random.choice((-1, self.random.randint(0, end), self.random.randint(end // 2, end)))
        fields = {"process": self.number, "topic": topic.key, "partition": partition}
        op = self.history.add("delete_records", "invoke", offset=offset, **fields)
        phase, low, code = "unknown", None, 0
        try:
            code, low = self.client.delete_records(topic.name, partition, offset)
            assert code == 0 or code in kafka.RETRIABLE or code == kafka.OUT_OF_RANGE, error_name(code)
            phase, low = ("ok", low) if code == 0 else ("unknown", None)
        finally:
            self.history.add("delete_records", phase, op, log_start=low, error=error_name(code) if code else None,
                             **fields)


class Churner(Worker):
    """Deletes a topic and makes it anew; whatever was answered, Metadata tells what is there."""

    def __init__(self, run, number, topic="c", pace=0.2):
        super().__init__(run, number, pace)
        self.topic_name = topic

    def step(self):
        topics = self.chaos.topics
        topic = topics.look(self.client, self.topic_name)
        if topic is None:
            topics.create(self.client, self.topic_name)
        elif self.random.random() < 0.4:
            self.history.add("delete_topic", "invoke", topic=topic.key, process=self.number)
            topics.forget(topic)
            self.client.delete_topic(topic.id)


class Committer(Worker):
    """Commits offsets of a group of its own, and reads them."""

    def __init__(self, run, number, topic="t", pace=0.01):
        super().__init__(run, number, pace)
        self.topic_name, self.group, self.sent, self.is_read_at_end = topic, f"group-{number}", 0, False

    def event(self, kind, phase, op=None, **fields):
        return self.history.add(kind, phase, op, process=self.number, group=self.group, partition=0,
                                topic=self.chaos.topics.named(self.topic_name).key, **fields)

    def step(self):
        if self.random.random() < 0.2 or self.chaos.is_draining:
            self.read()
            return
        self.sent += 1
        op = self.event("group_commit", "invoke", offset=self.sent)
        phase = "unknown"
        try:
            code = self.client.offset_commit(self.group, self.topic_name, 0, self.sent)
            phase = "ok" if code == 0 else "unknown"
        finally:
            self.event("group_commit", phase, op)
        self.chaos.acknowledged += code == 0
        self.retry_or_fail("OffsetCommit", code)

    def read(self):
        op = self.event("group_offset", "invoke")
        phase, offset = "fail", None
        try:
            code, offset = self.client.offset_fetch(self.group, self.topic_name, 0)
            phase, offset = ("ok", offset if offset >= 0 else None) if code == 0 else ("fail", None)
        finally:
            self.event("group_offset", phase, op, offset=offset)
        self.retry_or_fail("OffsetFetch", code)
        self.is_read_at_end |= self.chaos.is_draining and code == 0

    def retry_or_fail(self, what, code):
        if code:
            assert code in kafka.RETRIABLE, f"{what}: {error_name(code)}"
            self.find_coordinator()

    def find_coordinator(self):
        """As every client does; it makes the topic of offsets, the first time."""
        group_wire.find_coordinator(self.client, self.group)

    def is_done(self):
        return self.chaos.is_draining and self.is_read_at_end


class KeyWriter(Worker):
    """Writes versions of its own keys to a compacted topic, and tombstones. At the end the last acknowledged version
    of each key is there, or one that was sent later; the versions of a key stand in order."""

    def __init__(self, run, number, topic="k", keys=25, pace=0.003):
        super().__init__(run, number, pace)
        self.topic_name, self.keys = topic, [b"key-%d-%d" % (number, key) for key in range(keys)]
        self.version, self.acknowledged, self.sent = 0, {}, {}
        self.identity, self.sequences, self.pending = None, {}, None

    def step(self):
        topic = self.chaos.topics.named(self.topic_name)
        if topic is None:
            return
        if self.identity is None:
            self.identity, self.sequences = self.chaos.producer_id_of(self.client), {}
        if self.pending is None:
            if self.chaos.is_draining:
                return
            partition = self.random.randrange(topic.partitions)
            own = [key for key in self.keys if int(key.rsplit(b"-", 1)[1]) % topic.partitions == partition]
            pairs = []
            for key in self.random.sample(own, min(len(own), self.random.randint(1, 6))):
                self.version += 1
                is_tombstone = self.random.random() < 0.1
                self.sent.setdefault(key, []).append((self.version, is_tombstone))
                pairs.append((key, None if is_tombstone else b"%d %s" % (self.version, bytes(60))))
            self.pending = partition, pairs, self.sequences.get(partition, 0), \
                {key: self.sent[key][-1][0] for key, _ in pairs}
        partition, pairs, sequence, versions = self.pending
        data = records.batch(pairs, self.history.wall_ms(), *self.identity, sequence)
        self.client.produce_send(topic.id, partition, data, -1, 1500)
        _, code, _ = self.client.produce_read()
        if code in (0, kafka.DUPLICATE):
            self.acknowledged.update(versions)
            self.sequences[partition] = sequence + len(pairs)
            self.pending = None
            self.chaos.acknowledged += 1
        elif code in kafka.RETRIABLE:
            time.sleep(0.01)
        else:
            raise AssertionError(f"Produce to {topic.name}-{partition}: {error_name(code)}")

    def is_done(self):
        return self.chaos.is_draining and self.pending is None

    def judge(self, found):
        """found: {key: [(offset, value)]} of the whole topic."""
        for key in self.keys:
            sent = self.sent.get(key, [])
            seen = found.get(key, [])
            order = [version for version, _ in sent]
            tombstones = {version for version, is_tombstone in sent if is_tombstone}
            versions = [int(value.split(b" ")[0]) for _, value in seen if value is not None]
            assert versions == sorted(set(versions)) and set(versions) <= set(order), \
                f"{key}: versions {versions} are not in the order in which they were sent"
            if key not in self.acknowledged:
                continue
            newest = self.acknowledged[key]
            later = [version for version in order if version >= newest]
            ends_in_tombstone = not seen or seen[-1][1] is None
            assert (seen and seen[-1][1] is not None and versions[-1] >= newest) or \
                (ends_in_tombstone and tombstones & set(later)), \
                f"{key}: version {newest} was acknowledged, the last one there is {seen[-1:] or 'none'}"
