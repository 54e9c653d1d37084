"""Networks for tables with the face of scikit-learn's estimators, and kept as plain arrays.

Members learn from different rows: each leaves out a part, and training ends where the members are
best on what they left out. So the end is judged by rows that were not learned from, and yet no row
is lost to the average of the members.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from metawright.models.tables.networks import network
from metawright.models.tables.state import State
from metawright.models.tables.tokens import Fields, fields_of
from metawright.params import Params, detached
from metawright.rng import stream
from metawright.training.fit import Progress, fit
from metawright.training.trainable import Step

__all__ = ["NetworkEstimator"]

Matrix = NDArray[np.float64]

_PARTS = 6  # that rows are dealt to, at least; a member leaves out one
_BATCH = (16, 256)  # rows of a step, fewest and most
_STEPS = 8  # of an epoch at least, where rows are few
_PATIENCE = (10, 4)  # epochs without a better one: at least so many, and one in so many of all
_LATE = 0.05  # share of the last step's weights in the mean of weights
_AT_ONCE = 2048  # rows predicted together


class NetworkEstimator:
    """Members of one form, whose answers are averaged.

    Arguments:
        model: of a design, its kind in `NETWORKS`.
        regression: whether numbers are predicted; they are scaled within.
        seed: of first weights, batches, dropout and the rows that are left out.
    """

    def __init__(self, model: Mapping[str, Any], *, regression: bool, seed: int) -> None:
        self.model, self.regression, self.seed = model, regression, seed
        self.categorical: NDArray[np.bool_] | None = None
        self.classes_: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.centre, self.scale = 0.0, 1.0

    def fit(self, features: Matrix, y: NDArray[Any]) -> "NetworkEstimator":
        """Learns from features (rows, features), all finite, and labels or numbers (rows,).

        Raises:
            ValueError: there are fewer than two classes, or two rows.
            MetawrightError: training broke, such as by too large a learning rate.
        """
        if len(features) < 2:
            raise ValueError("a network needs at least 2 rows.")
        categorical = self.categorical
        if categorical is None:
            categorical = np.zeros(features.shape[1], dtype=np.bool_)
        bins = self.model["embedding"].get("bins", 1)
        self.fields = fields_of(features, categorical, bins)
        answers = self._answers(y)
        rng = stream(self.seed, "network")
        self.module = network(self.model, self.fields, self._outputs, rng)
        parts = _dealt(y, max(_PARTS, self.model["members"]), rng)
        training = _Training(self.module, *self._inputs(features), answers, parts, self.model)
        training.run(rng)
        return self

    def predict(self, features: Matrix) -> NDArray[Any]:
        """The most probable class or the number of each row (rows,)."""
        if not self.regression:
            return np.asarray(self.classes_[self.predict_proba(features).argmax(1)])
        return self.centre + self.scale * self._outcome(features)[:, 0]

    def predict_proba(self, features: Matrix) -> Matrix:
        """Probabilities (rows, classes), columns as in `classes_`."""
        return self._outcome(features)

    @property
    def numbers_held(self) -> int:
        """How many numbers it needs to predict."""
        return sum(array.size for array in self.to_state().arrays.values())

    def to_state(self) -> State:
        """All that is needed to predict, beside the design; `from_state` reads it back."""
        fields = self.fields
        data = {
            "classes": self.classes_.tolist(), "centre": self.centre, "scale": self.scale,
            "numbers": fields.numbers, "levels": fields.levels, "sizes": fields.sizes,
        }  # fmt: skip
        arrays = {"centres": fields.centres, "scales": fields.scales, "edges": fields.edges}
        weights = {f"weights.{k}": v.numpy() for k, v in self.module.state_dict().items()}
        return State(data, arrays | weights)

    @staticmethod
    def from_state(
        state: State, model: Mapping[str, Any], *, regression: bool
    ) -> "NetworkEstimator":
        """What `to_state` wrote, for the same model of a design."""
        made = NetworkEstimator(model, regression=regression, seed=0)
        data, arrays = state.data, state.arrays
        made.classes_ = np.asarray(data["classes"], dtype=np.int64)
        made.centre, made.scale = data["centre"], data["scale"]
        unseen = np.zeros(sum(data["sizes"]), dtype=np.bool_)
        plain = {
            name: np.asarray(arrays[name], np.float64) for name in ("centres", "scales", "edges")
        }
        made.fields = Fields(
            tuple(data["numbers"]), tuple(data["levels"]), tuple(data["sizes"]), unseen, **plain
        )
        made.module = network(model, made.fields, made._outputs, stream(0))
        prefix = "weights."
        made.module.load_state_dict(
            {
                name.removeprefix(prefix): torch.from_numpy(np.array(array))
                for name, array in arrays.items()
                if name.startswith(prefix)
            }
        )
        return made

    @property
    def _outputs(self) -> int:
        return 1 if self.regression else len(self.classes_)

    def _answers(self, y: NDArray[Any]) -> Tensor:
        if self.regression:
            self.centre, self.scale = float(np.mean(y)), float(np.std(y)) or 1.0
            return torch.as_tensor((y - self.centre) / self.scale, dtype=torch.float32)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("a network needs rows of at least 2 classes.")
        return torch.as_tensor(labels, dtype=torch.int64)

    def _inputs(self, features: Matrix) -> tuple[Tensor, Tensor]:
        """Scaled numbers (rows, numbers) and places (rows, categories)."""
        fields = self.fields
        scaled = (features[:, fields.numbers] - fields.centres) / fields.scales
        places = features[:, fields.levels]
        return torch.as_tensor(scaled, dtype=torch.float32), torch.as_tensor(places).long()

    @torch.no_grad()
    def _outcome(self, features: Matrix) -> Matrix:
        """The mean answer of the members (rows, outputs)."""
        parts = (torch.split(part, _AT_ONCE) for part in self._inputs(features))
        members = self.model["members"]
        found = [torch.zeros(0, self._outputs, dtype=torch.float64)]
        for some, where in zip(*parts, strict=True):
            answers = self.module(_each(some, members), _each(where, members)).double()
            found.append((answers if self.regression else answers.softmax(-1)).mean(0))
        return np.asarray(torch.cat(found).numpy())


class _EnoughError(Exception):
    """The best epoch is over."""


class _Training:
    """One training of all members, and its best moment; a `Trainable`."""

    def __init__(
        self,
        module: nn.Module,
        numbers: Tensor,
        places: Tensor,
        answers: Tensor,
        parts: Tensor,
        model: Mapping[str, Any],
    ) -> None:
        self.module, self.model = module, model
        self.params: dict[str, Any] = dict(module.named_parameters())
        self.numbers, self.places, self.answers = numbers, places, answers
        members = range(model["members"])
        self.learn = [torch.nonzero(parts != member)[:, 0] for member in members]
        judged = [torch.nonzero(parts == member)[:, 0] for member in members]
        self.judge = nn.utils.rnn.pad_sequence(judged, batch_first=True)
        lengths = torch.tensor([[len(rows)] for rows in judged])
        self.counted = torch.arange(self.judge.shape[1]) < lengths
        shortest = min(map(len, self.learn))
        self.batch = min(max(shortest // _STEPS, _BATCH[0]), _BATCH[1], shortest)
        self.steps = shortest // self.batch
        self.order = torch.zeros(0)
        self.mean = detached(self.params)
        self.best, self.since, self.kept = float("inf"), 0, self.mean

    def run(self, rng: torch.Generator) -> None:
        """Trains to the end or until it gets no better, and goes back to the best moment."""
        model = self.model
        try:
            fit(
                self, self.drawn, steps=self.steps * model["epochs"], rng=rng, lr=model["lr"],
                schedule="cosine", on_step=self.judged,
                log_every=self.steps * model["epochs"],
            )  # fmt: skip
        except _EnoughError:
            pass
        self.module.load_state_dict({**self.module.state_dict(), **self.kept})

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Those of all members."""
        return iter(self.params.items())

    def drawn(self, rng: torch.Generator) -> Tensor:
        """Rows of a step, (members, batch): each member goes through its own in random order."""
        if not len(self.order):
            shuffled = [rows[torch.randperm(len(rows), generator=rng)] for rows in self.learn]
            whole = self.steps * self.batch
            self.order = torch.stack([rows[:whole] for rows in shuffled])
            shape = (len(self.order), self.steps, self.batch)
            self.order = self.order.reshape(shape).transpose(0, 1)
        rows, self.order = self.order[0], self.order[1:]
        return rows

    def gradients(self, batch: Tensor, rng: torch.Generator) -> Step:
        """Of the sum of the members' mean losses."""
        losses = self._losses(self.params, batch, rng)
        loss = losses.mean(1).sum()
        grads = torch.autograd.grad(loss, list(self.params.values()))
        # The slope of half the squared weights, a row's share of it: as a normal prior has it.
        strength = self.model["penalty"] / len(self.answers)
        whole = torch._foreach_add(
            grads, [p.detach() for p in self.params.values()], alpha=strength
        )
        return Step(dict(zip(self.params, whole, strict=True)), {"loss": float(loss.detach())})

    def judged(self, progress: Progress) -> None:
        """After each epoch: is it the best so far, and is there hope of a better one?"""
        # The mean of late weights is less of an accident than where the last step went.
        share = max(_LATE, 1 / progress.step)
        now = [p.detach() for p in self.params.values()]
        torch._foreach_lerp_(list(self.mean.values()), now, share)
        if progress.step % self.steps:
            return
        with torch.no_grad():
            losses = self._losses(self.mean, self.judge, None)
        loss = float(losses[self.counted].mean())
        self.since += 1
        if loss < self.best:
            self.best, self.since, self.kept = loss, 0, detached(self.mean)
        least, share = _PATIENCE
        if self.since >= max(least, self.model["epochs"] // share):
            raise _EnoughError

    def _losses(self, params: Params, rows: Tensor, rng: torch.Generator | None) -> Tensor:
        """(members, rows) of each member's own rows."""
        inputs = (self.numbers[rows], self.places[rows], rng)
        answers = functional_call(self.module, params, inputs)
        right = self.answers[rows]
        if right.is_floating_point():
            errors: Tensor = answers[..., 0] - right
            return errors.square()
        losses = F.cross_entropy(answers.flatten(0, 1), right.flatten(), reduction="none")
        return losses.view(right.shape)


def _dealt(y: NDArray[Any], parts: int, rng: torch.Generator) -> Tensor:
    """The part of each row (rows,): sorted by `y`, ties at random, and dealt like cards."""
    ties = torch.rand(len(y), generator=rng).numpy()
    dealt = torch.empty(len(y), dtype=torch.int64)
    dealt[torch.from_numpy(np.lexsort((ties, y)))] = torch.arange(len(y)) % parts
    return dealt


def _each(x: Tensor, members: int) -> Tensor:
    return x.expand(members, *x.shape)
