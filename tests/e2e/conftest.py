# SPDX-License-Identifier: Apache-2.0
import pytest

from node import Node


@pytest.fixture
def make_node(tmp_path):
    """Makes nodes in folders of their own; what still runs at the end is killed."""
    nodes = []

    def make(properties="", **options):
        folder = tmp_path / f"node{len(nodes)}"
        folder.mkdir()
        nodes.append(Node(folder, properties, **options))
        return nodes[-1]
    yield make
    for node in nodes:
        node.kill()


@pytest.fixture(scope="module", params=[1, 3], ids=["one shard", "three shards"])
def node(request, tmp_path_factory):
    """One running node for a module."""
    shared = Node(tmp_path_factory.mktemp("node"), shards=request.param)
    shared.start()
    yield shared
    assert shared.process.poll() is None, f"the node died:\n{shared.text()[-4000:]}"
    assert shared.stop() == 0
