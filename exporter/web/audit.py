"""The audit log, as pages."""

from __future__ import annotations

from functools import partial
from itertools import islice

from aiohttp import web

from exporter.control import Change, SealedChange, Value
from exporter.errors import LedgerError, RequestError, TooSlow
from exporter.ledger.reader import View
from exporter.money import nano_to_usd
from exporter.plan.values import did_you_mean
from exporter.web.bodies import answer
from exporter.web.services import migration_of, moment, services

_PARAMETERS = ("before", "limit")
_DEFAULT, _MOST = 100, 1000


async def get_audit(request: web.Request) -> web.Response:
    """`GET /api/v1/{migration}/audit`: changes newest first; `next_before` leads to the page of older ones.

    Each change has the text that was stored and the seal over it: SHA-256 of the seal of the change before, the place
    and the text, one a line. `head` is the newest change of all; noted elsewhere, it shows that nothing before it was
    altered.
    """
    service = services(request)
    migration = migration_of(request)
    for name in request.query:
        if name not in _PARAMETERS:
            raise RequestError(422, f"{name} is no parameter of the audit log; {did_you_mean(name, _PARAMETERS)}")
    before = _whole(request, "before", 2**63 - 1)
    limit = _whole(request, "limit", _MOST) or _DEFAULT
    head = {"seq": service.control.last_seq, "seal": service.control.last_seal}
    try:
        found = await service.reader.ask(partial(_page, migration.name, before, limit + 1))
    except (LedgerError, TooSlow) as error:
        raise RequestError(503, str(error)) from error
    shown = found[:limit]
    return answer(
        {
            "migration": migration.name,
            "changes": [_entry(sealed) for sealed in shown],
            "next_before": shown[-1].seq if len(found) > limit else None,
            "head": head,
            "timestamp": moment(service.clock.now()),
        }
    )


def _page(migration: str, before: int | None, limit: int, view: View) -> list[SealedChange]:
    changes = view.changes() if before is None else view.changes(before)
    return list(islice((sealed for sealed in changes if sealed.change.migration == migration), limit))


def _whole(request: web.Request, name: str, most: int) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and 1 <= int(text) <= most):
        raise RequestError(422, f"{name} is a whole number from 1 to {most}")
    return int(text)


def _entry(sealed: SealedChange) -> dict[str, object]:
    change = sealed.change
    return {
        "seq": sealed.seq,
        "timestamp": moment(change.at_us / 1_000_000),
        "actor": change.actor,
        "source": change.source,
        "kind": change.kind,
        "key": change.key,
        "before": _shown(change, change.before),
        "after": _shown(change, change.after),
        "reason": change.reason,
        "text": sealed.text,
        "previous": sealed.previous,
        "seal": sealed.seal,
    }


def _shown(change: Change, value: Value) -> Value:
    """Money as people read it; the ledger keeps nano-dollars."""
    return nano_to_usd(value) if change.kind == "budget_limit" and isinstance(value, int) else value
