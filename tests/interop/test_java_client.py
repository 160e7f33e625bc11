# SPDX-License-Identifier: Apache-2.0
"""Kafka's Java client of the release itself: producer, consumer without a group, admin. Each check is
a static method of a class below java/clients."""
import re

import pytest

import java_tools

CHECKS = [(name, method) for name in ("RecordChecks", "AdminChecks", "ClusterChecks")
          for method in re.findall(r"^    static void (\w+)\(Check check\)",
                                   (java_tools.JAVA / f"clients/{name}.java").read_text("utf-8"), re.M)]


@pytest.mark.parametrize("name, method", CHECKS, ids=[method for _, method in CHECKS])
def test_the_java_client_finds(node, topic, name, method):
    node.tools.run("Check", name, method, node.address, topic[-100:])
