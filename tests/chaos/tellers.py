# SPDX-License-Identifier: Apache-2.0
"""Transactions: tellers move amounts between partitions; each transaction sums to nothing. Some consume a partition and
move its group's offset in the same transaction. A teller's program has successors: the one before it goes on as a
zombie. What is asked and answered stands in the history (tests/history/history.h, "Transactions"); X1 to X8 judge."""
import random
import time

import group_requests as groups
import kafka_requests as kafka
import records
from clients import Consumer, Worker
from kafka_requests import error_name

import group_wire
import txn_wire

TIMEOUT_MS = 2000          # of a transaction
TOPIC, KEYED_TOPIC, KEYS = "b", "bk", 4  # the second one is compacted: a record a batch, without an amount
PROPERTIES = {"transaction.state.log.num.partitions": 3,
              "transaction.abort.timed.out.transaction.cleanup.interval.ms": 200}
AGAIN = kafka.RETRIABLE | {51, 55, 88}
# Its successor has begun, or its time was out: this instance can do nothing more.
DEAD = {47, 48, 49, 90, 120}
FIND, INIT, OFFSETS, READ, BEGIN, ADD, ADD_GROUP, SEND, MOVE, END = range(10)
ZOMBIES_MAX = 2


class PutOff(Exception):
    """To be tried again."""


class Send:
    """One batch of a transaction."""

    def __init__(self, topic, partition, first_value, amounts, key=None):
        self.topic, self.partition, self.first_value = topic, partition, first_value
        self.amounts, self.key = amounts, key
        self.op = self.sequence = self.timestamp = None
        self.is_done = self.is_given_up = False


