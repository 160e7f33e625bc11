# SPDX-License-Identifier: Apache-2.0
"""Makes the golden log directories beside this file anew: what Apache Kafka leaves behind after a clean
and after an unclean stop. See README.md."""
import pathlib
import shutil
import signal
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "interop"))

import kafka  # noqa: E402
import records  # noqa: E402
import tools  # noqa: E402

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
BASE_MS = 1_700_000_000_000
TOP_FILES = (".kafka_cleanshutdown", "meta.properties", "recovery-point-offset-checkpoint",
             "log-start-offset-checkpoint", "replication-offset-checkpoint")


def fill(node):
    node.create_topic("golden", "--config", "segment.ms=60000", "--config", "retention.ms=-1",
                      "--config", "segment.index.bytes=1024")
    number = 0
    for round_, codec in enumerate((*CODECS, "none")):
        sent = []
        for _ in range(8):
            sent.append(records.record("golden", b"value %d of %s " % (number, codec.encode()) * 6,
                                       key=b"key %d" % number, timestamp=BASE_MS + 100_000 * round_ + number,
                                       headers=[("number", b"%d" % number)]))
            number += 1
        records.send(node, sent, f"compression.type={codec}", "linger.ms=100", "enable.idempotence=true")


def keep(node, name):
    source, target = node.log_dirs[0], HERE / name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source / "golden-0", target / "golden-0")
    for each in TOP_FILES:
        if (source / each).exists():
            shutil.copy(source / each, target / each)


def main():
    runner = tools.Tools()
    with tempfile.TemporaryDirectory(prefix="barnabas-golden-") as folder:
        node = kafka.ApacheNode(folder, runner)
        try:
            node.format()
            node.start()
            fill(node)
            node.signal(signal.SIGKILL)
            keep(node, "unclean")
            node.start()
            node.stop()
            keep(node, "clean")
        finally:
            node.close()
            runner.close()


main()
