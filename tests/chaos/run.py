# SPDX-License-Identifier: Apache-2.0
"""One run of one spec: a node on a lossy disk behind a faulty network, clients, faults, the judge.

FAULTS: the spec strikes. DRAIN: every fault is off; whatever is under way must end within DRAIN_SECONDS (L1).
FINAL: every partition is read whole. Then the node stops in good order and history_check judges."""
import dataclasses
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time
import traceback

import clients
import kafka_requests as kafka
import records
import tellers
from disk import Disk
from fault_proxy import Proxy
from paths import LOSSY_DISK
from recorder import History
from synced import kept_offsets

import node as e2e

DRAIN_SECONDS, FINAL_SECONDS, STOP_SECONDS = 20, 20, 30
PARTITIONS = 3
FORGET_MS, EXPIRE_MS = 43200000, 3 * 86400000  # clocks beyond that: of producers, of committed offsets
RUN_PROPERTIES = {
    "barnabas.flush.mode": "commit", "barnabas.disk.reserve.bytes": 65536, "barnabas.disk.low.bytes": 0,
    "log.flush.offset.checkpoint.interval.ms": 300, "log.flush.start.offset.checkpoint.interval.ms": 300,
    "replica.high.watermark.checkpoint.interval.ms": 300, "log.retention.check.interval.ms": 200,
    "log.segment.delete.delay.ms": 100, "log.cleaner.backoff.ms": 100, "log.cleaner.dedupe.buffer.size": 4 << 20,
    "log.cleaner.io.buffer.size": 1 << 20, "offsets.topic.num.partitions": 3,
    "metadata.log.max.record.bytes.between.snapshots": 5000, "broker.heartbeat.interval.ms": 200,
    "broker.session.timeout.ms": 2000, "auto.create.topics.enable": "false",
    "log.message.timestamp.after.max.ms": 9223372036854775807,
}
TOPIC_CONFIGS = {"retention.ms": "-1", "retention.bytes": "-1"}


@dataclasses.dataclass
class Spec:
    """What strikes whom. faults(run) is called once and goes on while run.more()."""
    name: str
    text: str
    faults: object
    properties: dict = dataclasses.field(default_factory=dict)
    topics: dict = dataclasses.field(default_factory=lambda: {"t": {}})  # name: configs
    workers: object = None     # workers(run): [Worker]; None: the usual ones
    shards: int = 1
    directories: int = 1
    seconds: float = 4.0       # of faults
    request_seconds: float = 2.0
    may_stop: bool = False     # a fault may end the node (a metadata directory that failed)
    must_complain: bool = False  # a control: the judge has to find something
    bug: str = ""              # of src/base/bug.h that is alive
    claims: str = ""           # flush mode that the marks claim; empty: the node's own


class Failed(Exception):
    pass


class Topic:
    def __init__(self, name, topic_id, partitions, is_compacted):
        self.name, self.id, self.partitions, self.is_compacted = name, topic_id, partitions, is_compacted
        self.is_churn = name == "c"
        self.key = f"{name}#{kafka.topic_id_text(topic_id)}"


class Topics:
    def __init__(self, run):
        self.chaos, self.lock, self.live, self.known = run, threading.Lock(), {}, {}

    def named(self, name):
        return self.live.get(name)

    def any(self, stream, names):
        return self.live.get(stream.choice(names))

    def configs(self, name):
        return {**TOPIC_CONFIGS, **self.chaos.spec.topics[name]}

    def create(self, client, name):
        client.create_topic(name, PARTITIONS, [(key, str(value)) for key, value in self.configs(name).items()])

    def look(self, client, name):
        found = client.topic(name)
        if found is None:
            return None
        with self.lock:
            topic = self.known.get(found[0])
            if topic is None:
                configs = self.configs(name)
                topic = self.known[found[0]] = Topic(name, *found, configs.get("cleanup.policy") == "compact")
                self.chaos.history.add("create_topic", "ok", topic=topic.key, is_compacted=int(topic.is_compacted),
                                       retention_ms=int(configs["retention.ms"]),
                                       retention_bytes=int(configs["retention.bytes"]))
            self.live[name] = topic
        return topic

    def forget(self, topic):
        with self.lock:
            if self.live.get(topic.name) is topic:
                del self.live[topic.name]


