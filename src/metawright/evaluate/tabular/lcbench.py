"""LCBench: a network that was fitted to the training of perceptrons on 34 data sets (YAHPO)."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from metawright.errors import InputError, MissingExtraError
from metawright.evaluate.evaluator import Evaluation, check_fidelity
from metawright.spaces.design import Design
from metawright.spaces.points import check
from metawright.spaces.space import Integer, Real, Record
from metawright.tasks.data_folder import data_file

__all__ = ["LCBench", "space"]

# As the surrogate takes and gives them.
_INPUTS = (
    "epoch", "batch_size", "learning_rate", "momentum", "weight_decay", "num_layers", "max_units",
    "max_dropout",
)  # fmt: skip
_OUTPUTS = (
    "time", "val_accuracy", "val_cross_entropy", "val_balanced_accuracy", "test_cross_entropy",
    "test_balanced_accuracy",
)  # fmt: skip
_EPOCHS = 52


def space() -> Record:
    """Perceptrons and their training: seven decisions."""
    return Record(
        {
            "batch_size": Integer(16, 512, log=True),
            "learning_rate": Real(1e-4, 0.1, log=True),
            "momentum": Real(0.1, 0.99),
            "weight_decay": Real(1e-5, 0.1),
            "num_layers": Integer(1, 5),
            "max_units": Integer(64, 1024, log=True),
            "max_dropout": Real(0.0, 1.0),
        }
    )


class LCBench:
    """Gives what the surrogate says of a perceptron after `fidelity` of 52 epochs.

    Arguments:
        data_set: an OpenML task number of the surrogate, as a text.
        root: the folder of `model.onnx`; None: `yahpo/lcbench` in METAWRIGHT_DATA.

    Raises:
        InputError: there is no such data set or file.

    References:
        Auto-PyTorch Tabular: Multi-Fidelity MetaLearning for Efficient and Robust AutoDL, Zimmer,
        Lindauer and Hutter, 2021, https://arxiv.org/abs/2006.13799
        YAHPO Gym: An Efficient Multi-Objective Multi-Fidelity Benchmark for Hyperparameter
        Optimization, Pfisterer, Schneider, Moosbauer, Binder and Bischl, 2022,
        https://arxiv.org/abs/2109.03670
    """

    score = "accuracy"

    def __init__(self, data_set: str = "3945", *, root: Path | str | None = None) -> None:
        self._model = data_file(root, "yahpo/lcbench", "model.onnx")
        codes = json.loads(data_file(root, "yahpo/lcbench", "encoding.json").read_text("utf-8"))
        known: dict[str, int] = codes["OpenML_task_id"]
        if data_set not in known or data_set == "#na#":
            numbers = ", ".join(sorted(set(known) - {"#na#"}))
            raise InputError(f"`data_set` must be one of {numbers}, but got {data_set!r}.")
        self.space = space()
        self.task = f"lcbench/{data_set}"
        self._code = known[data_set]

    def __call__(self, design: Design, *, fidelity: float = 1.0, seed: int = 0) -> Evaluation:
        """The surrogate's answer; the seed changes nothing.

        Raises:
            InputError: the design is not in the space, or `0 < fidelity <= 1` does not hold.
            MissingExtraError: onnxruntime is missing.
        """
        del seed
        check(self.space, design)
        epochs = max(1, round(check_fidelity(fidelity) * _EPOCHS))
        values = [float(design[name]) if name != "epoch" else epochs for name in _INPUTS]
        inputs = {
            "x_cat": np.array([[self._code]], dtype=np.int32),
            "x_cont": np.array([values], dtype=np.float32),
        }
        given = _session(self._model).run(None, inputs)[0][0]
        found = dict(zip(_OUTPUTS, map(float, given), strict=True))
        scores = {
            "accuracy": found["val_accuracy"] / 100,
            "log_loss": found["val_cross_entropy"],
            "balanced_accuracy": found["val_balanced_accuracy"],
            "test_log_loss": found["test_cross_entropy"],
            "test_balanced_accuracy": found["test_balanced_accuracy"],
        }
        return Evaluation(scores, {"seconds": found["time"]}, {"fidelity": epochs / _EPOCHS})


# Outside of the evaluator, because a session cannot be sent to another process.
@lru_cache(maxsize=2)
def _session(path: Path) -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise MissingExtraError("onnxruntime", "onnx") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options)
