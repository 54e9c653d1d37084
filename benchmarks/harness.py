"""What every benchmark needs: checks against stated figures, and results that say where from.

A benchmark is a script `benchmarks/NAME.py` that measures, and ends with

    sys.exit(finish("NAME", result, checks, quick))

The last line on stdout is the whole record as one JSON object. A full run also writes it to
`benchmarks/results/NAME.json`; a quick run (`--quick`: minutes, tiny settings) never does.
`benchmarks/write_results.py` makes docs/results.md from these files: of `result` it shows the keys
`title`, `about` (a paragraph), `seeds` and `tables`; all else is kept for machines.
A table is data: {"title": ..., "columns": [...], "rows": [[...], ...], "note": ... (optional)}.
"""

import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from scipy.special import stdtrit

from metawright.app.console import progress

__all__ = ["Check", "commit", "data_folder", "finish", "machine", "mean_ci", "progress"]

PROJECT = Path(__file__).resolve().parents[1]
RESULTS = PROJECT / "benchmarks" / "results"

_STARTED = time.monotonic()


@dataclass(frozen=True)
class Check:
    """A measured value beside what it must reach and what it aims at (None: nothing is asked).

    Arguments:
        name: what is measured, with its unit ("digits, 5 a class, accuracy %").
        value: what came out.
        must: the benchmark fails below this.
        aim: the hoped-for figure.
        lower: lower is better (times, sizes, errors).

    Example:
        >>> Check("accuracy %", 91.0, must=89.5, aim=94.0).ok
        True
        >>> Check("seconds", 3.5, must=3.0, lower=True).ok
        False
    """

    name: str
    value: float
    must: float | None = None
    aim: float | None = None
    lower: bool = False

    @property
    def ok(self) -> bool:
        """`value` is a number and reaches `must`."""
        return self._reaches(self.must)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary with `ok` and `aim_reached` worked out."""
        return {
            "name": self.name,
            "value": self.value,
            "must": self.must,
            "aim": self.aim,
            "lower": self.lower,
            "ok": self.ok,
            "aim_reached": self._reaches(self.aim),
        }

    def _reaches(self, figure: float | None) -> bool:
        if not math.isfinite(self.value):
            return False
        if figure is None:
            return True
        return self.value <= figure if self.lower else self.value >= figure


def finish(name: str, result: Mapping[str, Any], checks: Sequence[Check], quick: bool) -> int:
    """Prints the record, stores it unless `quick`, and gives the exit code.

    Arguments:
        name: the benchmark's name, that of its script.
        result: what was measured: JSON-ready values, arrays and tensors.
        checks: the stated figures.
        quick: the settings were too small for the figures to count.

    Returns:
        1 where a full run missed a `must`, else 0.
    """
    record = {
        "name": name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - _STARTED, 1),
        "quick": quick,
        **_ORIGIN,
        "machine": machine(),
        "seeds": result.get("seeds"),
        "checks": [check.to_json() for check in checks],
        "result": {key: value for key, value in result.items() if key != "seeds"},
    }
    record = _plain(record)
    if not quick:
        _write(RESULTS / f"{name}.json", json.dumps(record, indent=1, allow_nan=False) + "\n")
    for check in checks:
        print(f"{'ok  ' if check.ok else 'MISS'} {_sentence(check)}", file=sys.stderr)
    print(json.dumps(record, allow_nan=False), flush=True)
    return int(not quick and not all(check.ok for check in checks))


def mean_ci(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half the width of its 95 % confidence interval (Student's t; nan for one value).

    Example:
        >>> mean, half = mean_ci([1.0, 2.0, 3.0])
        >>> mean, round(half, 3)
        (2.0, 2.484)
    """
    if len(values) < 2:
        return (values[0] if values else math.nan), math.nan
    deviation = statistics.stdev(values) / math.sqrt(len(values))
    return statistics.fmean(values), float(stdtrit(len(values) - 1, 0.975)) * deviation


def data_folder(name: str) -> Path | None:
    """The folder `name` of the public data, or None where it is absent.

    It is looked for where `METAWRIGHT_DATA` says, else in `shared/data` beside the project.
    """
    root = os.environ.get("METAWRIGHT_DATA") or PROJECT.parent / "shared" / "data"
    path = Path(root) / name
    return path if path.is_dir() else None


def commit() -> dict[str, Any]:
    """{"commit": hash or None, "dirty": whether code differs from it (results are no code)}."""
    head = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--", ".", ":!benchmarks/results", ":!docs/results.md")
    return {"commit": head, "dirty": None if changed is None else bool(changed)}


def machine() -> dict[str, Any]:
    """Processor, cores, memory and versions: what a time depends on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": _cpu_model(),
        "cores": cores,
        "memory_gib": _memory_gib(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=PROJECT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None  # no git, or not a checkout: the record then says that its commit is unknown
    return done.stdout.strip()


def _cpu_model() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)


def _plain(value: Any) -> Any:
    """`value` as strict JSON holds it: tensors as lists, no nan or infinity, text as keys."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence | set | frozenset | range):
        return [_plain(item) for item in value]
    return str(value)


def _sentence(check: Check) -> str:
    asked = [
        f"{word} {figure:g}"
        for word, figure in (("must", check.must), ("aim", check.aim))
        if figure is not None
    ]
    return f"{check.name}: {check.value:g}" + (f" ({', '.join(asked)})" if asked else "")


def _write(path: Path, text: str) -> None:
    """All of `text` or the file as it was: a kill in between leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary = Path(file.name)
    temporary.chmod(0o644)
    temporary.replace(path)


# Taken at the start: the code that is measured is the code that was loaded, whatever is committed
# during the hours that a benchmark may take.
_ORIGIN = commit()
