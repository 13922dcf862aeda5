from __future__ import annotations

from decimal import Decimal

import pytest

from exporter.money import format_usd, nano_to_usd, pico_to_nano, usd_per_million_to_pico, usd_to_nano


@pytest.mark.parametrize(
    ("usd", "nano"),
    [
        (1, 10**9),
        (0.1, 10**8),
        ("0.0000000005", 0),  # half to even
        ("0.0000000015", 2),
        (Decimal("-2.5"), -2_500_000_000),
        (1e-9, 1),
    ],
)
def test_dollars_become_nano_dollars_half_to_even(usd: Decimal | float | str, nano: int) -> None:
    assert usd_to_nano(usd) == nano


def test_a_list_price_keeps_fractions_of_a_nano_dollar() -> None:
    assert usd_per_million_to_pico("0.0375") == 37_500


def test_a_price_finer_than_a_pico_dollar_is_refused() -> None:
    with pytest.raises(ValueError, match="finer"):
        usd_per_million_to_pico("0.0000001")


@pytest.mark.parametrize("pico", [*range(-2501, 2502, 7), 500, 1500, -500, -1500, 10**25 + 500])
def test_rounding_agrees_with_decimal(pico: int) -> None:
    expected = (Decimal(pico) / 1000).to_integral_value() if abs(pico) < 10**20 else Decimal(10**22)
    assert pico_to_nano(pico) == int(expected)


def test_amounts_are_shown_for_people() -> None:
    assert format_usd(916_176_000_000) == "916.18"
    assert format_usd(1_500_000) == "0.0015"
    assert format_usd(0) == "0.00"
    assert nano_to_usd(1) == 1e-9
