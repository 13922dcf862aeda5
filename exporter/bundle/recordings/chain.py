"""What a family of recording rules is made of."""

from __future__ import annotations

from collections.abc import Sequence

Chain = Sequence[tuple[str, str]]
"""(recorded name, template of its expression), in the order of evaluation; each may read those before it."""
