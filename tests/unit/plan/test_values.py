"""A table for each type of value: what it accepts and means, and what it refuses."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from exporter.plan.nodes import Mapping, Scalar
from exporter.plan.spec import PRICE, SHA256, VERSION
from exporter.plan.spec_migration import MIGRATION_NAME, MODEL, MONEY, POSITIVE_RATIO, RATIO
from exporter.plan.strictyaml import compose
from exporter.plan.values import Boolean, Choice, Day, Duration, Moment, Size, Text, Url, WrongValue, integer

ACCEPTED: list[tuple[Any, str, Any]] = [
    (Duration(), "150s", 150.0),
    (Duration(), "15m", 900.0),
    (Duration(), "1h30m", 5400.0),
    (Duration(), "500ms", 0.5),
    (Duration(), "35d", 3_024_000.0),
    (Duration(), "2w", 1_209_600.0),
    (Duration(), "3y", 94_608_000.0),
    (Duration(), "0s", 0.0),
    (Size(), "8MiB", 8_388_608),
    (Size(), "20GiB", 21_474_836_480),
    (Size(), "512KiB", 524_288),
    (Size(), "1GB", 1_000_000_000),
    (Size(), "'100B'", 100),
    (MONEY, "100", Decimal(100)),
    (MONEY, "0.000000001", Decimal("0.000000001")),
    (MONEY, "0.10", Decimal("0.10")),
    (PRICE, "0", Decimal(0)),
    (PRICE, "0.0375", Decimal("0.0375")),
    (RATIO, "0", 0.0),
    (RATIO, "1.0", 1.0),
    (POSITIVE_RATIO, "0.8", 0.8),
    (integer("n", 1), "10000", 10_000),
    (Boolean(), "true", True),
    (Boolean(), "false", False),
    (Day(), "2025-02-28", date(2025, 2, 28)),
    (Day(), "'2024-02-29'", date(2024, 2, 29)),
    (Moment(), "2025-07-14", date(2025, 7, 14)),
    (Moment(), "2025-07-14T23:59:59Z", datetime(2025, 7, 14, 23, 59, 59, tzinfo=UTC)),
    (Moment(), "'2025-07-14t23:59:59z'", datetime(2025, 7, 14, 23, 59, 59, tzinfo=UTC)),
    (
        Moment(),
        "2025-07-14 23:59:59.5+02:00",
        datetime(2025, 7, 14, 23, 59, 59, 500_000, tzinfo=timezone(timedelta(hours=2))),
    ),
    (Url(), "''", ""),
    (Url(), "https://example.com/prometheus/", "https://example.com/prometheus"),
    (Url(), "http://[::1]:9090", "http://[::1]:9090"),
    (Text(), "'2025'", "2025"),
    (Text(), "'  spaced '", "spaced"),
    (Text(allow_empty=True), "''", ""),
    (Choice(("mean", "p95")), "p95", "p95"),
    (MIGRATION_NAME, "gpt4-migration", "gpt4-migration"),
    (MODEL, "anthropic/claude-3.5-sonnet@20240620", "anthropic/claude-3.5-sonnet@20240620"),
    (SHA256, "'" + "0a" * 32 + "'", "0a" * 32),
    (VERSION, "'0.25'", "0.25"),
    (VERSION, "0.28.1", "0.28.1"),
]

REFUSED: list[tuple[Any, str, str]] = [
    (Duration(), "15", "write 15s, or use m, h, d"),
    (Duration(), "15 m", "write a whole number and a unit, such as 150s, 15m, 1h30m, 35d or 3y"),
    (Duration(), "1.5h", "write a whole number and a unit, such as 150s, 15m, 1h30m, 35d or 3y"),
    (Duration(), "-5m", "write a whole number and a unit, such as 150s, 15m, 1h30m, 35d or 3y"),
    (Duration(least=1, rule="longer"), "0s", "longer"),
    (Size(), "8", "write a unit, such as 8MiB or 20GiB"),
    (Size(), "8mb", "write a whole number and KiB, MiB, GiB or TiB"),
    (Size(), "0MiB", "write a size such as 8MiB or 20GiB"),
    (MONEY, "0", "write a positive amount of US dollars; leave the key out for no limit"),
    (MONEY, "-5", "write a positive amount of US dollars; leave the key out for no limit"),
    (MONEY, "'1,000'", "write 1000, without quotes, signs or units"),
    (MONEY, "1e3", "write 1000, without quotes, signs or units"),
    (MONEY, "0.0000000001", "write at most 9"),
    (MONEY, "lots", "write an amount in USD"),
    (RATIO, "80", "write a share from 0 to 1: 0.8 for 80 %"),
    (RATIO, "80%", "write 0.8, without quotes, signs or units"),
    (POSITIVE_RATIO, "0.0", "write a share from 0 to 1: 0.8 for 80 %"),
    (integer("n", 1), "1.0", "write 1"),
    (integer("n", 1), "0", "write at least 1 and at most 1000000000"),
    (Boolean(), "'true'", "write true or false, without quotes"),
    (Day(), "2025-02-29", "write a day of the calendar"),
    (Day(), "28.02.2025", "write year-month-day, such as 2025-02-28"),
    (Day(), "2025-2-8", "write year-month-day, such as 2025-02-28"),
    (Day(), "1999-12-31", "write a year from 2000 to 2199"),
    (Day(), "2025-07-14T00:00:00Z", "write the day alone: 2025-07-14"),
    (
        Moment(),
        "2025-07-14T23:59:59",
        "write 2025-07-14, or 2025-07-14T23:59:59Z, or 2025-07-14T23:59:59+02:00",
    ),
    (Moment(), "'2025-07-14T24:59:59Z'", "correct it"),
    (Url(), "example.com:9090", "write http://host:port or https://host, path optional"),
    (Url(), "ftp://example.com", "write http://host:port or https://host, path optional"),
    (Url(), "http://[::1", "write http://host:port or https://host, path optional"),
    (Url(allow_empty=False), "''", "write http://host:port or https://host, path optional"),
    (Text(), "5", "quote it: '5'"),
    (Text(), "' '", "write something, or delete the key"),
    (Text(max_length=3), "four", "shorten it"),
    (Choice(("mean", "p95")), "maen", "did you mean `mean`?"),
    (Choice(("mean", "p95")), "maximum", "write one of: mean, p95"),
    (MIGRATION_NAME, "-gpt", "write small letters, digits and hyphens, such as gpt4-migration"),
    (MODEL, "gpt 4", "write it as the provider does, such as gpt-4.1"),
    (VERSION, "0.30", "quote it: '0.30'"),
]


def _scalar(text: str) -> Scalar:
    root, problems = compose(f"key: {text}\n", "f.yaml")
    assert problems == []
    assert isinstance(root, Mapping)
    value = root.entries["key"].value
    assert isinstance(value, Scalar)
    return value


@pytest.mark.parametrize(("kind", "text", "value"), ACCEPTED)
def test_a_value_is_read(kind: Any, text: str, value: Any) -> None:
    read = kind.parse(_scalar(text))

    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(("kind", "text", "remedy"), REFUSED)
def test_a_value_is_refused_with_a_remedy(kind: Any, text: str, remedy: str) -> None:
    with pytest.raises(WrongValue) as caught:
        kind.parse(_scalar(text))

    assert caught.value.remedy == remedy
    assert caught.value.message
