"""What a family of recording rules is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded series that has labels of its own, which tell it from others of its name."""

    name: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)


Link = tuple[str, str] | Recorded
Chain = Sequence[Link]
"""(recorded name, template of its expression), in the order of evaluation; each may read those before it."""
