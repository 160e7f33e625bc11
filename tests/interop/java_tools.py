# SPDX-License-Identifier: Apache-2.0
"""Compiles and runs the Java helpers below tests/interop/java against Apache Kafka's jars.

A class path comes from a pom there through Maven once and is kept, with the class files, in a cache
folder (BARNABAS_INTEROP_CACHE, by default below the user's cache)."""
import hashlib
import os
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
JAVA = HERE / "java"
HELPERS = ("pom.xml",)
NODE = ("node/pom.xml",)
TOOLS = ("node/pom.xml", "tools/pom.xml")


def available():
    return all(shutil.which(tool) for tool in ("java", "javac", "mvn"))


def cache_folder():
    default = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "barnabas"
    folder = pathlib.Path(os.environ.get("BARNABAS_INTEROP_CACHE", default))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def jars(pom):
    path = JAVA / pom
    key = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    kept = cache_folder() / f"classpath-{key}"
    if not kept.exists():
        fresh = kept.with_suffix(f".{os.getpid()}")
        subprocess.run(["mvn", "-q", "-B", "-f", path, "dependency:build-classpath",
                        f"-Dmdep.outputFile={fresh}", "-DincludeScope=runtime"],
                       check=True, stdout=subprocess.DEVNULL, timeout=600)
        fresh.rename(kept)
    return kept.read_text(encoding="utf-8").strip().split(":")


def class_path(poms=HELPERS):
    """The jars of all the poms, each once, those of the first pom before the others."""
    return ":".join(dict.fromkeys(jar for pom in poms for jar in jars(pom)))


def compiled(sources, poms=HELPERS):
    """The class path on which the classes of java/<source>, one or several, are found."""
    paths = [JAVA / source for source in ([sources] if isinstance(sources, str) else sources)]
    contents = [path.read_bytes() for path in [*paths, *(JAVA / pom for pom in poms)]]
    key = hashlib.sha256(b"".join(contents)).hexdigest()[:16]
    classes = cache_folder() / f"{paths[0].stem}-{key}"
    if not classes.exists():
        fresh = classes.with_suffix(f".{os.getpid()}")
        subprocess.run(["javac", "-cp", class_path(poms), "-d", fresh, *paths], check=True, timeout=300)
        fresh.rename(classes)
    return f"{classes}:{class_path(poms)}"


def command(source, *arguments):
    """The command line that runs java/<source> (a class of its file's name)."""
    return ["java", "-XX:TieredStopAtLevel=1", "-cp", compiled(source), pathlib.Path(source).stem,
            *map(str, arguments)]
