"""One exporter a ledger: a lock file that the operating system releases with the process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from exporter.errors import LedgerLocked, UserError


class LedgerLock:
    """Held from construction to `release`."""

    def __init__(self, path: Path) -> None:
        """Take the lock beside the ledger `path`.

        Raises:
            LedgerLocked: another process has it; the message names that process.
            UserError: the lock file cannot be made.
        """
        name = path.with_name(path.name + ".lock")
        try:
            self._descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UserError(f"cannot write {name}: {error.strerror}; --storage.path must be writable") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._descriptor, 64).decode(errors="replace").strip() or "unknown"
            os.close(self._descriptor)
            raise LedgerLocked(
                f"the ledger {path} is in use by process {holder}; stop that exporter, or give this one "
                "another --storage.path"
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Give the lock back; the file stays, empty of meaning."""
        os.close(self._descriptor)