class ChaosNode(e2e.Node):
    def __init__(self, folder, disk, properties, **arguments):
        self.disk, self.starts = disk, 0
        super().__init__(folder, properties, **arguments)

    def spawn(self, *arguments):
        environment = {**os.environ, **self.disk.environment}
        with open(self.log, "ab") as log:
            self.seen = log.tell()
            self.process = subprocess.Popen([e2e.BINARY, "start", str(self.file)], env=environment, stdout=log,
                                            stderr=subprocess.STDOUT, cwd=self.folder)
        self.starts += 1

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def virtual_bytes(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"VmSize:\s+(\d+) kB", text).group(1)) * 1024

    def check_backend(self):
        """Calls that go past libc would go past the lossy disk."""
        for path in pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir():
            try:
                assert "io_uring" not in os.readlink(path), "the node uses io_uring: the lossy disk sees nothing"
            except FileNotFoundError:
                pass  # closed meanwhile
        assert self.disk.get("writes") > 0 and self.disk.get("syncs") > 0, "the lossy disk was not used"


class Run:
    def __init__(self, spec, seed, seconds, folder):
        self.spec, self.seed, self.folder = spec, seed, pathlib.Path(folder)
        self.seconds = seconds or spec.seconds
        self.random = random.Random(f"{spec.name} {seed}")
        self.is_draining = self.is_over = False
        self.failure, self.acknowledged, self.notes, self.producer_ids = None, 0, {}, set()
        self.had_power_cut = self.had_disk_fault = self.expects_kill = False
        self.jumped_ms = 0
        self.groups = []
        self.properties = {**RUN_PROPERTIES, **spec.properties}
        self.is_os_mode = (spec.claims or self.properties["barnabas.flush.mode"]) == "os"

    # ---- what specs do ----

    def more(self):
        """Goes the run on? Raises what a client or the node failed with."""
        self.look_after()
        return time.monotonic() < self.deadline and not self.is_draining

    def look_after(self):
        if self.failure:
            raise Failed(self.failure)
        if self.node.process is not None and self.node.process.poll() is not None:
            status = self.node.process.returncode
            if status == -signal.SIGKILL and self.expects_kill:
                self.died("kill")
            elif self.spec.may_stop and status > 0:
                self.count("stopped")
                self.died("kill")
            else:
                raise Failed(f"the node ended by itself with {status}")

    def wait(self, low, high):
        end = min(time.monotonic() + self.random.uniform(low, high), self.deadline)
        while time.monotonic() < end:
            if self.failure:
                raise Failed(self.failure)
            time.sleep(0.005)

    def count(self, name, amount=1):
        self.notes[name] = self.notes.get(name, 0) + amount

    def kill_in_call(self, calls):
        """The process shall die amid one of its next calls to the disk; 0: not any more."""
        self.expects_kill = True
        self.disk.set(kill_after=calls)

    def died(self, mark):
        self.node.process = None
        self.history.mark(mark)

    def kill(self):
        self.node.kill()
        self.history.mark("kill")
        self.count("kills")

    def power_cut(self):
        if self.node.is_running():
            self.node.kill()
        self.node.process = None
        lost = self.disk.lose_unsynced(self.random)
        self.had_power_cut = True
        self.history.mark("power_cut_volatile" if self.is_os_mode else "power_cut")
        self.mark_synced()
        self.count("power cuts")
        for name, amount in lost.items():
            self.count(f"lost {name}", amount)

    def mark_synced(self):
        """A second cut, amid recovery, has its own: what was synced before stays so."""
        if not self.is_os_mode or self.had_disk_fault:
            return
        for (name, partition), offset in kept_offsets(self.disk.files_before).items():
            topic = self.topics.named(name)
            if topic is not None and not topic.is_churn and offset > 0:
                self.history.add("mark", mark="synced", topic=topic.key, partition=partition, offset=offset)
                self.count("synced partitions")

    def stop(self):
        self.history.mark("stop")
        self.node.process.send_signal(signal.SIGTERM)
        try:
            status = self.node.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failed(f"the node does not stop within {STOP_SECONDS} s") from None
        self.node.process = None
        if status != 0:
            raise Failed(f"the stop ended with {status}")
        self.count("stops")

    def start(self):
        self.history.mark("start")
        try:
            self.node.start()
        except AssertionError as error:
            if self.node.process.poll() == -signal.SIGKILL and self.expects_kill:
                self.died("kill")
                self.start()
                return
            raise Failed(f"the node does not start: {error}") from None
        self.count("starts")

    def pause(self, seconds):
        self.node.process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            self.node.process.send_signal(signal.SIGCONT)
        self.count("pauses")

    def disk_fails(self, **how):
        """From now on calls to the disk may fail."""
        if not self.had_disk_fault:
            self.history.mark("disk_fault")
            self.had_disk_fault = True
        self.disk.set(**how)

    def limit(self, what, value):
        """Of the node's process; None: as at its start."""
        pid = self.node.process.pid
        _, most = resource.prlimit(pid, what)
        resource.prlimit(pid, what, (most if value is None else value, most))
        self.count("limits")

    def knock(self):
        """A connection to the node itself, past the proxy."""
        peer = socket.socket()
        peer.setblocking(False)
        peer.connect_ex(("127.0.0.1", self.node.port))
        return peer

    def jump(self, milliseconds):
        """The node's wall clock."""
        offset = self.history.wall_offset_ms + milliseconds
        before, self.jumped_ms = self.jumped_ms, self.jumped_ms + abs(milliseconds)
        for mark, limit in (("forget", FORGET_MS), ("expire", EXPIRE_MS)):
            if before <= limit < self.jumped_ms:
                self.history.mark(mark)
        self.disk.set(wall_offset_ms=offset)
        self.history.wall_offset_ms = offset
        self.count("jumps")

    def producer_id_of(self, client):
        """A new one."""
        found = client.init_producer_id()
        with self.topics.lock:
            assert found not in self.producer_ids, f"producer id {found[0]} was given out before"
            self.producer_ids.add(found)
        return found

    def fail(self, why, error=None):
        if self.failure is None and not self.is_over:
            self.failure = why
            if error is not None:
                (self.folder / "failure.txt").write_text("".join(traceback.format_exception(error)))

    # ---- the run ----

    def usual_workers(self):
        return [clients.Producer(self, 1), clients.Producer(self, 2, acks=1, is_idempotent=False),
                self.random.choice((clients.Producer(self, 3, acks=0, pace=0.03),
                                    clients.Producer(self, 3, is_idempotent=False))),
                clients.Consumer(self, 10, searches=True), clients.Consumer(self, 11)]

    def set_up(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        root = self.folder / "node"
        root.mkdir()
        self.disk = Disk(root, self.folder / "disk", LOSSY_DISK, self.seed)
        self.port = e2e.free_ports(1)[0]
        properties = {**self.properties, "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}"}
        self.node = ChaosNode(root, self.disk, "".join(f"{key}={value}\n" for key, value in properties.items()),
                              shards=self.spec.shards, directories=self.spec.directories)
        self.node.log = self.folder / "node.log"
        self.proxy = Proxy(self.port, self.node.port)
        self.history = History(self.folder / "history.jsonl")
        self.topics = Topics(self)
        self.start()
        self.topics_see()
        self.node.check_backend()
        self.workers = (self.spec.workers or Run.usual_workers)(self)

    def topics_see(self):
        for name in self.spec.topics:
            self.retried(lambda client, name=name: self.topics.look(client, name) or
                         self.topics.create(client, name), f"topic {name} is there",
                         lambda found: isinstance(found, Topic))

    def retried(self, call, what, is_good=lambda _: True, seconds=DRAIN_SECONDS):
        """call(client) until its answer is good; a new connection each time."""
        deadline = time.monotonic() + seconds * e2e.SLOW
        found = None
        while time.monotonic() < deadline:
            try:
                client = kafka.Client(self.port, 5)
                try:
                    found = call(client)
                finally:
                    client.close()
                if is_good(found):
                    return found
            except (kafka.Closed, kafka.Refused) as error:
                found = error
            time.sleep(0.02)
        raise Failed(f"L1: not within {seconds} s: {what} ({found})")

    def heal(self):
        self.disk.heal()
        self.disk.set(sync_delay_min=0, sync_delay_max=0)
        self.proxy.heal()
        if self.node.process is not None:
            self.look_after()
        if not self.node.is_running():
            self.start()

    def join(self, threads, what, seconds):
        deadline = time.monotonic() + seconds * e2e.SLOW
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0))
            if self.failure:
                raise Failed(self.failure)
            if thread.is_alive():
                raise Failed(f"L1: {thread.name} {what} within {seconds} s")

    def end_groups(self):
        """Each has to become stable, and to come to the end of what there is."""
        had_holes = self.is_os_mode and self.had_power_cut  # behind which nobody can read
        for group in self.groups:
            self.retried(lambda client, group=group: group.missing(client, not had_holes),
                         "a group is stable and drained", lambda missing: missing is None)
        self.join([member for group in self.groups for member in group.members], "does not end", DRAIN_SECONDS)

    def read_all(self):
        self.topics_see()
        time.sleep(0.3)  # what acks=1 acknowledged is shown once its sync has ended
        self.end_groups()
        self.history.mark("final")
        for worker in self.workers:
            if isinstance(worker, tellers.Teller):
                self.retried(worker.look_finally, "a group's offset is stable", bool)
        names = [name for name in self.spec.topics if name != "k"]
        readers = [clients.FinalReader(self, 90 + at, name) for at, name in enumerate(names)]
        for reader in readers:
            reader.start()
        # A hole that a power cut left in flush mode os may end what can be read.
        patience = 3 if self.is_os_mode and self.had_power_cut else FINAL_SECONDS
        try:
            self.join(readers, "could not read its topic whole", patience)
        except Failed:
            if patience == FINAL_SECONDS or self.failure:
                raise
        if "k" in self.spec.topics:
            self.judge_keys()

    def judge_keys(self):
        found = self.retried(lambda client: compacted(client, self.topics.named("k")),
                             "the compacted topic can be read", seconds=FINAL_SECONDS)
        for worker in self.workers:
            if isinstance(worker, clients.KeyWriter):
                try:
                    worker.judge(found)
                except AssertionError as error:
                    raise Failed(f"D8: {error}") from None

    def strike(self):
        self.deadline = time.monotonic() + self.seconds
        for worker in self.workers:
            worker.start()
        try:
            self.spec.faults(self)
            while self.more():
                self.wait(0.1, 0.1)
        finally:
            self.is_draining = True
        self.heal()
        members = [member for group in self.groups for member in group.members]
        self.join([worker for worker in self.workers if worker not in members], "has not ended what was under way",
                  DRAIN_SECONDS)
        self.read_all()
        self.look_after()
        self.stop()

    def close(self):
        self.is_draining = self.is_over = True
        if getattr(self, "node", None):
            if self.node.is_running():
                self.node.process.send_signal(signal.SIGCONT)
            self.node.kill()
        if getattr(self, "proxy", None):
            self.proxy.close()

    def go(self):
        """(what is wrong or None, what the judge said)"""
        wrong, said = None, ""
        try:
            self.set_up()
            self.strike()
        except Failed as failure:
            wrong = str(failure)
        finally:
            self.close()
        if getattr(self, "history", None):
            for worker in getattr(self, "workers", []):
                if worker.ident:
                    worker.join(5)
            violations, said = self.history.check()
            if violations:
                wrong = "; ".join(([wrong] if wrong else []) + violations[:3])
        if wrong is None and self.acknowledged < 20:
            wrong = f"only {self.acknowledged} requests were acknowledged: that shows nothing"
        for name in ("syncs_failed", "writes_failed", "writes_short", "names_failed", "reads_failed"):
            if self.disk.get(name):
                self.count(name.replace("_", " "), self.disk.get(name))
        for name, amount in self.proxy.counts.items():
            self.count(f"proxy {name}", amount)
        return wrong, said

    def clean(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def compacted(client, topic):
    """{key: [(offset, value)]} of every partition."""
    found, name = {}, topic.name
    for partition in range(topic.partitions):
        at, end = 0, client.list_offset(name, partition, -1)
        last = -1
        while at < end:
            code, _, _, _, data, _ = client.fetch_by_id(topic.id, {partition: at}, 100, 1 << 20)[partition]
            if code:
                raise kafka.Refused("Fetch", code)
            before = at
            for fields, body, is_valid, _ in records.batches_of(data):
                if not is_valid:
                    raise Failed(f"D10: a broken batch at {fields[0]} of {name}-{partition}")
                for delta, key, value in records.records_of(body):
                    if fields[0] + delta > last:
                        last = fields[0] + delta
                        found.setdefault(key, []).append((last, value))
                at = max(at, fields[0] + fields[6] + 1)
            if at == before:
                raise Failed(f"Fetch of {name}-{partition} from {at} gives nothing before {end}")
    return found


def line_of(text):
    return re.sub(r"\s+", " ", text)[:600]
