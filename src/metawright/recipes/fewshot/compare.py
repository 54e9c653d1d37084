"""Several learners on one question: the same test tasks, one table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from metawright.engine.lock import FolderLock
from metawright.engine.run_folder import RunFolder
from metawright.errors import InputError, MetawrightError
from metawright.recipes.asking import check_folder
from metawright.recipes.fewshot.asked import COMPARISON, Asked
from metawright.recipes.fewshot.baselines import RANDOM
from metawright.recipes.fewshot.learners import build_learner, check_device, check_learner
from metawright.recipes.fewshot.run import FewShot, ask, fewshot_run
from metawright.recipes.fewshot.settings import settings_for
from metawright.recipes.fewshot.sources import open_sources
from metawright.recipes.fewshot.training import Watch

__all__ = ["Comparison", "check_names", "compare", "compare_runs"]


@dataclass(frozen=True)
class Comparison:
    """What came of a comparison.

    Arguments:
        runs: of each learner that came through, by its name.
        record: what `run.json` holds: `record["rows"]` is the table, the best first.
        run: the folder; the run of each learner is in a sub-folder of its name.
    """

    runs: Mapping[str, FewShot]
    record: dict[str, Any]
    run: Path


def compare(
    learners: Sequence[str],
    source: str | Path | Sequence[str | Path],
    *,
    out: Path | str,
    device: str = "cpu",
    watch: Watch | None = None,
    **settings: Any,
) -> Comparison:
    """Meta-trains several learners and judges them on the same test tasks.

    Each gets the same steps or the same seconds. A learner that is done is not trained again when
    the same call goes on.

    Arguments:
        learners: names of `LEARNERS`.
        source, out, device, watch: see `metawright.recipes.fewshot.fewshot`.
        settings: its other arguments; an option that a learner does not have is left out for it.

    Raises:
        InputError: something that was given cannot be used.
    """
    names = check_names(learners)
    return compare_runs(ask(",".join(names), source, **settings), Path(out), device=device,
                        watch=watch)  # fmt: skip


def check_names(learners: Sequence[str]) -> list[str]:
    """Two or more different names.

    Raises:
        InputError: fewer, or one of them twice.
    """
    names = [name.strip() for name in learners if name.strip()]
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(
            "A comparison needs two or more different learners, but got "
            f"'{','.join(names)}': for example maml,reptile."
        )
    return names


def compare_runs(
    asked: Asked, out: Path, *, device: str = "cpu", watch: Watch | None = None
) -> Comparison:
    """The comparison that was asked for (`asked.learner` joins the names by commas) in `out`."""
    names = check_names(asked.learner.split(","))
    for name in names:
        check_learner(name)
    check_device(device)
    check_folder(out, asked.to_json(), COMPARISON)
    opened = open_sources(asked)
    for name in names:  # whoever cannot take these tasks says so before anyone is trained
        settings = settings_for(replace(asked, learner=name), opened.spec.kind)
        build_learner(name, opened.spec, settings, seed=asked.seed)
    with FolderLock(out):
        check_folder(out, asked.to_json(), COMPARISON)
        folder = RunFolder(out, _told(asked))
        folder.save(status="running")
        runs: dict[str, FewShot] = {}
        broken: dict[str, str] = {}
        for name in names:
            own = replace(asked, learner=name)
            staged = _naming(name, watch)
            try:
                runs[name] = fewshot_run(
                    own, out / name, device=device, strict=False, watch=staged
                )
            except InputError:
                raise
            except MetawrightError as error:  # its numbers exploded: the others still count
                broken[name] = str(error)
            folder.save(rows=_rows(runs), broken=broken)
        if not runs:
            raise MetawrightError(" ".join(broken.values()))
        folder.save(status="done")
    return Comparison(runs, folder.record, out)


def _rows(runs: Mapping[str, FewShot]) -> list[dict[str, Any]]:
    """The table: learners and plain baselines, the best first."""
    rows: list[dict[str, Any]] = []
    for name, made in runs.items():
        test = made.record["test"]
        untrained = [row for row in made.record["baselines"] if row["name"] == RANDOM]
        rows.append(
            {
                "name": name,
                "learner": True,
                "inductive": test["inductive"],
                "transductive": test["transductive"],
                "independent": test["independent"],
                "calibration": test["calibration"],
                "untrained": untrained[0]["mean"] if untrained else None,
                "steps": made.record["trained"]["steps"],
                "seconds": made.record["training_seconds"],
            }
        )
    if not runs:
        return rows
    first = next(iter(runs.values())).record
    for row in first["baselines"]:
        if row["name"] != RANDOM:
            rows.append({"name": row["name"], "learner": False, "inductive": row})
    sign = -1 if first["test"]["measure"] == "accuracy" else 1
    return sorted(rows, key=lambda row: sign * float(row["inductive"]["mean"] or 0.0))


def _naming(name: str, watch: Watch | None) -> Watch | None:
    if watch is None:
        return None
    return lambda stage, done, total, note: watch(f"{name}: {stage}", done, total, note)


def _told(asked: Asked) -> dict[str, Any]:
    return {
        "kind": COMPARISON,
        "asked": asked.to_json(),
        "data": {"name": " + ".join(asked.sources)},
        "seed": asked.seed,
        "bundle": None,
    }
