"""The search itself: designs are asked for, tried in workers, told, and kept, until time is over.

Every fourth design is a random one of its own stream, which the strategy is not told about: the
control that says whether the strategy was worth it, there at whatever moment a run is stopped.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any
from uuid import uuid4

from metawright.engine.budget import Clock
from metawright.engine.workers import Outcome
from metawright.errors import InputError, MetawrightError
from metawright.recipes.search.asked import Asked, Limits
from metawright.recipes.search.job import (
    CONTROL,
    FULL,
    SEARCH,
    Job,
    Runner,
    identity,
    identity_of,
    role_of,
)
from metawright.rng import stream
from metawright.spaces.design import Design
from metawright.spaces.space import Space
from metawright.store.records import Trial
from metawright.strategies.choose import strategy
from metawright.strategies.objectives import Objective, measured
from metawright.strategies.strategy import Strategy, fidelity_of

__all__ = ["Hunt"]

_SHARE = 4  # one design in so many is a control
_LEAST_FAILURES = 4  # trials that must have failed before a share of them means anything
_SKIPPED = 300  # designs in a row that break a constraint before any is tried
_PATIENCE = 2.0  # budgets that the first design may take
_LOOK = 0.5  # seconds between two looks at the clock


class Hunt:
    """A search under way.

    Arguments:
        space: of the designs.
        asked, limits: what is searched, and how far.
        deadline: the whole budget; a design that is not done by then is forgotten.
        run, task: for the trials.
        keep: called with every new trial and the weights that it left (a file's bytes, maybe
            none) before anything else learns of it; gives the trial as it is to be remembered.
        told: trials of earlier sessions, in the order in which they were made.
        warm_start: designs that the strategy tries first, the best on earlier tasks at their head.
        epochs: of a full training of a network.
        searcher: the strategy, in place of the one that was asked for by name.
        options: of the strategy that was asked for by name.
    """

    def __init__(
        self,
        space: Space,
        asked: Asked,
        limits: Limits,
        deadline: Clock,
        *,
        objectives: Sequence[Objective],
        run: str,
        task: str,
        keep: Callable[[Trial, bytes], Trial],
        told: Sequence[Trial] = (),
        warm_start: Sequence[Design] = (),
        epochs: int | None = None,
        searcher: Strategy | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.epochs = epochs
        self.asked, self.limits, self.run, self.task = asked, limits, run, task
        self.deadline = deadline
        self.objectives = tuple(objectives)
        self.keep = keep
        self.trials = list(told)
        self.strategies = (
            _strategies(space, asked, objectives, warm_start, options or {})
            if searcher is None
            else {SEARCH: searcher}
        )
        for role, mine in self.strategies.items():
            mine.tell([trial for trial in told if role_of(trial) == role])
        self.transfer = warm_start[0] if warm_start else None
        self._out: dict[str, Job] = {}
        self._skipped = 0

    def explore(self, runner: Runner, clock: Clock) -> None:
        """Tries designs of the strategy and controls until `clock` says that it is enough."""
        while True:
            while runner.free and self._goes_on(clock):
                self._start(runner, self._next())
            if not self._out:
                return
            self._collect(runner)

    def carry_out(self, jobs: Sequence[Job], runner: Runner, clock: Clock) -> None:
        """Works on given jobs in order, those that fit into the time left; what an earlier
        session has done already is not done again."""
        done = {identity_of(trial) for trial in self.trials}
        waiting = [job for job in jobs if identity(job, self.epochs) not in done]
        while waiting or self._out:
            while waiting and runner.free:
                if self._pace() > clock.remaining():
                    waiting = []
                    break
                self._start(runner, waiting.pop(0))
            self._collect(runner)

    def count(self, role: str) -> int:
        """How many trials of a role have been made."""
        return sum(role_of(trial) == role for trial in self.trials)

    def _goes_on(self, clock: Clock) -> bool:
        made = self.count(SEARCH) + self.count(CONTROL) + len(self._out)
        # The first design is tried whatever it takes: there must be an answer.
        return not made or (not clock.spent(made) and self._pace() <= clock.remaining())

    def _pace(self) -> float:
        """Seconds that a design is expected to take."""
        spent = [t.cost["seconds"] for t in self.trials if t.scores and "seconds" in t.cost]
        return median(spent[-20:]) if spent else 0.0

    def _next(self) -> Job:
        out = [job.role for job in self._out.values()]
        made = {role: self.count(role) + out.count(role) for role in (SEARCH, CONTROL)}
        controls = CONTROL in self.strategies
        turn = controls and (made[SEARCH] + made[CONTROL]) % _SHARE == _SHARE - 1
        role = CONTROL if turn else SEARCH
        mine = self.strategies[role]
        (design,) = mine.ask(1)
        return Job(design, role, fidelity_of(mine, design), self.asked.seed)

    def _start(self, runner: Runner, job: Job) -> None:
        key = uuid4().hex[:12]
        left = self._left(job)
        most = min(self.limits.trial_seconds or math.inf, left)
        self._out[key] = job
        runner.submit(
            key,
            job.design,
            fidelity=job.fidelity,
            seed=job.seed,
            epochs=job.epochs or self.epochs,
            max_seconds=job.seconds,
            seconds=most if math.isfinite(most) else None,
            # Also a process that is still starting then has no part in the answer any more.
            until=time.monotonic() + left if math.isfinite(left) else None,
        )

    def _answered(self, job: Job) -> bool:
        """Whether there is an answer without this job."""
        return job.role != FULL and any(trial.scores for trial in self.trials)

    def _left(self, job: Job) -> float:
        """What a design may take at most: the time left, but before there is an answer more."""
        late = 0.0 if self._answered(job) else _PATIENCE * (self.limits.seconds or math.inf)
        return max(self.deadline.remaining(), late, 0.01)

    def _collect(self, runner: Runner) -> None:
        for outcome in runner.wait(_LOOK):
            job = self._out.pop(outcome.key)
            own = self.limits.trial_seconds or math.inf
            late = not self.deadline.remaining() and self._answered(job)
            # Cut off by the end of the budget, a design has shown nothing.
            if outcome.how != "time" or outcome.seconds >= own or not late:
                self._take(outcome, job)

    def _take(self, outcome: Outcome, job: Job) -> None:
        trial, weights = self._trial(outcome, job)
        trial = self.keep(trial, weights)
        self.trials.append(trial)
        if trial.evidence["role"] in self.strategies:
            self.strategies[job.role].tell([trial])
        self._check_health(trial)

    def _trial(self, outcome: Outcome, job: Job) -> tuple[Trial, bytes]:
        evidence: dict[str, Any] = {"role": job.role, "seed": job.seed}
        evidence |= {"of": job.of} if job.of else {}
        if job.epochs and self.epochs:
            evidence["stretch"] = round(job.epochs / self.epochs, 2)
        if job.role == SEARCH and job.design == self.transfer:
            evidence["transfer"] = True  # it ranks best on earlier tasks
        scores: Mapping[str, float] = {}
        cost: Mapping[str, float] = {"seconds": outcome.seconds}
        error, weights = outcome.message, b""
        if outcome.how == "done":
            scores, cost, more, weights = outcome.value
            evidence |= more
            if "skipped" not in evidence:
                error = _unusable(scores, cost, self.objectives)
        if error:
            evidence |= {"error": error, "how": outcome.how, "traceback": outcome.trace}
        trial = Trial(
            outcome.key,
            self.task,
            job.design,
            scores,
            cost,
            evidence,
            "failed" if error else "ok",
            self.run,
        )
        return trial, weights

    def _check_health(self, last: Trial) -> None:
        failed = sum(trial.status == "failed" for trial in self.trials)
        if failed >= _LEAST_FAILURES and failed > self.limits.failures * len(self.trials):
            raise MetawrightError(
                f"{failed} of {len(self.trials)} trials failed, more than the share of "
                f"{self.limits.failures:.0%} that is allowed; the last with: "
                f"{_last_error(self.trials)}"
            )
        self._skipped = self._skipped + 1 if "skipped" in last.evidence else 0
        if self._skipped >= _SKIPPED:
            nearest = _nearest(self.trials, self.asked)
            raise InputError(
                f"No design met the constraints in {self._skipped} tries; the nearest has "
                f"{nearest}: allow more, or search a space with smaller designs."
            )


def _strategies(
    space: Space,
    asked: Asked,
    objectives: Sequence[Objective],
    warm_start: Sequence[Design],
    options: Mapping[str, Any],
) -> dict[str, Strategy]:
    """The strategy and, unless it is itself random, its control."""
    limits = asked.limits()
    made = {
        SEARCH: strategy(
            asked.strategy,
            space,
            rng=stream(asked.seed, "search", asked.strategy),
            objectives=objectives,
            constraints=limits,
            warm_start=warm_start,
            **options,
        )
    }
    if asked.controls and asked.strategy != "random":
        rng = stream(asked.seed, "search", CONTROL)
        made[CONTROL] = strategy("random", space, rng=rng, objectives=objectives)
    return made


def _unusable(
    scores: Mapping[str, float], cost: Mapping[str, float], objectives: Sequence[Objective]
) -> str:
    """Why scores cannot be used, or nothing."""
    trial = Trial("one", "", Design({}), scores, cost)
    for goal in objectives:
        if measured(trial, goal.name) is None:
            given = {**cost, **scores}.get(goal.name)
            told = "no such measure" if given is None else str(given)
            has = ", ".join(sorted({**scores, **cost})) or "none"
            return f"The evaluator gave {told} for {goal.name} (its measures: {has})."
    return ""


def _last_error(trials: Sequence[Trial]) -> str:
    return str(next(t.evidence["error"] for t in reversed(trials) if t.status == "failed"))


def _nearest(trials: Sequence[Trial], asked: Asked) -> str:
    """By how little a design missed the constraints, in words."""
    limits = dict(asked.constraints)

    def excess(trial: Trial) -> float:
        return max(trial.cost.get(name, 0.0) / most for name, most in limits.items())

    least = min((t for t in trials if "skipped" in t.evidence), key=excess)
    return " and ".join(
        f"{least.cost[name]:,.6g} {name} (at most {most:,.6g})"
        for name, most in limits.items()
        if name in least.cost
    )
