# SPDX-License-Identifier: Apache-2.0
"""transfers.py ADDRESS TOPIC PARTITIONS NAME JOURNAL: one teller, until it is killed.

Each transaction moves an amount between two accounts of different partitions: two records, "-amount" and
"amount", both under the transaction's number. Some are aborted. The journal has a line before each end is
asked for and one after it was answered, written at once, as this process may be killed at any moment."""
import os
import random
import sys

import confluent_kafka

WAIT = 20


class Journal:
    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, *words):
        os.write(self.file, (" ".join(map(str, words)) + "\n").encode())


class Teller:
    def __init__(self, address, topic, partitions, name, journal):
        self.topic, self.partitions, self.name = topic, partitions, name
        self.journal = Journal(journal)
        self.random = random.Random()
        self.address = address
        self.number = 0
        self.producer = None

    def begin(self):
        """A new producer of the same transactional id: what was open is aborted by it."""
        self.producer = confluent_kafka.Producer({
            "bootstrap.servers": self.address, "transactional.id": f"{self.topic}-{self.name}",
            "transaction.timeout.ms": 10000, "linger.ms": 0, "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 100, "retry.backoff.ms": 20, "log_level": 0,
            "error_cb": lambda error: None})
        self.producer.init_transactions(WAIT)

    def transfer(self):
        self.number += 1
        number = f"{self.name}.{os.getpid()}.{self.number}"
        amount = self.random.randint(1, 1000)
        first, second = self.random.sample(range(self.partitions), 2)
        aborts = self.random.random() < 0.25
        self.producer.begin_transaction()
        self.journal.write("begin", number)
        for partition, value in ((first, -amount), (second, amount)):
            self.producer.produce(self.topic, b"%d" % value, number.encode(), partition)
            if self.random.random() < 0.3:
                self.producer.flush(WAIT)
        if aborts:
            if self.random.random() < 0.7:
                self.producer.flush(WAIT)
            self.journal.write("abort", number)
            self.producer.abort_transaction(WAIT)
            self.journal.write("aborted", number)
        else:
            self.journal.write("commit", number)
            self.producer.commit_transaction(WAIT)
            self.journal.write("committed", number)

    def run(self):
        while True:
            try:
                if not self.producer:
                    self.begin()
                self.transfer()
            except confluent_kafka.KafkaException as failed:
                error = failed.args[0]
                self.journal.write("error", error.name())
                if error.txn_requires_abort():
                    try:
                        self.producer.abort_transaction(WAIT)
                        continue
                    except confluent_kafka.KafkaException:
                        pass
                self.producer = None  # fatal, or it is not known how it ended


if __name__ == "__main__":
    Teller(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5]).run()
