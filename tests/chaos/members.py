# SPDX-License-Identifier: Apache-2.0
"""Members of groups, of both protocols: they join, are given partitions, read, call that processed, commit, and beat.
Some leave, die, come back as static members do, or pause beyond their session and commit all the same. What they
are told and do stands in the history (tests/history/history.h, "Groups"); rules G1, G2, G3 and G5 judge."""
import time

import group_requests as groups
import kafka_requests as kafka
import records
from clients import Worker
from kafka_requests import error_name

import group_wire

SESSION_MS, REBALANCE_MS, BEAT_SECONDS = 1500, 1500, 0.2
LEASE_MS = 1100           # less than both
DOUBT_SECONDS = 3.5       # as long may a request of a connection that is gone be under way to the same process
PROPERTIES = {
    "group.min.session.timeout.ms": 500, "group.initial.rebalance.delay.ms": 0,
    "group.consumer.min.session.timeout.ms": 500, "group.consumer.session.timeout.ms": SESSION_MS,
    "group.consumer.min.heartbeat.interval.ms": 50, "group.consumer.heartbeat.interval.ms": 200,
}
ILLEGAL_GENERATION, UNKNOWN_MEMBER, REBALANCING, GROUP_NOT_FOUND, FENCED_INSTANCE = 22, 25, 27, 69, 82
FENCED_EPOCH, UNRELEASED_INSTANCE, STALE_EPOCH = 110, 111, 113
# By these it is certain that nothing was and nothing will be committed.
REFUSED = {ILLEGAL_GENERATION, UNKNOWN_MEMBER, REBALANCING, GROUP_NOT_FOUND, FENCED_INSTANCE, FENCED_EPOCH,
           UNRELEASED_INSTANCE, STALE_EPOCH}


class Group:
    """A group and its members, which end when it is drained."""

    def __init__(self, run, name, is_classic, first_number, count=3, topic="t"):
        self.chaos, self.name, self.is_classic, self.topic_name = run, name, is_classic, topic
        self.is_over = False
        kind = ClassicMember if is_classic else ConsumerMember
        # One of them has a place of its own.
        self.members = [kind(run, first_number + at, self, f"{name}-i" if at == 0 else None) for at in range(count)]

    def missing(self, client, demands_drained):
        """What is not as it has to be at the end; None: it is stable, and drained."""
        topic = self.chaos.topics.named(self.topic_name)
        owners = [partition for member in self.members for partition in list(member.owned)]
        if sorted(owners) != list(range(topic.partitions)):
            return f"{self.name}: partitions {sorted(owners)} are owned"
        if any(not member.is_in for member in self.members):
            return f"{self.name}: {[member.name for member in self.members if not member.is_in]} are not in"
        if self.is_classic:
            error, state, *_ = group_wire.describe_groups(client, [self.name])[self.name]
            if error or state != "Stable":
                return f"{self.name}: state {state}, error {error}"
        ends = []
        for partition in range(topic.partitions):
            end, start = (client.list_offset(topic.name, partition, which) for which in (-1, -2))
            error, committed = groups.offset_fetch(client, self.name, topic.name, partition)
            if error:
                return f"{self.name}: OffsetFetch: {error_name(error)}"
            if committed < end and end > start and demands_drained:
                return f"{self.name}: committed {committed} of {end} in {topic.name}-{partition}"
            ends.append((partition, committed, start))
        if demands_drained:
            for partition, committed, start in ends:
                if committed >= 0:
                    self.chaos.history.add("group_drained", "ok", group=self.name, topic=topic.key,
                                           partition=partition, offset=committed, log_start=start)
        self.is_over = True
        return None


class Owned:
    def __init__(self):
        self.position, self.committed, self.is_known = 0, -1, False


class Ghost:
    """A member that is none any more, or of an older generation, and what it would commit."""

    def __init__(self, member):
        self.id, self.generation, self.topic = member.id, member.generation, member.topic
        self.offsets = {partition: owned.position for partition, owned in member.owned.items() if owned.is_known}
        self.due = time.monotonic() + member.random.uniform(0, 2 if member.instance is None else 0.1)


