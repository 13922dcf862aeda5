"""Money as integers of nano-dollars (1e-9 USD), so that sums are exact in any order.

A rate of one token is finer than that ($0.0375 per million tokens is 37.5 nano-dollars a token): rates are integers of
pico-dollars (1e-12 USD), and only the cost of a whole event is rounded, half to even.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

NANO = 10**9
PICO_PER_NANO = 1000


def usd_to_nano(usd: Decimal | int | float | str) -> int:
    """Dollars to nano-dollars, half to even; floats by their shortest decimal form."""
    return int((_decimal(usd) * NANO).to_integral_value(ROUND_HALF_EVEN))


def usd_per_million_to_pico(usd: Decimal | int | float | str) -> int:
    """A list price in dollars per million tokens to pico-dollars a token.

    Raises:
        ValueError: the price is finer than one pico-dollar a token.
    """
    pico = _decimal(usd) * 10**6
    if pico != pico.to_integral_value():
        raise ValueError(f"{usd} USD per million tokens is finer than 0.000001 USD per million")
    return int(pico)


def pico_to_nano(pico: int) -> int:
    """Pico-dollars to nano-dollars, half to even; negative amounts mirror positive ones."""
    quotient, remainder = divmod(pico, PICO_PER_NANO)
    if remainder > 500 or (remainder == 500 and quotient & 1):
        return quotient + 1
    return quotient


def nano_to_usd(nano: int) -> float:
    """The float nearest to an amount, for JSON and for samples."""
    return nano / NANO


def format_usd(nano: int) -> str:
    """An amount for people: cents when it is a dollar or more, up to nine digits below."""
    usd = Decimal(nano) / NANO
    if abs(usd) >= 1 or nano == 0:
        return f"{usd:,.2f}"
    return f"{usd:.9f}".rstrip("0")


def _decimal(usd: Decimal | int | float | str) -> Decimal:
    return Decimal(repr(usd)) if isinstance(usd, float) else Decimal(usd)
