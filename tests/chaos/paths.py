# SPDX-License-Identifier: Apache-2.0
"""Where the programs are that the chaos runner uses; finds the modules of tests/e2e."""
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BARNABAS_BUILD", ROOT / "build"))
LOSSY_DISK = BUILD / "tests/chaos/lossy_disk.so"
HISTORY_CHECK = BUILD / "tests/history/history_check"
sys.path.insert(0, str(ROOT / "tests/e2e"))
