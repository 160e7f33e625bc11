# SPDX-License-Identifier: Apache-2.0
"""What a process and the machine have used, from the kernel's own counts."""
import collections
import os
import re
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count()
Cpu = collections.namedtuple("Cpu", "total user system")
Machine = collections.namedtuple("Machine", "at busy steal")


def cpu(pid):
    """Processor seconds: `total` to the nanosecond, its two parts from /proc in hundredths."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    total = time.clock_gettime((~pid << 3) | 2)  # the process's clock, its ended threads included
    return Cpu(total, int(fields[11]) / TICKS, int(fields[12]) / TICKS)


def machine():
    with open("/proc/stat", encoding="utf-8") as file:
        user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return Machine(time.monotonic(), (user + nice + system + irq + softirq) / TICKS, steal / TICKS)


def memory(pid):
    """Resident megabytes: all, and those that are no file's."""
    found = {}
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name in ("VmRSS", "RssAnon"):
                found[name] = int(value.split()[0]) * 1024 / 1e6
    return found["VmRSS"], found["RssAnon"]


def private(pid):
    """Megabytes that are the process's alone and written to: what one more connection or member adds to."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
        found = dict(line.split(":", 1) for line in file if line.startswith("Private_"))
    return int(found["Private_Dirty"].split()[0]) * 1024 / 1e6


def live_heap(pid):
    """Megabytes that a JVM cannot free just now: what is reachable. (GC.run collects concurrently under Kafka's own
    settings, and leaves a megabyte or two that nobody holds.)"""
    out = subprocess.run(["jcmd", str(pid), "GC.class_histogram"], check=True, capture_output=True,
                         text=True, timeout=60).stdout
    return int(re.search(r"^Total +\d+ +(\d+)", out, re.MULTILINE)[1]) / 1e6


class Span:
    """Between two moments: what a broker used, and how busy the machine was with others."""

    def __init__(self, pid):
        self.pid = pid
        self.machine, self.cpu = machine(), cpu(pid)

    def end(self, client_cpu):
        after, used = machine(), cpu(self.pid)
        self.seconds = after.at - self.machine.at
        self.total, self.user, self.system = (b - a for a, b in zip(self.cpu, used))
        share = 100 / (self.seconds * CORES)
        others = after.busy - self.machine.busy - self.total - client_cpu
        self.disturbance = {"others_percent": max(0.0, others * share),
                            "steal_percent": (after.steal - self.machine.steal) * share}
        return self
