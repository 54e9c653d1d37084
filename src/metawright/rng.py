"""Randomness that is passed, never global.

Every function that draws takes a `torch.Generator`. A stream is made from a seed and names, so
that two parts of a program with one seed never share numbers and adding a draw in one place leaves
the others as they were.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["fork", "global_draws", "integer", "stream"]


def stream(seed: int, *names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator for the stream `names` of `seed`: same arguments, same numbers.

    Example:
        >>> from metawright.rng import stream
        >>> a, b = stream(0, "tasks", 7), stream(0, "tasks", 7)
        >>> a.initial_seed() == b.initial_seed() != stream(0, "tasks", 8).initial_seed()
        True
    """
    text = "/".join(str(part) for part in (seed, *names))
    digest = hashlib.blake2b(text.encode(), digest_size=7).digest()
    generator = torch.Generator(device=device)
    generator.manual_seed(int.from_bytes(digest, "big"))
    return generator


def integer(rng: torch.Generator, high: int = 2**31) -> int:
    """One integer drawn from 0 .. high - 1."""
    return int(torch.randint(high, (), generator=rng, device=rng.device))


def fork(rng: torch.Generator, device: torch.device | str | None = None) -> torch.Generator:
    """A new independent generator seeded by a draw from `rng` (on `device`, default the same)."""
    child = torch.Generator(device=device or rng.device)
    child.manual_seed(integer(rng, 2**62))
    return child


@contextmanager
def global_draws(rng: torch.Generator) -> Iterator[None]:
    """Lets what only knows torch's global generator (first weights of a layer, `nn.Dropout`) draw
    from `rng` on the CPU; afterwards the global generator is as it was.

    Example:
        >>> import torch
        >>> from metawright.rng import global_draws, stream
        >>> def draw() -> float:
        ...     with global_draws(stream(0, "weights")):
        ...         return torch.nn.Linear(1, 1).weight.item()
        >>> draw() == draw()
        True
    """
    before = torch.get_rng_state()
    torch.set_rng_state(fork(rng, "cpu").get_state())
    try:
        yield
    finally:
        torch.set_rng_state(before)
