"""Energy that predicting takes, where the processor counts it and lets it be read."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

__all__ = ["Energy", "energy"]

_COUNTERS = Path("/sys/class/powercap")


class Energy(NamedTuple):
    """Joules of one call, or None with the reason why there is no figure."""

    joules: float | None
    reason: str = ""


def energy(call: Callable[[], object], *, repeats: int = 10, root: Path = _COUNTERS) -> Energy:
    """Joules that one `call` takes: the mean over `repeats`, of all processor packages together.

    What else the machine does meanwhile is in the figure.

    Arguments:
        root: folder of the kernel's power counters (Intel's RAPL, which AMD has too).
    """
    packages = [path for path in sorted(root.glob("intel-rapl:*")) if path.name.count(":") == 1]
    if not packages:
        return Energy(None, f"There is no energy counter (intel-rapl) in {root}.")
    try:
        before = [_joules(path) for path in packages]
        for _ in range(repeats):
            call()
        after = [_joules(path) for path in packages]
        ranges = [_joules(path, "max_energy_range_uj") for path in packages]
    except PermissionError as error:
        return Energy(None, f"{error.filename} may be read by the superuser only.")
    # A counter starts again at zero when it is full.
    spent = [
        (end - start) % full if end < start else end - start
        for start, end, full in zip(before, after, ranges, strict=True)
    ]
    if sum(spent) == 0:
        return Energy(None, "The energy counters did not move: make more repeats.")
    return Energy(sum(spent) / repeats)


def _joules(package: Path, counter: str = "energy_uj") -> float:
    return int((package / counter).read_text("utf-8")) / 1e6
