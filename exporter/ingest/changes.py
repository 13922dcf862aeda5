"""Changes at run time: decided on the present state, durable in the audit log, then in force."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from exporter.clock import Clock
from exporter.control import Author, Change, Control
from exporter.ledger.writer import Writer


class Changes:
    """The only way to change the control state. One change is decided at a time."""

    def __init__(self, control: Control, writer: Writer, clock: Clock) -> None:
        self._control = control
        self._writer = writer
        self._clock = clock
        self._deciding = asyncio.Lock()

    def author(self, name: str, source: str, reason: str = "") -> Author:
        """Who makes a change now."""
        return Author(name, source, round(self._clock.now() * 1_000_000), reason)

    async def make(
        self, decide: Callable[[Control], Sequence[Change]], then: Callable[[], None] = lambda: None
    ) -> Sequence[Change]:
        """Decide on the state as it is, store, apply; returns when it is durable and in force.

        `then` runs in the same step of the event loop as the changes come into force, also when there are none.

        Raises:
            RequestError: `decide` refused.
            LedgerError: the ledger could not be written; nothing changed.
        """
        async with self._deciding:
            changes = list(decide(self._control))
            if changes:
                sealed = self._control.next(changes)

                def apply() -> None:
                    for change in sealed:
                        self._control.apply(change)
                    then()

                await asyncio.shield(self._writer.record(sealed, apply))
            else:
                then()
            return changes
