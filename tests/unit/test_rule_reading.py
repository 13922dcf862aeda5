from __future__ import annotations

from tests.bench.rule_reading import Read, longest, reads


def test_selectors_are_read_with_how_far_they_look_back() -> None:
    expression = (
        'sum(rate(a_total{m="x",r=~"y|z"}[1h] offset 1d)) > on () -(b) '
        "or max_over_time(rate(c_total[5m])[6h:1m] offset 1h) or time() * d offset 10m"
    )

    assert reads(expression) == [
        Read("a_total", 'a_total{m="x",r=~"y|z"}', 3600 + 86400),
        Read("b", "b{}", 300),
        Read("c_total", "c_total{}", 300 + 6 * 3600 + 3600),
        Read("d", "d{}", 300 + 600),
    ]


def test_the_longest_look_back_of_each_name_counts() -> None:
    assert longest(["a", "rate(a[1h]) + b", "rate(a[10m])"]) == {"a": 3600, "b": 300}
