# SPDX-License-Identifier: Apache-2.0
"""The seed of a test that asks at random: the named variable's, else another in each run, but in CI one and
the same, so that a change which turns it red is the cause."""
import os
import random


def seed_of(variable):
    if variable in os.environ:
        return int(os.environ[variable])
    return 1 if os.environ.get("CI") else random.randrange(1 << 31)
