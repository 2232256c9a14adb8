"""Jars, fetched once by Maven, checked against the committed list, kept in a cache.

A folder in the cache is named after the list it satisfies and appears whole or not at all, so an
interrupted fetch, a changed list and two runs at once all do the right thing. To renew the list
after a change of versions: ``python -m deploy.testbed relist``, and read the difference.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.testbed.errors import TestbedError

_HERE = Path(__file__).parent
_LIST = _HERE / "jars.sha256"
_POM = _HERE / "kafka-pom.xml"
_DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
_REGISTRY = "io.apicurio:apicurio-registry-app:3.3.3:tar.gz:all"
_REGISTRY_ARCHIVE = "apicurio-registry-app-3.3.3-all.tar.gz"
_FETCH_TIMEOUT_S = 900


def cache_folder() -> Path:
    """Where fetched files are kept: ``$TESTBED_CACHE``, else ``.cache/testbed`` in the checkout."""
    chosen = os.environ.get("TESTBED_CACHE")
    folder = Path(chosen) if chosen else _HERE.parent.parent / ".cache" / "testbed"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def is_fetched() -> bool:
    """Whether everything is in the cache, so that Maven is not needed."""
    return _home("kafka").exists() and _home("registry").exists()


def kafka_jars() -> Path:
    """The folder with the jars of Apache Kafka, fetched if need be."""
    home = _home("kafka")
    if not home.exists():
        with _staging() as staging:
            _fetch_kafka(staging)
            _verify(staging, _expected("kafka"))
            _settle(staging, home)
    return home


def registry_home() -> Path:
    """The folder with the unpacked schema registry, fetched if need be."""
    home = _home("registry")
    if not home.exists():
        with _staging() as staging, tempfile.TemporaryDirectory(dir=cache_folder()) as download:
            _fetch_registry(Path(download))
            _verify(Path(download), _expected("registry"))
            with tarfile.open(Path(download) / _REGISTRY_ARCHIVE) as archive:
                archive.extractall(staging, filter="data")
            _settle(staging, home)
    return home


def relist() -> None:
    """Fetch everything anew and write down what came: for whoever changes a version."""
    with _staging() as staging:
        kafka, registry = staging / "kafka", staging / "registry"
        _fetch_kafka(kafka)
        _fetch_registry(registry)
        files = [*sorted(kafka.iterdir()), *sorted(registry.iterdir())]
        _LIST.write_text("".join(f"{_sha256(file)}  {file.relative_to(staging)}\n" for file in files))


def _fetch_kafka(folder: Path) -> None:
    _maven(
        "--file", str(_POM), f"{_DEPENDENCY_PLUGIN}:copy-dependencies",
        "-DincludeScope=runtime", f"-DoutputDirectory={folder}",
    )  # fmt: skip


def _fetch_registry(folder: Path) -> None:
    _maven(f"{_DEPENDENCY_PLUGIN}:copy", f"-Dartifact={_REGISTRY}", f"-DoutputDirectory={folder}")


def _maven(*arguments: str) -> None:
    program = shutil.which("mvn")
    if program is None:
        raise TestbedError(
            "Maven is missing: it fetches Apache Kafka and the registry. "
            "As root on Debian or Ubuntu: apt-get install maven"
        )
    try:
        done = subprocess.run(
            [program, "--batch-mode", "--quiet", *arguments],
            cwd=_HERE,  # Maven looks for a project file where it stands
            capture_output=True,
            text=True,
            timeout=_FETCH_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TestbedError(
            f"Maven did not finish in {_FETCH_TIMEOUT_S} s; is its repository reachable?"
        ) from error
    if done.returncode != 0:
        raise TestbedError(f"Maven failed (its repository must be reachable):\n{done.stdout}{done.stderr}")


def _expected(part: str) -> dict[str, str]:
    """File name to SHA-256, of one part of the list: ``kafka`` or ``registry``."""
    pairs = (line.split(maxsplit=1) for line in _LIST.read_text().splitlines())
    return {Path(path).name: digest for digest, path in pairs if Path(path).parent.name == part}


def _verify(folder: Path, expected: dict[str, str]) -> None:
    found = {file.name: _sha256(file) for file in folder.iterdir()}
    if found == expected:
        return
    wrong = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    raise TestbedError(
        f"what Maven brought is not what {_LIST.name} lists, and was thrown away: {', '.join(wrong)}"
    )


@contextmanager
def _staging() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=".staging-", dir=cache_folder()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _settle(staging: Path, home: Path) -> None:
    try:
        staging.rename(home)
    except OSError:
        # Another run was faster, and what it put there passed the same check.
        if not home.exists():
            raise


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _home(part: str) -> Path:
    listing = "\n".join(f"{name} {digest}" for name, digest in sorted(_expected(part).items()))
    return cache_folder() / f"{part}-{hashlib.sha256(listing.encode()).hexdigest()[:12]}"
