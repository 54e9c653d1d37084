"""The ground floor: errors that read as sentences, parameters, streams of numbers, lazy names."""

import subprocess
import sys
from types import ModuleType

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from metawright import lazy, tasks
from metawright.errors import (
    BusyError,
    InputError,
    MetawrightError,
    MissingExtraError,
    VersionError,
)
from metawright.params import (
    count,
    detached,
    global_norm,
    interpolate,
    map_params,
    params_of,
)
from metawright.rng import fork, integer, stream

# --- errors ---


def test_errors_are_one_family_and_keep_pythons_kinds() -> None:
    for error, kind in (
        (InputError("x"), ValueError),
        (VersionError("x"), InputError),
        (BusyError("x"), Exception),
        (MissingExtraError("onnx", "onnx"), ImportError),
    ):
        assert isinstance(error, MetawrightError)
        assert isinstance(error, kind)
        assert error.exit_code == 2


def test_missing_extra_says_how_to_get_it() -> None:
    text = str(MissingExtraError("onnxscript", "onnx"))
    assert (
        text
        == "This needs the package 'onnxscript': install it with `pip install 'metawright[onnx]'`."
    )


# --- parameters ---


def _params() -> dict[str, torch.Tensor]:
    return {"a": torch.tensor([3.0, 0.0]), "b": torch.tensor([[4.0]])}


def test_params_of_a_module_are_its_own() -> None:
    module = nn.Linear(2, 1)
    params = params_of(module)
    assert list(params) == ["weight", "bias"]
    assert params["weight"] is module.weight


def test_norm_and_count() -> None:
    assert float(global_norm(_params().values())) == pytest.approx(5)
    assert count(_params()) == 3
    flat = torch.cat([value.flatten() for value in _params().values()])
    assert_close(global_norm(_params().values()), flat.norm())


def test_interpolation_reaches_both_ends() -> None:
    start, end = _params(), map_params(lambda value: value + 2, _params())
    assert_close(interpolate(start, end, 0), start)
    assert_close(interpolate(start, end, 1), end)
    assert_close(interpolate(start, end, 0.25)["b"], torch.tensor([[4.5]]))


def test_detached_shares_nothing() -> None:
    start = {"a": torch.ones(2, requires_grad=True)}
    copy = detached(start, requires_grad=True)
    assert copy["a"].requires_grad
    assert copy["a"].is_leaf
    assert not detached(start)["a"].requires_grad
    with torch.no_grad():
        copy["a"] += 1
    assert_close(start["a"].detach(), torch.ones(2))
    graph = {"a": 2 * start["a"]}
    assert detached(graph)["a"].grad_fn is None


# --- randomness ---


def _numbers(rng: torch.Generator) -> list[float]:
    numbers: list[float] = torch.rand(4, generator=rng).tolist()
    return numbers


def test_streams_depend_on_seed_and_names_alone() -> None:
    torch.manual_seed(0)
    first = _numbers(stream(0, "tasks", 7))
    torch.manual_seed(1)
    assert _numbers(stream(0, "tasks", 7)) == first
    others = [stream(1, "tasks", 7), stream(0, "tasks", 8), stream(0, "tasks"), stream(0)]
    drawn = [tuple(_numbers(rng)) for rng in others]
    assert len({tuple(first), *drawn}) == 5


def test_streams_are_the_same_in_every_process() -> None:
    # Stored seeds must give the same numbers for ever: this is the start of blake2b("3/a/1").
    assert stream(3, "a", 1).initial_seed() == 59604452467266942


def test_integers_cover_their_range() -> None:
    rng = stream(0)
    assert {integer(rng, 3) for _ in range(60)} == {0, 1, 2}
    assert {integer(rng, 1) for _ in range(5)} == {0}
    assert all(0 <= integer(rng) < 2**31 for _ in range(5))


def test_forks_are_repeatable_and_independent() -> None:
    first, second = stream(0), stream(0)
    drawn = [_numbers(fork(first)), _numbers(fork(first))]
    assert drawn == [_numbers(fork(second)), _numbers(fork(second))]
    assert drawn[0] != drawn[1]
    assert _numbers(fork(stream(1))) not in drawn
    assert _numbers(stream(0)) not in drawn


# --- lazy names ---


def test_load_gives_what_is_named() -> None:
    assert lazy.load("metawright.errors:InputError") is InputError
    with pytest.raises(ModuleNotFoundError):
        lazy.load("metawright.nowhere:x")


def test_attributes_serve_a_package() -> None:
    package = ModuleType("package")
    package.__getattr__ = lazy.attributes(  # type: ignore[method-assign]
        "package", {"InputError": "metawright.errors"}
    )
    assert package.InputError is InputError
    with pytest.raises(AttributeError, match="module 'package' has no attribute 'Nothing'"):
        _ = package.Nothing


def test_reading_the_table_of_sources_loads_no_torch() -> None:
    code = (
        "import sys, metawright\n"
        "from metawright.tasks import SOURCES\n"
        "print(sorted(SOURCES), 'torch' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip().endswith("False")


def test_every_promised_name_is_there() -> None:
    for name in tasks.__all__:
        assert getattr(tasks, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = tasks.Nothing
