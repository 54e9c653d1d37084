"""Experience with tables: which designs were tried on which tasks, and what came of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from metawright.errors import InputError
from metawright.generators.header import FORMAT
from metawright.generators.tables.profile import PROFILE
from metawright.spaces.design import Design
from metawright.store.files import read_json, write_json
from metawright.store.records import RunRecord, Trial
from metawright.tasks.kind import Kind

__all__ = ["TableExperience", "experience_of", "load_experience", "save_experience", "worth_of"]

Matrix = NDArray[np.float64]
_HEADER, _ARRAYS = "experience.json", "experience.safetensors"
_OFFSET = 0.01  # losses below this share of guessing's do not matter
_WORST = 0.3  # e^0.3 times the loss of guessing; worse is no worse
_ENTROPY, _OUTPUTS = PROFILE.index("entropy"), PROFILE.index("log outputs")


@dataclass(frozen=True)
class TableExperience:
    """Designs tried on tasks of one kind.

    Arguments:
        kind: of the tasks.
        names: of the tasks; families: tasks of one family are alike; own: made by the user.
        profiles: (tasks, numbers of `PROFILE`).
        designs: that were tried.
        worths: see `worth_of` (tasks, designs), NaN where not tried.
        seconds: of CPU that trying took (tasks, designs), NaN where not tried.
    """

    kind: Kind
    names: tuple[str, ...]
    families: tuple[str, ...]
    own: tuple[bool, ...]
    profiles: Matrix
    designs: tuple[Design, ...]
    worths: Matrix
    seconds: Matrix

    def without(self, families: Iterable[str]) -> "TableExperience":
        """The same without the tasks of some families."""
        gone = set(families)
        return self.only([i for i, family in enumerate(self.families) if family not in gone])

    def only(self, tasks: Sequence[int]) -> "TableExperience":
        """The same with some of its tasks."""
        at = list(tasks)
        return replace(
            self,
            names=tuple(self.names[i] for i in at),
            families=tuple(self.families[i] for i in at),
            own=tuple(self.own[i] for i in at),
            profiles=self.profiles[at],
            worths=self.worths[at],
            seconds=self.seconds[at],
        )

    def having(self, kept: Sequence[int]) -> "TableExperience":
        """The same with some of its designs."""
        at = list(kept)
        return replace(
            self,
            designs=tuple(self.designs[i] for i in at),
            worths=self.worths[:, at],
            seconds=self.seconds[:, at],
        )

    def joined(self, other: "TableExperience") -> "TableExperience":
        """Both together."""
        designs = tuple(dict.fromkeys([*self.designs, *other.designs]))
        return TableExperience(
            self.kind,
            (*self.names, *other.names),
            (*self.families, *other.families),
            (*self.own, *other.own),
            np.vstack([self.profiles, other.profiles]),
            designs,
            np.vstack([_spread_out(one, one.worths, designs) for one in (self, other)]),
            np.vstack([_spread_out(one, one.seconds, designs) for one in (self, other)]),
        )

    def nearest(self, profile: Sequence[float]) -> list[int]:
        """Places of the tasks, that with the nearest profile first (in standard deviations)."""
        apart = (self.profiles - np.asarray(profile)) / self.profiles.std(0).clip(1e-6)
        return [int(place) for place in np.argsort((apart**2).sum(1), kind="stable")]

    @property
    def weights(self) -> Matrix:
        """How much each task counts: the more tasks its family has, the less, by the root."""
        counts = {family: self.families.count(family) for family in self.families}
        return np.array([counts[family] ** -0.5 for family in self.families], np.float64)


def worth_of(scores: Mapping[str, float], profile: Sequence[float], kind: Kind) -> float:
    """How good scores are on a task: the logarithm of the loss as a share of guessing's.

    0 is as good as guessing the shares of the classes or the mean, lower is better; shares far
    below 1 % are all alike. NaN where there is no score.
    """
    if kind is Kind.REGRESSION:
        share = float(np.sqrt(max(1 - scores.get("r2", np.nan), 0.0)))
    else:
        guessing = profile[_ENTROPY] * max(profile[_OUTPUTS], np.log(2))
        share = scores.get("log_loss", np.nan) / max(guessing, 1e-6)
    return float(np.minimum(np.log(share + _OFFSET), _WORST))


def experience_of(
    runs: Sequence[RunRecord], trials: Sequence[Trial], kind: Kind, *, own: bool
) -> TableExperience:
    """Experience from what a store holds: runs of tables of that kind, and their trials."""
    mine = [run for run in runs if _is_table(run, kind)]
    by_run: dict[str, list[Trial]] = {run.id: [] for run in mine}
    for trial in trials:
        if trial.run in by_run:
            by_run[trial.run].append(trial)
    mine = [run for run in mine if any(t.status == "ok" for t in by_run[run.id])]
    designs = tuple(dict.fromkeys(t.design for run in mine for t in by_run[run.id]))
    place = {design: number for number, design in enumerate(designs)}
    worths = np.full((len(mine), len(designs)), np.nan)
    seconds = np.full((len(mine), len(designs)), np.nan)
    for row, run in enumerate(mine):
        for trial in by_run[run.id]:
            if trial.status == "ok":
                at = row, place[trial.design]
                worths[at] = worth_of(trial.scores, run.info["profile"], kind)
                seconds[at] = trial.cost.get("seconds", np.nan)
    return TableExperience(
        kind,
        tuple(str(run.info["name"]) for run in mine),
        tuple(str(run.info.get("family", run.info["name"])) for run in mine),
        (own,) * len(mine),
        np.array([run.info["profile"] for run in mine], np.float64).reshape(-1, len(PROFILE)),
        designs,
        worths,
        seconds,
    )


def _is_table(run: RunRecord, kind: Kind) -> bool:
    profile = run.info.get("profile")
    return (
        run.info.get("kind") == kind.value
        and isinstance(profile, list)
        and len(profile) == len(PROFILE)
    )


def save_experience(
    folder: Path, experience: Mapping[Kind, TableExperience], *, provenance: Mapping[str, Any]
) -> None:
    """Writes experience of several kinds; `experience.json` last."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays, told = {}, {}
    for kind, one in experience.items():
        for name in ("profiles", "worths", "seconds"):
            arrays[f"{kind.value}.{name}"] = getattr(one, name).astype(np.float32)
        told[kind.value] = {
            "names": list(one.names),
            "families": list(one.families),
            "designs": [design.to_json() for design in one.designs],
        }
    save_file(arrays, folder / _ARRAYS)
    header = {"format": FORMAT, "profile": list(PROFILE), "provenance": dict(provenance)}
    write_json(folder / _HEADER, header | {"experience": told})


