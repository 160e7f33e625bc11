# SPDX-License-Identifier: Apache-2.0
"""Compiles and runs the Java helpers below tests/interop/java against Apache Kafka's jars.

The class path comes from java/pom.xml through Maven once and is kept, with the class files, in a
cache folder (BARNABAS_INTEROP_CACHE, by default below the user's cache)."""
import hashlib
import os
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
JAVA = HERE / "java"


def available():
    return all(shutil.which(tool) for tool in ("java", "javac", "mvn"))


def cache_folder():
    default = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "barnabas"
    folder = pathlib.Path(os.environ.get("BARNABAS_INTEROP_CACHE", default))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def class_path():
    pom = JAVA / "pom.xml"
    key = hashlib.sha256(pom.read_bytes()).hexdigest()[:16]
    kept = cache_folder() / f"classpath-{key}"
    if not kept.exists():
        fresh = kept.with_suffix(f".{os.getpid()}")
        subprocess.run(["mvn", "-q", "-B", "-f", pom, "dependency:build-classpath",
                        f"-Dmdep.outputFile={fresh}", "-DincludeScope=runtime"],
                       check=True, stdout=subprocess.DEVNULL, timeout=600)
        fresh.rename(kept)
    return kept.read_text(encoding="utf-8").strip()


def compiled(source):
    """The class path on which the class of java/<source> is found."""
    path = JAVA / source
    key = hashlib.sha256(path.read_bytes() + (JAVA / "pom.xml").read_bytes()).hexdigest()[:16]
    classes = cache_folder() / f"{path.stem}-{key}"
    if not classes.exists():
        fresh = classes.with_suffix(f".{os.getpid()}")
        subprocess.run(["javac", "-cp", class_path(), "-d", fresh, path], check=True, timeout=300)
        fresh.rename(classes)
    return f"{classes}:{class_path()}"


def command(source, *arguments):
    """The command line that runs java/<source> (a class of its file's name)."""
    return ["java", "-XX:TieredStopAtLevel=1", "-cp", compiled(source), pathlib.Path(source).stem,
            *map(str, arguments)]