class Instance:
    """A process of the application: it serves until its teller has another one."""

    def __init__(self, teller):
        self.teller, self.chaos, self.random = teller, teller.chaos, teller.random
        self.client, self.step_now, self.is_alive, self.asleep_until = None, FIND, True, 0
        self.producer, self.sequences, self.needs_raise = (-1, -1), {}, False
        self.position = self.read_to = 0
        self.number, self.sends, self.ops = None, [], {}
        self.is_commit = self.is_joined = self.has_move = False

    # ---- the history ----

    def event(self, kind, phase="ok", op=None, **fields):
        producer_id, epoch = self.producer
        return self.chaos.history.add(kind, phase, op, process=self.teller.number, member=self.teller.id,
                                      producer_id=producer_id, producer_epoch=epoch, **fields)

    def operation(self, kind, call, fields=None, is_end=lambda code: False):
        """One invocation, however often it is asked: call() -> error. What an attempt without an answer leaves open
        stays so until another one is answered well."""
        fields = fields or {}
        if kind not in self.ops:
            self.ops[kind] = self.event(kind, "invoke", **fields), fields, []
        op, _, doubts = self.ops[kind]
        try:
            code = call()
        except kafka.Closed:
            doubts.append(True)
            raise
        if code == 0:
            self.event(kind, "ok", op, **fields)
            del self.ops[kind]
        elif is_end(code):
            self.event(kind, "unknown" if doubts else "fail", op, error=error_name(code), **fields)
            del self.ops[kind]
        elif code not in (14, 51):
            doubts.append(True)
        self.check(kind, code)

    def check(self, what, code):
        if code == 0:
            return
        if code in AGAIN:
            if code in (14, 15, 16):
                txn_wire.find_coordinator(self.client, self.teller.id)
            raise PutOff
        assert code in DEAD, f"{what} of {self.teller.id}: {error_name(code)}"
        self.die(error_name(code))
        raise PutOff

    def die(self, why):
        """What it had sent and not heard of stays open."""
        if not self.is_alive:
            return
        if why:
            self.event("txn_fenced", error=why)
            self.chaos.count("fenced")
        self.is_alive = False
        for send in self.sends:
            if send.op is not None and not send.is_done and not send.is_given_up:
                self.produce_event(send, "unknown")
        for kind, (op, fields, _) in self.ops.items():
            self.event(kind, "unknown", op, **fields)
        self.ops = {}
        self.disconnect()

    def connect(self):
        if self.client is None:
            self.client = kafka.Client(self.chaos.port, timeout=self.chaos.spec.request_seconds)

    def disconnect(self):
        if self.client is not None:
            self.client.close()
            self.client = None

    # ---- between transactions ----

    def step(self):
        self.connect()
        (self.find, self.initialize, self.look, self.read, self.begin, self.add, self.add_group, self.send, self.move,
         self.end)[self.step_now]()

    def find(self):
        self.check("FindCoordinator", txn_wire.find_coordinator(self.client, self.teller.id))
        if self.teller.is_chain:
            self.check("FindCoordinator", group_wire.find_coordinator(self.client, self.teller.group)[0])
        self.step_now = INIT

    def initialize(self):
        """A refusal may come behind the abort of what was open: its fence stays."""
        before = self.producer
        op = self.chaos.history.add("txn_init", "invoke", process=self.teller.number, member=self.teller.id)
        phase, code = "unknown", 0
        try:
            code, *producer = txn_wire.init_producer_id(self.client, self.teller.id, TIMEOUT_MS, before,
                                                        5 if self.teller.is_v2 else 4)
            if code == 0:
                phase, self.producer, self.sequences, self.needs_raise = "ok", tuple(producer), {}, False
        finally:
            self.event("txn_init", phase, op, error=error_name(code) if code else None)
        self.check("InitProducerId", code)
        self.chaos.acknowledged += 1
        self.step_now = OFFSETS if self.teller.is_chain else BEGIN

    def look(self):
        fields = {"group": self.teller.group, "topic": self.teller.topic.key, "partition": self.teller.input}
        op = self.event("txn_offset", "invoke", **fields)
        phase, offset, code = "fail", None, 0
        try:
            code, offset = groups.offset_fetch(self.client, self.teller.group, TOPIC, self.teller.input)
            phase = "ok" if code == 0 else "fail"
        finally:
            self.event("txn_offset", phase, op, offset=offset if phase == "ok" and offset >= 0 else None, **fields)
        self.check("OffsetFetch", code)
        self.position, self.step_now = max(offset, 0), READ

    def read(self):
        code, _, _, _, data, _ = self.client.fetch_by_id(
            self.teller.topic.id, {self.teller.input: self.position}, 20, 700, 1)[self.teller.input]
        assert code != kafka.OUT_OF_RANGE or self.chaos.is_os_mode, \
            f"the committed offset {self.position} of {self.teller.group} is out of range"
        ends = [fields[0] + fields[6] + 1 for fields, *_ in records.batches_of(data)] if code == 0 else []
        self.read_to, self.step_now = max([self.position] + ends), BEGIN

    def begin(self):
        teller = self.teller
        self.number, self.is_joined = teller.next_transaction(), False
        self.is_commit = self.random.random() < 0.8
        self.sends, total = [], 0
        for _ in range(self.random.randint(0, 2)):
            self.sends.append(Send(teller.keyed, self.random.randrange(teller.keyed.partitions),
                                   self.chaos.history.values(1), [0], self.random.randrange(KEYS)))
        for _ in range(self.random.randint(1, 4)):
            amounts = [self.random.randint(-50, 50) for _ in range(self.random.randint(1, 3))]
            total += sum(amounts)
            self.sends.append(Send(teller.topic, self.random.randrange(teller.topic.partitions),
                                   self.chaos.history.values(len(amounts)), amounts))
        self.sends[-1].amounts[-1] -= total  # nothing is lost or made
        self.has_move = teller.is_chain and self.read_to > self.position
        self.moved_to = self.random.randint(self.position + 1, self.read_to) if self.has_move else self.position
        self.event("txn_begin", transaction=self.number)
        self.step_now = SEND if teller.is_v2 else ADD

    # ---- in one ----

    def add(self):
        self.is_joined = True
        places = {}
        for send in self.sends:
            places.setdefault(send.topic.name, set()).add(send.partition)
        answer = txn_wire.add_partitions(self.client, self.teller.id, self.producer, places)
        codes = {code for topic in answer.values() for code in topic.values()}
        self.check("AddPartitionsToTxn", next(iter(codes - {0, 55}), 55 if 55 in codes else 0))
        self.step_now = ADD_GROUP if self.has_move else SEND

    def add_group(self):
        self.check("AddOffsetsToTxn", txn_wire.add_offsets(self.client, self.teller.id, self.producer,
                                                           self.teller.group))
        self.step_now = SEND

    def produce_event(self, send, phase, offset=None):
        more = {"acks": -1, "base_sequence": send.sequence, "first_value": send.first_value,
                "count": len(send.amounts), "timestamp_ms": send.timestamp, "amount": sum(send.amounts),
                "key": send.key} if phase == "invoke" else {}
        send.op = self.event("produce", phase, send.op, topic=send.topic.key, partition=send.partition,
                             transaction=self.number, offset=offset, **more)

    def send(self):
        waiting = [send for send in self.sends if not send.is_done]
        if any(send.is_given_up for send in self.sends):
            waiting = []  # what was not sent yet need not be
        if not waiting:
            self.step_now = MOVE if self.has_move and self.is_commit else END
            return
        send, self.is_joined = waiting[0], True
        if send.op is None:
            place = send.topic.key, send.partition
            send.sequence = self.sequences.get(place, 0)
            self.sequences[place] = send.sequence + len(send.amounts)
            send.timestamp = self.chaos.history.wall_ms()
            self.produce_event(send, "invoke")
        key = None if send.key is None else b"key-%d" % send.key
        pairs = [(key, b"%d %s %d %d" % (send.first_value + at, send.topic.key.encode(), send.partition, amount))
                 for at, amount in enumerate(send.amounts)]
        data = records.batch(pairs, send.timestamp, *self.producer, send.sequence, txn_wire.TRANSACTIONAL)
        try:
            code, offset, _ = txn_wire.produce(self.client, self.teller.id, send.topic.name, send.partition, data,
                                               12 if self.teller.is_v2 else 11)
            if code in (0, kafka.DUPLICATE):
                send.is_done = True
                self.chaos.acknowledged += 1
                self.produce_event(send, "ok", offset if code == 0 else None)
                return
            self.check("Produce", code)
        except (kafka.Closed, PutOff):
            if self.is_alive and self.random.random() < 0.12:
                # As clients do when the time of delivery is over.
                send.is_given_up = True
                self.produce_event(send, "unknown")
                self.abort_instead()
            raise

    def abort_instead(self):
        self.is_commit, self.needs_raise = False, not self.teller.is_v2

    def move(self):
        self.is_joined = True
        fields = {"transaction": self.number, "group": self.teller.group, "topic": self.teller.topic.key,
                  "partition": self.teller.input, "offset": self.moved_to, "count": self.moved_to - self.position}

        def call():
            return txn_wire.txn_offset_commit(self.client, self.teller.id, self.teller.group, self.producer, {
                TOPIC: {self.teller.input: self.moved_to}}, 5 if self.teller.is_v2 else 2)[TOPIC][self.teller.input]
        self.operation("txn_offsets", call, fields)
        self.step_now = END

    def end(self):
        if not self.is_joined:
            self.after_end()
            return
        found = []

        def call():
            code, *producer = txn_wire.end_txn(self.client, self.teller.id, self.producer, self.is_commit,
                                               5 if self.teller.is_v2 else 2)
            found.append(tuple(producer))
            return code
        self.operation("txn_end", call, {"transaction": self.number, "is_commit": int(self.is_commit)},
                       lambda code: code in DEAD)
        self.chaos.acknowledged += 1
        self.chaos.count("committed" if self.is_commit else "aborted")
        if self.teller.is_v2:
            assert found[-1] != self.producer, "EndTxn of protocol 2 raised no epoch"
            self.producer, self.sequences = found[-1], {}
        self.after_end()

    def after_end(self):
        if self.has_move and self.is_commit and self.is_joined:
            self.position, self.step_now = self.moved_to, READ
        else:
            self.step_now = OFFSETS if self.teller.is_chain else BEGIN
        if self.needs_raise:
            self.step_now = INIT
        self.number, self.sends, self.has_move = None, [], False