@cache
def load_experience(kind: Kind, folder: Path | None = None) -> TableExperience:
    """The experience in `folder`, or what comes with the package.

    Raises:
        InputError: there is none, it is damaged, or of another version.
    """
    path = Path(str(files("metawright") / "bundles" / "tables")) if folder is None else folder
    if not (path / _HEADER).is_file():
        raise InputError(f"There is no experience with tables in '{path}' (no {_HEADER}).")
    data = read_json(path / _HEADER)
    try:
        if data["format"] != FORMAT or data["profile"] != list(PROFILE):
            raise InputError(
                f"The experience in '{path}' is of another version of metawright: gather it again."
            )
        told = data["experience"][kind.value]
        arrays = load_file(path / _ARRAYS)
        parts = [arrays[f"{kind.value}.{n}"] for n in ("profiles", "worths", "seconds")]
        profiles, worths, seconds = (part.astype(np.float64) for part in parts)
        designs = tuple(Design.from_json(design) for design in told["designs"])
        if worths.shape != (len(told["names"]), len(designs)):
            raise ValueError("its parts do not fit together")
    except (KeyError, TypeError, ValueError, OSError, SafetensorError) as error:
        raise InputError(f"The experience in '{path}' is damaged ({error}).") from error
    return TableExperience(
        kind, tuple(told["names"]), tuple(told["families"]), (False,) * len(told["names"]),
        profiles, designs, worths, seconds,
    )  # fmt: skip


def _spread_out(one: TableExperience, values: Matrix, designs: Sequence[Design]) -> Matrix:
    place = {design: number for number, design in enumerate(designs)}
    wide = np.full((len(values), len(designs)), np.nan)
    wide[:, [place[design] for design in one.designs]] = values
    return wide
