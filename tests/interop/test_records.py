# SPDX-License-Identifier: Apache-2.0
"""Record batches, the leader's checks and producer state: Apache Kafka's classes and ours answer the
same questions alike.

Questions are lines; who made them does not matter to the answerer (RecordsPeer.java tells what they
are). A failure names the seed; RECORDS_SEED repeats it, RECORDS_COUNT says how many questions."""
import os
import pathlib
import subprocess

import pytest

import java_tools
from seeds import seed_of

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BARNABAS_BUILD", ROOT / "build"))
PEER = BUILD / "tests/unit/records/records_peer"
JAVA = "records/RecordsPeer.java"
COUNT = int(os.environ.get("RECORDS_COUNT", "2000"))
GOLDEN = ROOT / "tests/golden/records/kafka-4.4.0.txt"

pytestmark = [
    pytest.mark.skipif(not java_tools.available(), reason="needs java, javac and mvn"),
    pytest.mark.skipif(not PEER.exists(), reason=f"needs {PEER}"),
]


@pytest.fixture(scope="module")
def seed():
    return seed_of("RECORDS_SEED")


def run(command, questions=b""):
    return subprocess.run(command, input=questions, check=True, timeout=300,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


def assert_same_answers(questions, seed):
    asked = questions.splitlines()
    ours = run([PEER, "answer"], questions).splitlines()
    kafkas = run(java_tools.command(JAVA, "answer"), questions).splitlines()
    assert len(ours) == len(kafkas) == len(asked), f"seed {seed}"
    for number, (question, our, kafka) in enumerate(zip(asked, ours, kafkas)):
        assert our[:2000] == kafka[:2000], f"seed {seed}, question {number}: {question[:500]}"
    return ours


def test_kafka_reads_our_batches_in_every_codec(seed):
    answers = assert_same_answers(run([PEER, "write", str(seed), str(COUNT)]), seed)
    assert all(answer.startswith(b"base=") for answer in answers)
    assert {word for answer in answers for word in answer.split() if word.startswith(b"codec=")} == {
        b"codec=%d" % codec for codec in range(5)}


def test_we_read_kafkas_batches_in_every_codec_and_level(seed):
    answers = assert_same_answers(run(java_tools.command(JAVA, "write", seed, COUNT)), seed)
    assert all(answer.startswith(b"base=") for answer in answers)


def test_a_leader_checks_and_rewrites_as_kafkas_does(seed):
    answers = assert_same_answers(run([PEER, "validate", str(seed), str(COUNT)]), seed)
    kinds = {b" ".join(answer.split()[:2]) for answer in answers}
    assert {b"kept max", b"rebuilt max", b"error 87", b"error 32"} <= kinds


def test_producer_state_moves_as_kafkas_does(seed):
    answers = assert_same_answers(run([PEER, "producers", str(seed), str(10 * COUNT)]), seed)
    kinds = {b" ".join(answer.split()[:2]) for answer in answers}
    assert {b"error 45", b"error 47", b"error 48", b"error 52"} <= kinds
    assert any(answer.startswith(b"duplicate") for answer in answers)


def test_the_golden_bytes_are_what_kafka_writes_today():
    kept = [line for line in GOLDEN.read_bytes().splitlines() if not line.startswith(b"#")]
    assert run(java_tools.command(JAVA, "capture")).splitlines() == kept
