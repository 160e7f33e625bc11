# SPDX-License-Identifier: Apache-2.0
"""Every message in every version, both ways between Apache Kafka's classes and ours.

One JVM and one program of ours per direction; entries are lines "Name version hex json". A failure
names the seed; PROTOCOL_SEED repeats it, PROTOCOL_COUNT says how many of each."""
import os
import pathlib
import subprocess

import pytest

import java_tools
from seeds import seed_of

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BARNABAS_BUILD", ROOT / "build"))
PEER = BUILD / "tests/unit/protocol/protocol_peer"
JAVA = "protocol/ProtocolPeer.java"
COUNT = int(os.environ.get("PROTOCOL_COUNT", "5"))

pytestmark = [
    pytest.mark.skipif(not java_tools.available(), reason="needs java, javac and mvn"),
    pytest.mark.skipif(not PEER.exists(), reason=f"needs {PEER}"),
]


@pytest.fixture(scope="module")
def seed():
    return seed_of("PROTOCOL_SEED")


def exchange(writer, reader, seed):
    entries = subprocess.run(writer, check=True, capture_output=True, timeout=300).stdout
    versions = {tuple(line.split(b" ", 2)[:2]) for line in entries.splitlines()}
    assert len(versions) == 744, f"seed {seed}"
    result = subprocess.run(reader, input=entries, capture_output=True, timeout=300)
    text = result.stdout.decode("utf-8", "replace")
    assert result.returncode == 0, f"seed {seed}\n{text}"
    assert text.splitlines()[-1] == f"{744 * COUNT} entries, 0 wrong"


def test_what_kafka_writes_we_read_and_write_the_same(seed):
    exchange(java_tools.command(JAVA, "write", seed, COUNT), [PEER, "check"], seed)


def test_what_we_write_kafka_reads_and_writes_the_same(seed):
    exchange([PEER, "write", str(seed), str(COUNT)], java_tools.command(JAVA, "check"), seed)


def test_values_without_a_place_are_dropped_or_refused_as_by_kafka(seed):
    entries = subprocess.run(java_tools.command(JAVA, "recast", seed, COUNT), check=True,
                             capture_output=True, timeout=300).stdout
    result = subprocess.run([PEER, "recast"], input=entries, capture_output=True, timeout=300)
    assert entries.count(b" -\n") > 100 and entries.count(b"\n") > 1000
    assert result.returncode == 0, f"seed {seed}\n{result.stdout.decode('utf-8', 'replace')}"
