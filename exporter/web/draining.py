"""The end of serving: what is under way is answered, who has nothing to ask is not waited for."""

from __future__ import annotations

import asyncio

from aiohttp import web


class UnderWay:
    """Counts requests from their headers to their answer. Owned by the event loop."""

    def __init__(self) -> None:
        self.ending = False  # answers close their connections from now on
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()

    def begin(self) -> None:
        """A request came."""
        self._count += 1
        self._none.clear()

    def end(self) -> None:
        """Its answer is ready."""
        self._count -= 1
        if not self._count:
            self._none.set()

    async def finish(self, seconds: float) -> None:
        """Wait until there is none, but not longer than so many seconds."""
        self.ending = True
        try:
            await asyncio.wait_for(self._none.wait(), seconds)
        except TimeoutError:
            return


UNDER_WAY = web.AppKey("under_way", UnderWay)


async def drain(runner: web.AppRunner, seconds: float) -> None:
    """Take no more connections, answer what is under way, close everything."""
    # The server's own shutdown would stop reading at once, also bodies of which half is here.
    for site in runner.sites:
        await site.stop()
    await runner.app[UNDER_WAY].finish(seconds)
    await runner.cleanup()
