"""Jobs in this process, with the face of `Workers`: for functions that cannot be sent away."""

import time
import traceback
from collections.abc import Callable
from typing import Any

from metawright.engine.workers import How, Outcome, in_words

__all__ = ["Inline"]


class Inline:
    """Works on each job as it is submitted; no limit of time or memory can be enforced.

    Arguments:
        function: what a job calls.

    Example:
        >>> from contextlib import closing
        >>> from metawright.engine.inline import Inline
        >>> with closing(Inline(lambda x: 1 / x)) as here:
        ...     here.submit("half", 2)
        ...     here.submit("broken", 0)
        ...     [outcome.value or outcome.message for outcome in here.wait()]
        [0.5, 'ZeroDivisionError: division by zero']
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._outcomes: list[Outcome] = []

    @property
    def free(self) -> int:
        """One job at a time: none while there is an outcome to fetch."""
        return 0 if self._outcomes else 1

    def start(self) -> None:
        """Nothing needs time to get ready."""

    def submit(
        self,
        key: Any,
        *arguments: Any,
        seconds: float | None = None,
        until: float | None = None,
        **keywords: Any,
    ) -> None:
        """Does the job now."""
        del seconds, until  # nobody is there to enforce it
        began = time.monotonic()
        how: How = "done"
        value, message, trace = None, "", ""
        try:
            value = self.function(*arguments, **keywords)
        except Exception as error:  # noqa: BLE001 (it becomes an outcome)
            how, message, trace = "failed", in_words(error), traceback.format_exc()
        spent = time.monotonic() - began
        self._outcomes.append(Outcome(key, how, value, message, trace, spent))

    def wait(self, seconds: float | None = None) -> list[Outcome]:
        """What the jobs submitted since the last call gave."""
        del seconds  # they are all done
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def close(self) -> None:
        """Nothing is left running."""
