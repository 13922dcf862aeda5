"""One event as the ledger stores it."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One event as the ledger stores it; names are ids of the ledger's dictionary."""

    id_hash: bytes | None
    at_us: int  # when the call ended, Unix microseconds
    cell: int  # (migration, role, model, application, category)
    route: int  # (migration, role, application, route)
    input_tokens: int  # without cached and cache-write tokens
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int  # without reasoning tokens
    reasoning_tokens: int
    latency_us: int
    first_token_us: int | None
    error: int  # 0: success; else 1 + index in ERROR_TYPES
    cost: int | None  # nano-dollars; None: unpriced
    counterfactual: int | None  # nano-dollars at the other side's price
    reported: int | None  # nano-dollars by the caller's own figure
    quality: int | None  # thousandths
    evaluator: int | None
    unpriced: int | None  # the model's name among the unpriced, when cost is None
    model: int  # the name as it was sent
    tier: int
    price_version: int
    pair: str | None
    prompt_hash: str | None
    trace_id: str | None
