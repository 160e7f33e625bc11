# SPDX-License-Identifier: Apache-2.0
"""Clients that wait at each mark for a word, so that the broker's clock is read at the right moments."""
import json
import subprocess

import measure


class Paced:
    def __init__(self, *words):
        self.client = subprocess.Popen([str(word) for word in words], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def read(self):
        line = self.client.stdout.readline()
        assert line, self.client.communicate()[1]
        return line.strip()

    def mark(self, word):
        line = self.read()
        assert line == word, line

    def go(self):
        self.client.stdin.write("go\n")
        self.client.stdin.flush()

    def measured(self, bench, node):
        """Lets it go on to its next line of JSON: what it found, and the broker's span meanwhile."""
        span = measure.Span(node.process.pid)
        self.go()
        found = json.loads(self.read())
        bench.results.disturbances.append(span.end(found["client_cpu"]).disturbance)
        return found, span

    def end(self):
        self.client.communicate(timeout=120)


def per_request(span, count):
    return {"CPU µs": span.total * 1e6 / count, "user µs": span.user * 1e6 / count,
            "system µs": span.system * 1e6 / count}
