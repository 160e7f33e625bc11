# SPDX-License-Identifier: Apache-2.0
"""One node for the whole session, of the kind that BARNABAS_INTEROP_NODE names: "barnabas", or
"apache" to check the tests themselves. Tests keep to topics of their own."""
import contextlib
import itertools
import os
import re
import tempfile

import pytest

import java_tools
import kafka
import tools as apache_tools

KIND = os.environ.get("BARNABAS_INTEROP_NODE", "barnabas")
COUNTER = itertools.count(1)


@pytest.fixture(scope="session")
def tools():
    if not java_tools.available():
        pytest.skip("needs java, javac and mvn")
    runner = apache_tools.Tools()
    yield runner
    runner.close()


@pytest.fixture(scope="session")
def nodes(tools):
    """Makes the session's node of a kind, once; all are ended at the end."""
    made = {}
    with tempfile.TemporaryDirectory(prefix="barnabas-interop-") as folder:

        def get(kind):
            if kind not in made:
                if not kafka.KINDS[kind].available():
                    pytest.skip(f"there is no {kind} node")
                node = kafka.KINDS[kind](f"{folder}/{kind}", tools, directories=2)
                node.format()
                made[kind] = node.start()
            return made[kind]

        yield get
        for node in made.values():
            node.close()


@pytest.fixture
def node(nodes):
    the_node = nodes(KIND)
    the_node.revive()
    yield the_node
    assert the_node.is_alive(), "the node ended during this test"


@contextlib.contextmanager
def node_of_its_own(tools, folder, **more):
    """In place of the session's node, for tests that kill it; formatted and started."""
    kind = kafka.KINDS[KIND]
    if not kind.available():
        pytest.skip(f"there is no {KIND} node")
    own = kind(folder / "node", tools, **more)
    try:
        own.format()
        own.start()
        yield own
    finally:
        own.close()


@pytest.fixture
def topic(request):
    """A name that no other test uses."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())
    return f"{words.strip('-')[:80]}-{next(COUNTER)}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    for value in getattr(item, "funcargs", {}).values():
        for node in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(node, kafka.Node):
                report.sections.append((f"log of the {node.kind} node", node.log_tail()))
