"""One writer a folder: two runs into the same place would mix their files.

The lock is the operating system's (`flock`), so it ends with the process however that dies; the
file `.lock` stays and means nothing by itself. It holds the writer's process id for the message.
"""

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from metawright.errors import BusyError, InputError
from metawright.store.files import clear_errors

if sys.platform != "win32":
    import fcntl

__all__ = ["FolderLock"]


class FolderLock:
    """Holds a folder for writing while the `with` block runs; readers are not kept out.

    A child forked inside the block goes on holding the folder if its parent is killed; a spawned
    one does not.

    Arguments:
        folder: what is to be written; it is made when missing.

    Raises:
        BusyError: somebody else holds it.
        InputError: the folder cannot be made, or the system or its disk knows no locks.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        if sys.platform == "win32":
            raise InputError("Locking a run folder needs Linux or macOS: use WSL on Windows.")
        if self._descriptor is not None:
            raise RuntimeError(f"This FolderLock holds {self.folder} already: make another one.")
        path = self.folder / ".lock"
        with clear_errors(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.ftruncate(descriptor, 0)
                os.write(descriptor, str(os.getpid()).encode())
            except BlockingIOError as error:
                holder = os.read(descriptor, 32).decode(errors="replace") or "unknown"
                os.close(descriptor)
                raise BusyError(
                    f"Another process (pid {holder}) is writing {self.folder}: "
                    "wait for it, or choose another --out."
                ) from error
            except OSError:
                os.close(descriptor)
                raise
        self._descriptor = descriptor
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The file stays: removing it would let two others in at once, one holding the removed
        # file and one a new file of the same name.
        descriptor, self._descriptor = self._descriptor, None
        if sys.platform != "win32" and descriptor is not None:
            # Closing alone would leave the lock to children that were forked in the block.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)
