"""One contender of benchmarks/tables.py on one table: a process of its own, one thread.

    PYTHON automl.py CONTENDER KIND SECONDS FOLDER [BUNDLE]

FOLDER holds train.csv and test.csv (target last) and types.json (columns that are categories).
Writes answers.csv (a row of test.csv each: probabilities by class, or numbers) and prints a line
of JSON: seconds of CPU and of the clock from reading done to answers given, imports left out.
Runs in any environment that has the contender: metawright is imported by "metawright" alone.
"""

import json
import os
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"
warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402 (threads are limited first)
import pandas as pd  # noqa: E402

Answers = tuple[list[str], np.ndarray]
Fit = Callable[[pd.DataFrame, pd.Series, pd.DataFrame, bool, float], Answers]


def scaled_linear() -> Fit:
    """Logistic or ridge regression on scaled numbers and one-hot categories, defaults."""
    from sklearn.linear_model import LogisticRegression, Ridge

    return _sklearn(lambda classes: LogisticRegression(max_iter=2000) if classes else Ridge())


def random_forest() -> Fit:
    """Defaults of scikit-learn."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    return _sklearn(
        lambda classes: (RandomForestClassifier if classes else RandomForestRegressor)(
            random_state=0
        )
    )


def hist_boosting() -> Fit:
    """Defaults of scikit-learn."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    return _sklearn(
        lambda classes: (
            HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
        )(random_state=0)
    )


def lightgbm() -> Fit:
    """Defaults of LightGBM."""
    from lightgbm import LGBMClassifier, LGBMRegressor

    return _sklearn(
        lambda classes: (LGBMClassifier if classes else LGBMRegressor)(
            n_jobs=1, verbose=-1, random_state=0
        )
    )


def flaml_zero_shot() -> Fit:
    """LightGBM with the settings that FLAML has for the nearest of its tasks."""
    from flaml.default import LGBMClassifier, LGBMRegressor

    return _sklearn(
        lambda classes: (LGBMClassifier if classes else LGBMRegressor)(n_jobs=1, verbose=-1),
        encode=False,
    )


def flaml() -> Fit:
    """`AutoML.fit` for so many seconds, log loss or R2."""
    from flaml import AutoML

    def fit(
        x: pd.DataFrame, y: pd.Series, new: pd.DataFrame, classes: bool, seconds: float
    ) -> Answers:
        search = AutoML()
        search.fit(
            x, y, task="classification" if classes else "regression",
            metric="log_loss" if classes else "r2", time_budget=seconds, n_jobs=1, verbose=0,
            seed=1,
        )  # fmt: skip
        if not classes:
            return [], np.asarray(search.predict(new), np.float64)[:, None]
        return [str(c) for c in search.classes_], np.asarray(search.predict_proba(new))

    return fit


def autogluon() -> Fit:
    """`TabularPredictor.fit` with the preset "medium"."""
    from autogluon.tabular import TabularPredictor

    def fit(
        x: pd.DataFrame, y: pd.Series, new: pd.DataFrame, classes: bool, seconds: float
    ) -> Answers:
        with tempfile.TemporaryDirectory() as folder:
            predictor = TabularPredictor(
                "target", eval_metric="log_loss" if classes else "r2", verbosity=0, path=folder,
                problem_type=("binary" if y.nunique() == 2 else "multiclass")
                if classes else "regression",
            )  # fmt: skip
            predictor.fit(
                x.assign(target=y), time_limit=seconds, presets="medium_quality", num_cpus=1
            )
            if not classes:
                return [], predictor.predict(new).to_numpy(np.float64)[:, None]
            found = predictor.predict_proba(new)
            return [str(name) for name in found.columns], found.to_numpy(np.float64)

    return fit


def metawright() -> Fit:
    """`generate_from_table` with one worker; experience without the table's family."""
    # What `import metawright` puts off counts as importing, as for everybody.
    import scipy.stats  # noqa: F401
    import skops.io  # noqa: F401
    import torch
    from sklearn import ensemble, linear_model, neighbors, svm  # noqa: F401

    import metawright.recipes.tables.run  # noqa: F401
    from metawright import generate_from_table
    from metawright.tasks.tables import read_table

    torch.set_num_threads(1)
    bundle = sys.argv[5] if len(sys.argv) > 5 else None

    def fit(
        x: pd.DataFrame, y: pd.Series, new: pd.DataFrame, classes: bool, seconds: float
    ) -> Answers:
        made = generate_from_table(
            x.assign(target=y), "target", kind="classification" if classes else "regression",
            budget=seconds, workers=1, store="none", bundle=bundle,
        )  # fmt: skip
        found = made.model.predict(read_table(new))
        return [str(name) for name in found.classes], found.answers

    return fit


CONTENDERS: dict[str, Callable[[], Fit]] = {
    "metawright": metawright,
    "scaled linear": scaled_linear,
    "random forest": random_forest,
    "hist. boosting": hist_boosting,
    "lightgbm": lightgbm,
    "flaml zero-shot": flaml_zero_shot,
    "flaml": flaml,
    "autogluon": autogluon,
}


def _sklearn(make: Callable[[bool], Any], *, encode: bool = True) -> Fit:
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    def fit(
        x: pd.DataFrame, y: pd.Series, new: pd.DataFrame, classes: bool, seconds: float
    ) -> Answers:
        columns = make_column_transformer(
            (
                OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                make_column_selector(dtype_include="category"),
            ),
            remainder=StandardScaler(),
        )
        model = make_pipeline(columns, make(classes)) if encode else make(classes)
        model.fit(x, y)
        if not classes:
            return [], np.asarray(model.predict(new), np.float64)[:, None]
        return [str(c) for c in model.classes_], np.asarray(model.predict_proba(new))

    return fit


def read(folder: Path) -> tuple[pd.DataFrame, pd.Series, pd.DataFrame]:
    """Rows to learn from, their target, and new rows; categories typed as such."""
    categories: Sequence[str] = json.loads((folder / "types.json").read_text("utf-8"))
    types = dict.fromkeys(categories, str)
    train, new = (pd.read_csv(folder / f"{name}.csv", dtype=types) for name in ("train", "test"))
    for name in categories:
        if name == "target":
            continue
        levels = sorted({*train[name], *new[name]})
        train[name] = pd.Categorical(train[name], levels)
        new[name] = pd.Categorical(new[name], levels)
    return train.drop(columns="target"), train["target"], new.drop(columns="target")


def spent() -> float:
    """CPU seconds of this process and of those that it has waited for."""
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def main() -> None:
    """Reads, fits, answers."""
    contender, kind, seconds, folder = *sys.argv[1:4], Path(sys.argv[4])
    fit = CONTENDERS[contender]()
    x, y, new = read(folder)
    began, clock = spent(), time.perf_counter()
    names, answers = fit(x, y, new, kind == "classification", float(seconds))
    took = {"cpu": spent() - began, "wall": time.perf_counter() - clock}
    pd.DataFrame(answers, columns=names or ["target"]).to_csv(folder / "answers.csv", index=False)
    print(json.dumps(took))


if __name__ == "__main__":
    main()
