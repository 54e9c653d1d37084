"""How heavy a package is: what it and all that it needs take on disk, and how long it loads."""

import json
import statistics
import subprocess
from collections.abc import Mapping
from typing import Any

__all__ = ["weight"]

_TIMES = 3
_SIZE = """
import importlib.metadata as m, json, os, re
from packaging.requirements import Requirement
seen, size, waiting = set(), 0, [{name!r}]
while waiting:
    name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
    if name in seen:
        continue
    seen.add(name)
    try:
        found = m.distribution(name)
    except m.PackageNotFoundError:
        continue
    for file in found.files or []:
        path = found.locate_file(file)
        size += os.path.getsize(path) if os.path.isfile(path) else 0
    for line in found.requires or []:
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate({{"extra": ""}}):
            waiting.append(wanted.name)
print(json.dumps({{"bytes": size, "packages": len(seen)}}))
"""
_LOAD = """
import resource
began = resource.getrusage(resource.RUSAGE_SELF)
{statement}
ended = resource.getrusage(resource.RUSAGE_SELF)
print(ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime)
"""


def weight(python: str, package: str, statement: str) -> Mapping[str, Any]:
    """Bytes of a package with all that it requires, how many packages, CPU seconds to load it.

    Arguments:
        python: of the environment that has it.
        package: as pip names it.
        statement: an import.
    """
    told = json.loads(_run(python, _SIZE.format(name=package)))
    seconds = [float(_run(python, _LOAD.format(statement=statement))) for _ in range(_TIMES)]
    return {**told, "seconds": statistics.median(seconds)}


def _run(python: str, code: str) -> str:
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip().splitlines()[-1]
