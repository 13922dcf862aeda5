"""Requests under way: what the end of serving waits for."""

from __future__ import annotations

import asyncio

from aiohttp import web


class UnderWay:
    """Counts requests from their headers to their answer. Owned by the event loop."""

    def __init__(self) -> None:
        self.ending = False  # answers close their connections from now on
        self._count = 0
        self._none = asyncio.Event()

    def begin(self) -> None:
        """A request came."""
        self._count += 1

    def end(self) -> None:
        """Its answer is ready."""
        self._count -= 1
        if self.ending and not self._count:
            self._none.set()

    async def finish(self, seconds: float) -> None:
        """Wait until there is none, but not longer than so many seconds."""
        self.ending = True
        deadline = asyncio.get_running_loop().time() + seconds
        try:
            while self._count:
                self._none.clear()
                async with asyncio.timeout_at(deadline):
                    await self._none.wait()
        except TimeoutError:
            return


UNDER_WAY = web.AppKey("under_way", UnderWay)