class Member(Worker):
    FIRST_GENERATION = -1

    def __init__(self, run, number, group, instance=None, pace=0.01):
        super().__init__(run, number, pace)
        self.group, self.instance = group, instance
        self.id, self.generation, self.incarnation = "", self.FIRST_GENERATION, 0
        self.topic, self.owned = None, {}
        self.is_in = self.must_rejoin = False
        self.has_coordinator, self.next_beat, self.out_until, self.good_beat_ns = False, 0, 0, 0
        self.doubt_until, self.doubt_starts = 0, -1
        self.ghost = None

    # ---- the history ----

    def event(self, kind, phase="ok", op=None, **fields):
        fields.setdefault("member", self.id or None)
        fields.setdefault("generation", self.generation)
        return self.history.add(kind, phase, op, process=self.number, group=self.group.name, instance=self.instance,
                                **fields)

    def doubts(self):
        """A request without an answer may still come to the coordinator, unless its process has ended."""
        self.doubt_until = time.monotonic() + DOUBT_SECONDS
        self.doubt_starts = self.chaos.node.starts

    def lease_ms(self):
        is_in_doubt = time.monotonic() < self.doubt_until and self.doubt_starts == self.chaos.node.starts
        return 0 if is_in_doubt else LEASE_MS

    def beaten(self, sent_ns):
        self.good_beat_ns = sent_ns
        self.event("group_beat", since_ns=sent_ns, lease_ms=self.lease_ms())

    def asks(self, call):
        """call() of something that changes what the coordinator thinks of this member."""
        try:
            return call()
        except kafka.Closed:
            self.doubts()
            raise

    # ---- what it has ----

    def assign(self, partitions):
        """True: something was given up."""
        taken = [partition for partition in self.owned if partition not in partitions]
        for partition in taken:
            self.event("group_give_up", topic=self.topic.key, partition=partition)
            del self.owned[partition]
        for partition in partitions:
            self.owned.setdefault(partition, Owned())
            self.event("group_own", topic=self.topic.key, partition=partition, since_ns=self.good_beat_ns,
                       lease_ms=self.lease_ms())
        return bool(taken)

    def give_up_all(self):
        if self.owned:
            self.leave_ghost()
            self.event("group_give_up")
            self.owned = {}

    def leave_ghost(self):
        if self.owned and self.ghost is None and not self.chaos.is_draining:
            self.ghost = Ghost(self)

    def lost(self, why, forgets_id):
        self.leave_ghost()
        self.owned = {}
        if self.id:
            self.event("group_end", error=why)
        self.is_in = self.must_rejoin = False
        self.generation = self.FIRST_GENERATION
        if forgets_id:
            self.id = ""

    def refused(self, what, code):
        """What follows from an error of the coordinator."""
        if code in kafka.RETRIABLE:
            self.has_coordinator = False
        elif code in (UNKNOWN_MEMBER, FENCED_INSTANCE):
            self.lost(error_name(code), True)
        elif code in (ILLEGAL_GENERATION, FENCED_EPOCH, GROUP_NOT_FOUND):
            self.lost(error_name(code), False)
        elif code == REBALANCING:
            self.must_rejoin = True
        elif code == UNRELEASED_INSTANCE:
            self.out_until = time.monotonic() + 0.1
        elif code == groups.MEMBER_ID_REQUIRED:
            pass
        else:
            raise AssertionError(f"{what} of {self.group.name}, member {self.id}, generation {self.generation}: "
                                 f"{error_name(code)}")

    # ---- one step ----

    def step(self):
        self.topic = self.chaos.topics.named(self.group.topic_name)
        if not self.has_coordinator:
            self.has_coordinator = group_wire.find_coordinator(self.client, self.group.name)[0] == 0
            if not self.has_coordinator:
                time.sleep(0.02)
                return
        if time.monotonic() < self.out_until:
            return
        if self.is_in and not self.chaos.is_draining and self.happens():
            return
        # Of a static one, when its place is taken: before the next generation it is fenced by nothing else.
        if self.ghost and time.monotonic() >= self.ghost.due and (self.is_in or self.instance is None):
            ghost, self.ghost = self.ghost, None
            self.commit(ghost.offsets, ghost.id, ghost.generation)
        if not self.is_in or self.must_rejoin:
            self.join_group()
        elif time.monotonic() >= self.next_beat:
            self.next_beat = time.monotonic() + BEAT_SECONDS
            self.beat()
        else:
            self.work()

    def happens(self):
        """Now and then a member sleeps too long, leaves or dies."""
        fate = self.random.random()
        if fate < 0.008:
            time.sleep(self.random.uniform(0.8, 1.5) * SESSION_MS / 1000)
            self.chaos.count("zombies")
            self.commit_all()
        elif fate < 0.015:
            self.leave()
            self.out_until = time.monotonic() + self.random.uniform(0, 0.3)
        elif fate < (0.03 if self.instance is None else 0.05):
            self.lost("died", True)
            self.disconnect()
        else:
            return False
        return True

    def is_done(self):
        return self.group.is_over or self.chaos.is_over

    # ---- work ----

    def work(self):
        unknown = [partition for partition, owned in self.owned.items() if not owned.is_known]
        if unknown:
            self.look(unknown[0])
        elif self.owned:
            self.read()
            if self.random.random() < 0.3 or self.chaos.is_draining:
                self.commit_all()
        else:
            time.sleep(0.02)

    def look(self, partition):
        fields = {"topic": self.topic.key, "partition": partition}
        op = self.event("group_offset", "invoke", **fields)
        phase, offset, code = "fail", None, 0
        try:
            code, offset = groups.offset_fetch(self.client, self.group.name, self.topic.name, partition, self.id,
                                               self.generation)
            phase = "ok" if code == 0 else "fail"
        finally:
            self.event("group_offset", phase, op, offset=offset if phase == "ok" and offset >= 0 else None, **fields)
        if code == STALE_EPOCH:
            self.next_beat = 0
        elif code:
            self.refused("OffsetFetch", code)
        elif partition in self.owned:
            owned = self.owned[partition]
            owned.position, owned.committed, owned.is_known = max(offset, 0), offset, True

    def read(self):
        asked = list(self.owned.items())
        self.random.shuffle(asked)
        answers = self.client.fetch_by_id(self.topic.id, {partition: owned.position for partition, owned in asked},
                                          self.random.choice((0, 50)), 65536)
        for partition, (code, high, _, start, data, _) in answers.items():
            owned = self.owned[partition]
            if code == kafka.OUT_OF_RANGE:
                owned.position = self.client.list_offset(self.topic.name, partition, -2)
            elif code:
                assert code in kafka.RETRIABLE, f"Fetch of {self.topic.name}-{partition}: {error_name(code)}"
            else:
                ends = [fields[0] + fields[6] + 1 for fields, *_ in records.batches_of(data)]
                if ends and ends[-1] > owned.position:
                    self.event("group_process", topic=self.topic.key, partition=partition, offset=owned.position,
                               count=ends[-1] - owned.position, log_start=start)
                    owned.position = ends[-1]
                    self.chaos.acknowledged += 1

    def commit_all(self):
        """At the end whatever it believes: an older commit may have come late."""
        offsets = {partition: owned.position for partition, owned in self.owned.items()
                   if owned.is_known and (owned.position != owned.committed or self.chaos.is_draining)}
        if not offsets:
            return
        codes = self.commit(offsets, self.id, self.generation)
        for partition, code in codes.items():
            if code == 0:
                self.owned[partition].committed = offsets[partition]
        if STALE_EPOCH in codes.values() or UNKNOWN_MEMBER in codes.values():
            self.next_beat = 0  # which tells what has changed
        self.must_rejoin |= REBALANCING in codes.values()
        self.has_coordinator &= not any(code in kafka.RETRIABLE for code in codes.values())

    def commit(self, offsets, member, generation):
        """{partition: error}"""
        if not offsets:
            return {}
        fields = {partition: {"topic": self.topic.key, "partition": partition, "offset": offset, "member": member,
                              "generation": generation} for partition, offset in offsets.items()}
        ops = {partition: self.event("group_commit", "invoke", **fields[partition]) for partition in offsets}
        codes = {}
        try:
            codes = groups.offset_commit(self.client, self.group.name, self.topic.name, offsets, member, generation,
                                         self.instance)
        finally:
            for partition, op in ops.items():
                code = codes.get(partition, -1)
                self.event("group_commit", "ok" if code == 0 else "fail" if code in REFUSED else "unknown", op,
                           error=error_name(code) if code > 0 else None, **fields[partition])
        for code in codes.values():
            assert code == 0 or code in REFUSED or code in kafka.RETRIABLE, f"OffsetCommit: {error_name(code)}"
            self.chaos.count("commits refused", code in REFUSED)
        return codes

    def joining(self, call):
        """call() -> (error, member, generation, whatever more)."""
        op = self.event("group_join", "invoke")
        phase, answer = "unknown", None
        try:
            answer = self.asks(call)
            phase = "fail" if answer[0] else "ok"
            if answer[0] in (0, groups.MEMBER_ID_REQUIRED):
                self.id = answer[1]
            if answer[0] == 0:
                self.generation = answer[2]
        finally:
            self.event("group_join", phase, op)
        return answer