class Teller(Worker):
    """One transactional id."""

    def __init__(self, run, number, is_v2, is_chain=False, pace=0.004):
        super().__init__(run, number, pace)
        self.id, self.group = f"teller-{number}", f"till-{number}"
        self.is_v2, self.is_chain = is_v2, is_chain
        self.topic, self.keyed = run.topics.named(TOPIC), run.topics.named(KEYED_TOPIC)
        self.input, self.begun = self.random.randrange(3), 0
        self.serving, self.zombies = Instance(self), []

    def next_transaction(self):
        self.begun += 1
        return self.number * 1000000 + self.begun

    def connect(self):
        """Each instance has its own."""

    def disconnect(self):
        for instance in [self.serving] + self.zombies:
            instance.disconnect()

    def replace(self):
        """The one that serves goes on, sooner or later: it does not know."""
        zombie = self.serving
        if zombie.is_alive:
            zombie.asleep_until = time.monotonic() + self.random.choice((0, self.random.uniform(0, 1)))
            self.zombies.append(zombie)
            self.chaos.count("zombies")
        self.serving = Instance(self)

    def step(self):
        is_draining = self.chaos.is_draining
        self.zombies = [zombie for zombie in self.zombies
                        if zombie.is_alive and not (is_draining and self.is_idle(zombie))]
        if not self.serving.is_alive or (not is_draining and len(self.zombies) < ZOMBIES_MAX and
                                         self.random.random() < 0.004):
            self.replace()
        ready = [each for each in [self.serving] + self.zombies
                 if time.monotonic() >= each.asleep_until and not (is_draining and self.is_idle(each))]
        if not ready:
            time.sleep(0.01)
            return
        instance = self.random.choice(ready)
        try:
            instance.step()
        except kafka.Closed:
            instance.disconnect()
            rest(self.random)
        except (PutOff, kafka.Refused):
            rest(self.random)

    @staticmethod
    def is_idle(instance):
        return instance.step_now in (OFFSETS, READ, BEGIN)

    def is_done(self):
        return self.chaos.is_draining and self.is_idle(self.serving) and not self.zombies

    def look_finally(self, client):
        """Where the group stands when all is over. A stable answer."""
        if not self.is_chain:
            return True
        fields = {"process": self.number, "member": self.id, "group": self.group, "topic": self.topic.key,
                  "partition": self.input}
        op = self.history.add("txn_offset", "invoke", **fields)
        code, offset = groups.offset_fetch(client, self.group, TOPIC, self.input)
        self.history.add("txn_offset", "fail" if code else "ok", op, offset=None if code or offset < 0 else offset,
                         **fields)
        return code == 0


def rest(stream: random.Random):
    time.sleep(0.005 + stream.random() * 0.02)


def tellers_of(run):
    """Both protocols, with offsets and without; readers of both isolations."""
    return [Teller(run, 60, is_v2=False), Teller(run, 61, is_v2=True), Teller(run, 62, is_v2=False, is_chain=True),
            Teller(run, 63, is_v2=True, is_chain=True), Consumer(run, 70, TOPIC, isolation=1),
            Consumer(run, 71, TOPIC, isolation=0), Consumer(run, 72, KEYED_TOPIC, isolation=1)]
