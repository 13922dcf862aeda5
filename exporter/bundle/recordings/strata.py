"""PromQL over strata: calls of one category, of one target model and those that it replaces, of one step of time.

In each stratum sums of the target count by the source's share of the calls, and sums of the source by the target's:
both sides then have the same number of calls of the same kinds, the weight of the stratum.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import indent

SIDE = "migration_role_model_successor:llm_migration_side:info"
ON_STRATUM = "migration, role, successor, category"
ON_PAIR = "migration, against"


@dataclass(frozen=True, slots=True)
class Window:
    """What a quantity is added up over, in steps of which each is a stratum of time."""

    step: str
    window: str

    def total(self, expr: str, function: str = "sum_over_time") -> str:
        """A recorded series added up, one step after the other."""
        return f"{function}({expr}[{self.window}:{self.step}])"

    def spread(self, expr: str) -> str:
        """The variance of the sum, as the steps show it."""
        count = self.total(expr, "count_over_time")
        on = f"on ({ON_PAIR})" if "_le:" not in expr else f"on ({ON_PAIR}, le)"
        return f"""
{self.total(expr, "stdvar_over_time")}
* {on}
{count} ^ 2
/ {on}
clamp_min({count} - 1, 1)
"""


CALLS = Window("5m", "6h")
SCORES = Window("1h", "1d")


def counted(metric: str, window: str, *more: str) -> str:
    """What was counted in each stratum, over all exporters, applications and models of the side."""
    labels = "".join(f", {label}" for label in more)
    return f"""
sum by (migration, role, successor, category{labels}) (
  sum by (migration, role, model, category{labels}) (increase({metric}{{role=~"source|target|shadow"}}[{window}]))
  * on (migration, role, model) group_left (successor)
  {SIDE}
)
"""


def summed(expr: str, *more: str) -> str:
    """The sum over strata, by what is compared: live calls to the target, or shadow calls."""
    labels = "".join(f", {label}" for label in more)
    return f"""
sum by (migration, against{labels}) (
  label_replace(
    label_replace(
{indent(expr.strip(), " " * 6)},
      "against", "live", "role", "target"
    ),
    "against", "shadow", "role", "shadow"
  )
)
"""


def block(expr: str) -> str:
    """An expression in parentheses, on lines of its own."""
    return f"(\n{indent(expr.strip(), '  ')}\n)"


class Strata:
    """Expressions over the strata of one kind of call; `calls` is their recorded number."""

    def __init__(self, calls: str, share: str, *more: str) -> None:
        self.calls = calls
        self.share = share
        self.on = ", ".join((ON_STRATUM, *more))
        self.on_other = self.on.replace("role, ", "")

    def shares(self) -> str:
        """The source's part in the calls of each stratum where both sides have calls, and two at least."""
        return f"""
1
/
(
  1
  +
  ({self.calls}{{role!="source"}} > 0)
  / on ({self.on_other}) group_left ()
  ({self.calls}{{role="source"}} > 0)
)
and on ({self.on})
({self.both(self.calls)} >= 2)
"""

    def both(self, what: str) -> str:
        """What both sides have of something in each stratum."""
        return f"""(
  {what}{{role!="source"}}
  + on ({self.on_other}) group_left ()
  {what}{{role="source"}}
)"""

    def target(self, what: str) -> str:
        """The target's weighted sum."""
        return summed(f"""
{what}{{role!="source"}}
* on ({self.on})
{self.share}
""")

    def source(self, what: str) -> str:
        """The source's weighted sum, against each kind of call to the target."""
        return summed(f"""
(1 - {self.share})
* on ({self.on_other}) group_left ()
{what}{{role="source"}}
""")

    def surplus(self, histogram: str, window: str, *more: str) -> str:
        """By bound of the histogram: how many weighted calls fewer of the target than of the source are within it."""
        buckets = counted(f"{histogram}_bucket", window, *more, "le").strip()
        source = buckets.replace('role=~"source|target|shadow"', 'role="source"')
        target = buckets.replace('role=~"source|target|shadow"', 'role=~"target|shadow"')
        by_role = "\nor\n".join(
            f"""
{block(source)}
* on ({self.on_other}) group_left (role)
(1 - {self.share}{{role="{role}"}})
""".strip()
            for role in ("target", "shadow")
        )
        return f"""
{summed(block(by_role), "le").strip()}
- on (migration, against, le)
{summed(f"{block(target)}{chr(10)}* on ({self.on}) group_left (){chr(10)}{self.share}", "le").strip()}
"""
