# SPDX-License-Identifier: Apache-2.0
"""The JavaScript client kafkajs, pinned in package.json: admin, producer, transactions."""
import re

import pytest

import javascript_tools
import records

SOURCE = "kafkajs_checks.js"
CHECKS = re.findall(r"^  async (\w+) \(kafka",
                    (javascript_tools.JAVASCRIPT / SOURCE).read_text("utf-8"), re.M)

pytestmark = pytest.mark.skipif(not javascript_tools.available(), reason="needs node and npm")


@pytest.mark.parametrize("check", CHECKS)
def test_kafkajs_finds(node, topic, check):
    result = javascript_tools.run(SOURCE, check, node.address, topic)
    assert result.returncode == 0, result.stdout + result.stderr


def test_what_kafkajs_sends_the_java_client_reads(node, topic):
    javascript_tools.run(SOURCE, "producerSendsBatchesWithAndWithoutCompression", node.address, topic)
    found = records.read(node, topic)
    assert len(found) == 200
    for number in (0, 99, 100, 199):
        assert found[number] == {
            "partition": 0, "offset": number, "timestamp": 1700000000000 + number % 100,
            "key": records.packed(b"k%d" % (number % 100)), "value": records.packed(b"v%d" % (number % 100)),
            "headers": [["h", records.packed(b"%d" % (number % 100))]]}
