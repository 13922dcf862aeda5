"""How a replay shows how far it is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import shutil
from typing import TextIO

from exporter.clock import Clock

_BAR_EVERY_SECONDS = 0.1
_LINE_EVERY_SECONDS = 10.0
_WIDEST_BAR = 40


class Progress:
    """Writes to a stream how many of `total` events were answered."""

    def __init__(self, stream: TextIO, total: int, clock: Clock) -> None:
        self._stream = stream
        self._total = total
        self._clock = clock
        self._bar = stream.isatty()
        self._begun = clock.monotonic()
        self._shown = self._begun if not self._bar else float("-inf")
        self._note = ""
        self._open = False

    def update(self, done: int) -> None:
        """Show that so many events were answered."""
        self._note = ""
        self._show(done, force=done >= self._total)

    def waiting(self, done: int, reason: str) -> None:
        """Show why nothing moves; on a terminal within the bar, elsewhere once for each reason."""
        if reason != self._note:
            self._note = reason
            if self._bar:
                self._show(done, force=True)
            else:
                self._stream.write(f"waiting: {reason}\n")
                self._stream.flush()

    def close(self) -> None:
        """End the bar's line."""
        if self._open:
            self._stream.write("\n")
            self._stream.flush()
            self._open = False

    def _show(self, done: int, *, force: bool) -> None:
        now = self._clock.monotonic()
        if not force and now - self._shown < (_BAR_EVERY_SECONDS if self._bar else _LINE_EVERY_SECONDS):
            return
        self._shown = now
        elapsed = max(now - self._begun, 1e-9)
        share = done / self._total
        pace = done / elapsed
        text = f"{done:,} of {self._total:,} events, {pace:,.0f}/s"
        if done < self._total and pace > 0:
            text += f", {_span((self._total - done) / pace)} left"
        if self._bar:
            self._draw(share, f"waiting: {self._note}" if self._note else text)
        else:
            self._stream.write(f"{share:4.0%}  {text}\n")
            self._stream.flush()

    def _draw(self, share: float, text: str) -> None:
        columns = shutil.get_terminal_size().columns
        width = max(10, min(_WIDEST_BAR, columns - len(text) - 12))
        full = int(share * width)
        line = f"{'█' * full}{'░' * (width - full)} {share:4.0%}  {text}"[: columns - 1]
        self._stream.write(f"\r\x1b[2K{line}")
        self._stream.flush()
        self._open = True


def _span(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
