"""How long this process runs already: what a budget "from the start" must count in.

Imported first by the command. Before that only the interpreter started, which hardly waits, so
its processor time is its time; from here on the clock on the wall counts.
"""

import time

__all__ = ["process_age"]

_STARTED = time.monotonic() - time.process_time()


def process_age() -> float:
    """Seconds since the process started."""
    return time.monotonic() - _STARTED
