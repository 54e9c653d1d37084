"""The best answer so far for a task: designs tried on its support, and a model made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import torch
import torch.nn.functional as F
from torch import Tensor

from metawright.errors import MetawrightError
from metawright.evaluate.assessment import ADAPTATION_IMAGES, Assessment, assess, finish
from metawright.evaluate.cost import network_cost
from metawright.evaluate.support import JUDGED_COPIES, Support
from metawright.generators.bundle import Bundle
from metawright.generators.guided import GuidedEvolution
from metawright.generators.proposal import evidence_share
from metawright.models.build import Built, ensemble
from metawright.recipes.experience import support_profile
from metawright.recipes.words import in_words, percent
from metawright.rng import stream
from metawright.spaces.design import Design
from metawright.store.records import Trial

__all__ = ["Answer", "Search"]

MEMBERS = 3  # of an ensemble at most
_KEPT_NUMBERS = 20_000  # probabilities beyond this many are not stored with a trial


@dataclass(frozen=True)
class Answer:
    """What would be returned if the budget ended now.

    Arguments:
        members: trials that the model is made of; weights: their shares.
        accuracy, low, high: honest estimate on new examples, with a 95 % interval.
        log_loss: cross-validated, of the members together.
        confusion: (classes, classes) counts, true class by predicted class.
    """

    members: tuple[str, ...]
    weights: tuple[float, ...]
    accuracy: float
    low: float
    high: float
    log_loss: float
    confusion: Tensor


class Search:
    """Designs for one task: proposes, scores, remembers, and says which model is best.

    Arguments:
        bundle: shared weights and proposal model.
        support: the task's labelled images, prepared.
        run: name of the run, for its trials.
        seed: of proposals and children.
        proposals: how many designs come straight from the proposal model.
    """

    def __init__(
        self, bundle: Bundle, support: Support, *, run: str, seed: int = 0, proposals: int = 8
    ) -> None:
        self.bundle, self.support, self.run = bundle, support, run
        self.single = not support.folds
        self.judged = _judged(support)
        self.strategy = GuidedEvolution(
            bundle.generator,
            support_profile(support),
            rng=stream(seed, "search"),
            proposals=proposals,
            single=self.single,
            judged=self.judged,
        )
        self._proposed = {candidate.design for candidate in self.strategy.candidates}
        self._trials: dict[str, Trial] = {}
        self._probabilities: dict[str, Tensor] = {}
        self._finished: dict[str, Built] = {}
        self._labels = _judged_labels(support)
        self._pace = 0.0

    def expected_seconds(self, design: Design) -> float:
        """What trying `design` will take, at the pace of the slowest trial so far."""
        return self._pace * self._work(design)

    def score(self, design: Design) -> Trial:
        """Tries a design."""
        found = assess(design, self.support)
        self._pace = max(self._pace * 0.7, found.seconds / self._work(design))
        trial = Trial(
            id=uuid4().hex[:12],
            task=self.support.spec.source,
            design=design,
            scores={"accuracy": found.accuracy, "log_loss": found.log_loss},
            cost={"seconds": found.seconds, "parameters": self._parameters(design)},
            evidence=self._evidence(design, found),
            run=self.run,
        )
        # Rounded as they are stored, so that a resumed run answers as an unbroken one.
        self._probabilities[trial.id] = found.probabilities.round(decimals=4)
        return trial

    def observe(self, trials: Sequence[Trial]) -> None:
        """Notes trials, of now or of an earlier session; the strategy is told elsewhere."""
        for trial in trials:
            if trial.status == "ok":
                self._trials[trial.id] = trial
                kept = trial.evidence.get("probabilities")
                if trial.id not in self._probabilities and kept is not None:
                    self._probabilities[trial.id] = torch.tensor(kept)

    def answer(self) -> Answer:
        """The best model of what was tried: one design, or an ensemble where that is better.

        Raises:
            MetawrightError: no design has worked so far.
        """
        estimates = self.strategy.estimates()
        if not estimates:
            raise MetawrightError(
                "No design that was tried worked, so there is no model: give a larger budget."
            )
        ranked = sorted(estimates, key=lambda trial: -estimates[trial])
        best = ranked[0]
        members, together = self._best_together(ranked)
        # An ensemble is at least as accurate where it was judged; its estimate is its best one's.
        middle, low, high = self.bundle.proposal.honest(
            estimates[best], self.judged, single=self.single
        )
        return Answer(
            members,
            tuple(1 / len(members) for _ in members),
            middle,
            low,
            high,
            self._loss(together),
            self._confusion(together),
        )

    def _best_together(self, ranked: Sequence[str]) -> tuple[tuple[str, ...], Tensor]:
        """The trials to average, of those ranked best first, and their mean probabilities.

        Distorted copies cannot tell the best design from the next best, so where there is nothing
        else to judge on the first few are averaged; otherwise as many as lower the log loss.
        """
        means = [
            torch.stack([self._judgement(trial) for trial in ranked[:size]]).mean(0)
            for size in range(1, min(MEMBERS, len(ranked)) + 1)
        ]
        chosen = len(means) - 1 if self.single else 0
        for size, mixed in enumerate(means if not self.single else []):
            better = self._loss(mixed) < self._loss(means[chosen])
            if better and self._right(mixed) >= self._right(means[chosen]):
                chosen = size
        return tuple(ranked[: chosen + 1]), means[chosen]

    def model(self, answer: Answer) -> Built:
        """The answer's model, from the whole support."""
        return ensemble([self._finish(trial) for trial in answer.members], answer.weights)

    def estimates(self) -> Mapping[str, float]:
        """Prior and evidence together, for each trial."""
        return self.strategy.estimates()

    def why(self, answer: Answer) -> list[str]:
        """Why this design: what experience said, what was measured, and what came of both."""
        model = self.bundle.proposal
        best = self._trials[answer.members[0]]
        predicted, measured = best.evidence["predicted"], best.scores["accuracy"]
        measures = sorted((t.scores["accuracy"] for t in self._trials.values()), reverse=True)
        rank = measures.index(measured) + 1
        estimate = self.estimates()[best.id]
        sentences = [
            f"The design: {in_words(best.design)}.",
            f"Experience: from {model.trials} trials on {model.tasks} earlier tasks, this design "
            f"was expected {percent(predicted, signed=True)} points from the mean design on a "
            f"task like this (give or take {percent(model.spread)}).",
            f"Evidence: {percent(measured)} % by {self.support.how}, rank {rank} of "
            f"{len(measures)} designs tried.",
            f"Together: {percent(estimate)} %, the highest of all tried; the support counts for "
            f"{percent(self._share())} % of the choice and experience for the rest.",
        ]
        if len(answer.members) > 1:
            single = self._loss(self._judgement(best.id))
            sentences.append(
                f"The {len(answer.members)} best are averaged: log loss {answer.log_loss:.3f} "
                f"instead of {single:.3f}."
            )
        return sentences

    def _share(self) -> float:
        return evidence_share(self.bundle.proposal.spread, self.strategy.noise)

    def _judgement(self, trial: str) -> Tensor:
        """Probabilities of the judged examples; those too many to be stored are made again."""
        if trial not in self._probabilities:
            found = assess(self._trials[trial].design, self.support)
            self._probabilities[trial] = found.probabilities.round(decimals=4)
        return self._probabilities[trial]

    def _finish(self, trial: str) -> Built:
        if trial not in self._finished:
            design = self._trials[trial].design
            sharpness = self._trials[trial].evidence["sharpness"]
            self._finished[trial] = finish(design, self.support, sharpness)
        return self._finished[trial]

    def _evidence(self, design: Design, found: Assessment) -> dict[str, Any]:
        small = found.probabilities.numel() <= _KEPT_NUMBERS
        return {
            "origin": "proposal" if design in self._proposed else "evolution",
            "predicted": self.strategy.predicted(design),
            "predicted_sd": self.bundle.proposal.spread,
            "how": found.how,
            "folds": list(found.folds),
            "sharpness": found.sharpness,
            "curve": list(found.curve),
            "probabilities": found.probabilities.round(decimals=4).tolist() if small else None,
        }

    def _work(self, design: Design) -> float:
        """Relative effort of trying a design: images through the network, and head solves."""
        examples, features = len(self.support.labels), design["features"]
        copies = min(int(design["augmentation"]["copies"]), self.support.room())
        solved = (examples * (1 + copies) / 1000) ** 3 * len(self.support.folds or [0])
        if features["kind"] == "pixels":
            return 0.1 + solved
        cost = network_cost(
            features["network"], channels=self.bundle.channels, size=self.bundle.size
        )
        passes = examples * (1 + copies)
        if features["adaptation"]["kind"] == "descent":
            rounds = len(self.support.folds or [0])
            passes = rounds * (
                passes + 3 * min(passes, ADAPTATION_IMAGES) * features["adaptation"]["steps"]
            )
        return 0.1 + solved + passes * cost.multiply_adds / 1e10

    def _parameters(self, design: Design) -> int:
        features = design["features"]
        if features["kind"] == "pixels":
            return 0
        cost = network_cost(
            features["network"], channels=self.bundle.channels, size=self.bundle.size
        )
        return cost.parameters

    def _loss(self, probabilities: Tensor) -> float:
        return float(F.nll_loss(probabilities.clamp_min(1e-6).log(), self._labels))

    def _right(self, probabilities: Tensor) -> int:
        return int((probabilities.argmax(1) == self._labels).sum())

    def _confusion(self, probabilities: Tensor) -> Tensor:
        classes = self.support.spec.outputs
        cells = self._labels * classes + probabilities.argmax(1)
        return torch.bincount(cells, minlength=classes**2).reshape(classes, classes)


def _judged(support: Support) -> int:
    """How many independent examples designs are judged on."""
    if support.folds:
        return sum(len(fold.judged) for fold in support.folds)
    return len(support.labels)


def _judged_labels(support: Support) -> Tensor:
    if support.folds:
        return torch.cat([support.labels[fold.judged] for fold in support.folds])
    return support.labels.repeat(JUDGED_COPIES)
