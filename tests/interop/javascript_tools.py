# SPDX-License-Identifier: Apache-2.0
"""Runs the JavaScript helpers below tests/interop/javascript. The packages that package.json pins are
those of node_modules beside it (`./dev interop` installs them), or else installed once in the cache
folder of java_tools."""
import hashlib
import os
import pathlib
import shutil
import subprocess

import java_tools

HERE = pathlib.Path(__file__).resolve().parent
JAVASCRIPT = HERE / "javascript"


def available():
    return all(shutil.which(tool) for tool in ("node", "npm"))


def modules():
    if (HERE / "node_modules/kafkajs").is_dir():
        return HERE / "node_modules"
    package = HERE / "package.json"
    key = hashlib.sha256(package.read_bytes()).hexdigest()[:16]
    kept = java_tools.cache_folder() / f"javascript-{key}"
    if not kept.exists():
        fresh = kept.with_suffix(f".{os.getpid()}")
        fresh.mkdir()
        shutil.copy(package, fresh)
        subprocess.run(["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"],
                       cwd=fresh, check=True, timeout=300)
        fresh.rename(kept)
    return kept / "node_modules"


def run(source, *arguments, seconds=60):
    return subprocess.run(["node", JAVASCRIPT / source, *map(str, arguments)], capture_output=True,
                          text=True, timeout=seconds,
                          env={**os.environ, "NODE_PATH": str(modules()),
                               "KAFKAJS_NO_PARTITIONER_WARNING": "1"})
