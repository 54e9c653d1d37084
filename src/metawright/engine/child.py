"""A child process: how it begins, how it ends with its parent, and how values are sent to it."""

import contextlib
import ctypes
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing import parent_process
from multiprocessing.connection import wait
from multiprocessing.reduction import ForkingPickler
from typing import Any

import torch
from torch import Tensor, nn

from metawright.errors import InputError

__all__ = ["begin_child", "no_interrupt", "one_thread_each", "packed", "unpacked"]

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of malloc.h


def begin_child() -> None:
    """What a child does first: one thread, Ctrl-C left to the parent, and no life after it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    torch.set_num_threads(1)
    _keep_memory()
    threading.Thread(target=_end_with_parent, daemon=True).start()


@contextlib.contextmanager
def no_interrupt() -> Iterator[None]:
    """A child that is started in here never sees Ctrl-C; the parent sees it afterwards.

    The signal is blocked, which a child inherits until it ignores it, and not ignored: to start a
    child takes seconds, and a Ctrl-C in them must not be lost.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """A child that is started in here has one thread in every library that it loads.

    torch can be told later; NumPy's and scikit-learn's own copies of OpenMP and BLAS read the
    environment when they are loaded, and no later.
    """
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ |= dict.fromkeys(_THREADS, "1")
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def packed(value: Any) -> bytes:
    """A value as it is sent to a child: with copies of its tensors, not with their memory.

    Raises:
        InputError: it holds what cannot be sent, such as a function without a name.
    """
    buffer = io.BytesIO()
    try:
        _ByValue(buffer).dump(value)
    except Exception as error:
        raise InputError(
            f"A {type(value).__name__} cannot be sent to worker processes ({error}): give it "
            "functions defined at the top of a module in the place of lambdas, or stay in this "
            "process (how='loop' for tasks)."
        ) from error
    return buffer.getvalue()


def unpacked(data: bytes) -> Any:
    """What `packed` sent; only ever read from the pipe of one's own parent or child."""
    return ForkingPickler.loads(data)


def _keep_memory() -> None:
    """Lets the C library of Linux keep freed memory: it would go back to the system and come again
    page by page, with every tensor of more than 128 KiB, for a tenth of the time."""
    if sys.platform == "linux":
        system = ctypes.CDLL(None)
        if hasattr(system, "mallopt"):
            system.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
            system.mallopt(_MMAP_THRESHOLD, 2**25)  # the most that it accepts


def _end_with_parent() -> None:
    """A pipe tells only a worker that listens; this one may be computing for minutes."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


class _ByValue(ForkingPickler):
    """Torch would share the memory of every tensor that is sent: a worker that moves its buffers
    would then move everybody's."""

    def reducer_override(self, value: Any) -> Any:
        """How a tensor is sent; `NotImplemented` leaves everything else as it is."""
        if not isinstance(value, Tensor):
            return NotImplemented
        numbers = value.detach().cpu().contiguous()
        raw = numbers.flatten().view(torch.uint8).numpy().tobytes()
        how = (numbers.dtype, tuple(numbers.shape), value.requires_grad)
        return _restored, (raw, *how, isinstance(value, nn.Parameter))


def _restored(
    raw: bytes, dtype: torch.dtype, shape: tuple[int, ...], requires_grad: bool, parameter: bool
) -> Tensor:
    value = torch.frombuffer(bytearray(raw or bytes(dtype.itemsize)), dtype=dtype)
    value = value[: len(raw) // dtype.itemsize].clone().view(shape)
    return nn.Parameter(value, requires_grad) if parameter else value.requires_grad_(requires_grad)
