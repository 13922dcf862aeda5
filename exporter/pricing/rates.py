"""What tokens cost at one moment: rates, and the exact arithmetic on them.

Rates are integers of pico-dollars per token (1e-12 USD; a list price of $0.15 per million tokens is 150,000), so that
a call's cost is exact until it is rounded, once, to nano-dollars.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

_PICO_PER_USD_PER_MILLION = 10**6


class Usage(NamedTuple):
    """The tokens of one call as the provider counts them: input includes cached and written, output reasoning."""

    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Rates:
    """Pico-dollars per token.

    Without a rate of their own (None), cached and cache-write tokens are input like any other. `above` holds what a
    call with more than so many input tokens costs instead: the whole call, not only the tokens beyond.
    """

    input: int
    output: int
    cached_input: int | None = None
    cache_write: int | None = None
    above: tuple[tuple[int, Rates], ...] = ()  # ascending thresholds; a call of exactly that many tokens is below

    def cost_pico(self, usage: Usage) -> int:
        """The exact cost of one call."""
        tokens, cached, written, output = usage
        rates = self
        for threshold, higher in self.above:
            if tokens > threshold:
                rates = higher
        if cached or written:
            cached_rate = rates.input if rates.cached_input is None else rates.cached_input
            write_rate = rates.input if rates.cache_write is None else rates.cache_write
            return (
                (tokens - cached - written) * rates.input
                + cached * cached_rate
                + written * write_rate
                + output * rates.output
            )
        return tokens * rates.input + output * rates.output

    def usd_per_million(self) -> dict[str, Decimal]:
        """The rates as price lists print them, for people; rates that do not exist are absent."""
        named = (
            ("input", self.input),
            ("cached_input", self.cached_input),
            ("cache_write", self.cache_write),
            ("output", self.output),
        )
        return {name: Decimal(pico) / _PICO_PER_USD_PER_MILLION for name, pico in named if pico is not None}


class Schedule:
    """The rates of one model in one tier through time. None is a time without a known price."""

    __slots__ = ("_rates", "_starts", "always")

    def __init__(self, periods: Sequence[tuple[float, Rates | None]]) -> None:
        """Periods by their start in Unix seconds, ascending; each lasts until the next one begins."""
        self._starts = tuple(start for start, _ in periods)
        self._rates = tuple(rates for _, rates in periods)
        #: The rates when they never change: spares the search.
        self.always: Rates | None = self._rates[0] if self._starts == (float("-inf"),) else None

    def at(self, when: float) -> Rates | None:
        """The rates in force at a Unix time."""
        index = bisect_right(self._starts, when) - 1
        return self._rates[index] if index >= 0 else None