class ClassicMember(Member):
    """As a consumer is that gives up everything before it joins; the leader divides."""

    def join_group(self):
        if self.is_in and self.random.random() < 0.75:
            self.commit_all()
        self.give_up_all()
        self.is_in = self.must_rejoin = False
        if self.client is None:
            return
        self.client.socket.settimeout(self.chaos.spec.request_seconds + REBALANCE_MS / 1000 + 1)
        try:
            self.join_and_sync()
        finally:
            if self.client is not None:
                self.client.socket.settimeout(self.chaos.spec.request_seconds)

    def join_and_sync(self):
        told = {}

        def join():
            group_wire.join_send(self.client, self.group.name, self.id, (("range", groups.subscription("t")),),
                                 SESSION_MS, REBALANCE_MS, self.instance)
            told.update(group_wire.join_read(self.client))
            return told["error"], told["member"], told["generation"]
        code = self.joining(join)[0]
        if code:
            self.refused("JoinGroup", code)
            return
        parts = groups.divided([member for member, _, _ in told["members"]], self.topic.partitions) \
            if told["members"] else {}
        sent_ns = time.monotonic_ns()
        code, data = self.asks(lambda: group_wire.sync(
            self.client, self.group.name, self.generation, self.id,
            [(member, groups.assignment(self.topic.name, own)) for member, own in parts.items()], self.instance))
        if code:
            self.refused("SyncGroup", code)
            return
        self.is_in = True
        self.beaten(sent_ns)
        found = groups.assigned(data)
        assert set(found) <= {self.topic.name}, f"SyncGroup assigns {found}"
        self.assign(found.get(self.topic.name, []))

    def beat(self):
        sent_ns = time.monotonic_ns()
        code = self.asks(lambda: group_wire.heartbeat(self.client, self.group.name, self.generation, self.id))
        if code:
            self.refused("Heartbeat", code)
        else:
            self.beaten(sent_ns)

    def leave(self):
        if self.instance is None:
            member = self.id
            self.lost("left", True)
            self.asks(lambda: group_wire.leave(self.client, self.group.name, [member]))
        else:
            self.lost("died", True)  # another process takes its place


class ConsumerMember(Member):
    """By ConsumerGroupHeartbeat (KIP-848): what the coordinator takes away is given up at once and told."""
    FIRST_GENERATION = 0

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.is_told_all = False

    def request(self, epoch):
        """(error, member, epoch, assignment)"""
        is_full = not self.is_told_all or epoch == 0
        more = {"rebalance_ms": REBALANCE_MS, "topics": [self.topic.name],
                "assignor": "range" if self.incarnation % 3 == 0 else "uniform"} if is_full else {}
        self.is_told_all = False  # until it was answered
        answer = groups.consumer_heartbeat(self.client, self.group.name, self.id, epoch, self.instance,
                                           owned=(self.topic.id, sorted(self.owned)), **more)
        self.is_told_all = answer[0] == 0
        return answer

    def answered(self, sent_ns, code, epoch, given):
        if code:
            self.refused("ConsumerGroupHeartbeat", code)
            return
        if given is not None and set(self.owned) - set(given.get(self.topic.id, [])):
            self.leave_ghost()  # of the epoch before
        self.generation = epoch
        self.is_in = True
        self.beaten(sent_ns)
        if given is None:
            return
        assert set(given) <= {self.topic.id}, "the assignment has a topic that nobody subscribed to"
        if self.assign(given.get(self.topic.id, [])):
            self.next_beat = 0

    def join_group(self):
        if not self.id:
            self.incarnation += 1
            self.id = f"{self.group.name}-{self.number}-{self.incarnation}"
        self.generation = 0
        sent_ns = time.monotonic_ns()
        code, _, epoch, given = self.joining(lambda: self.request(0))
        assert code or given is not None, "a joining member was told no assignment"
        self.answered(sent_ns, code, epoch, given)

    def beat(self):
        sent_ns = time.monotonic_ns()
        code, _, epoch, given = self.asks(lambda: self.request(self.generation))
        assert code or epoch >= self.generation, f"the epoch of {self.id} went from {self.generation} to {epoch}"
        self.answered(sent_ns, code, epoch, given)

    def leave(self):
        member = self.id
        self.lost("left", True)
        epoch = groups.LEAVES if self.instance is None or self.random.random() < 0.5 else groups.LEAVES_FOR_A_WHILE
        self.asks(lambda: groups.consumer_heartbeat(self.client, self.group.name, member, epoch, self.instance))


def members_of(run):
    """[Member] of a group of each protocol."""
    run.groups = [Group(run, "classic", True, 40), Group(run, "modern", False, 50)]
    return [member for group in run.groups for member in group.members]
