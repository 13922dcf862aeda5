"""Checkpoints: the whole state as rows (kind, key, JSON), of which only what changed is written again.

JSON, because sums may outgrow 64 bits. A checkpoint is taken from a view, in pieces, so that the event loop is not held
up; with it go the sums by hour and day since the last one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice

import msgspec

from exporter.totals.fold import Totals
from exporter.totals.labelsets import GroupKey, Observed, pack, unpack
from exporter.totals.rollups import Pending, Sums, grown, merge

Entry = tuple[str, str, bytes]
_PIECE = 1000  # label sets between two chances for others to run


class Checkpoint:
    """The state of the totals at one moment, to be stored, and then `kept` or `lost`."""

    def __init__(self, totals: Totals, at: float, seq: int) -> None:
        """Begin: what changes from now on belongs to the next one, and to the hour and day of the Unix time `at`."""
        self.seq = seq
        self.rows: list[Entry] = []
        self.pending: Pending = totals.pending
        self._totals = totals
        self._view = totals.view()
        self._present = totals.present
        self._cells, totals.changed_cells = totals.changed_cells, {}
        self._groups, totals.changed_groups = totals.changed_groups, {}
        self._routes, totals.changed_routes = totals.changed_routes, set()
        self._applications, totals.changed_applications = totals.changed_applications, set()
        totals.pending = {}
        totals.enter(at)
        self.rows += _small(totals) if self._cells or self._routes else ()

    def pack(self) -> Iterator[None]:
        """Fill `rows` and `pending`, step by step; to be driven to its end."""
        totals, view, rows, present = self._totals, self._view, self.rows, self._present
        new = [self.pending.setdefault(period, Sums()) for period in present]
        cells = iter(self._cells.items())
        while piece := list(islice(cells, _PIECE)):
            for cell_id, before in piece:
                values = view.of(totals.cells[cell_id]).values
                rows.append(("cell", str(cell_id), _encode(values)))
                if present and (growth := grown(values, before)):
                    for sums in new:
                        sums.add_usage(cell_id, growth)
            yield
        groups = iter(self._groups.items())
        while some := list(islice(groups, _PIECE)):
            for key, earlier in some:
                group = view.of(totals.groups[key])
                rows.append(("group", json.dumps(key), _encode((group.tokens, group.errors, pack(group.duration)))))
                if present and (growth := grown(group.sums, earlier)):
                    for sums in new:
                        sums.add_shape(group.id, growth)
            yield
        routes = iter(self._routes)
        while numbers := list(islice(routes, _PIECE)):
            rows += [("route", str(number), _encode(view.of(totals.routes[number]).values)) for number in numbers]
            yield
        places = iter(self._applications)
        while keys := list(islice(places, _PIECE)):
            for place in keys:
                observed = view.of(totals.by_application[place])
                rows.append(("by_application", json.dumps(place), _encode(pack(observed.histogram))))
            yield
        view.close()

    def lost(self) -> None:
        """It could not be stored: the next one must have all that this one has."""
        totals = self._totals
        for cell_id in self._cells:
            totals.changed_cells.setdefault(cell_id, totals.cells[cell_id].values[:])
        for key in self._groups:
            totals.changed_groups.setdefault(key, totals.groups[key].sums)
        totals.changed_routes |= self._routes
        totals.changed_applications |= self._applications
        totals.pairs.changed = True
        merge(totals.pending, self.pending)


def restore(totals: Totals, kind: str, key: str, packed: bytes) -> None:
    """Take over one row of a checkpoint; names must be known."""
    decode = msgspec.json.decode
    if kind == "cell":
        values = json.loads(packed)
        cell = totals.cells[int(key)]
        cell.values[: len(values)] = values  # an earlier release kept fewer
    elif kind == "group":
        totals.groups[GroupKey(*json.loads(key))].restore(packed)
    elif kind in ("route", "unpriced"):
        counts_by_id = totals.routes if kind == "route" else totals.unpriced
        counts_by_id[int(key)].values = json.loads(packed)
    elif kind in ("first_token", "quality", "by_application"):
        labels = tuple(json.loads(key))
        observed = Observed(labels, 0)
        observed.histogram = unpack(json.loads(packed))
        store: dict[tuple[str, ...], Observed] = getattr(totals, kind)
        store[labels] = observed
    elif kind == "spend":
        totals.spend[key] = decode(packed, type=dict[int, int])
    elif kind == "last_event":
        totals.last_event_us = decode(packed, type=dict[str, int])
        totals.newest_us = max(totals.last_event_us.values(), default=0)
    elif kind.startswith("pairs_"):
        totals.pairs.restore(kind, key, packed)
    elif kind == "events":
        totals.events = decode(packed, type=int)


def _small(totals: Totals) -> Iterator[Entry]:
    """What is bounded, and packed at once."""
    for name_id, counts in totals.unpriced.items():
        yield "unpriced", str(name_id), _encode(counts.values)
    for kind, observed_by_key in (("first_token", totals.first_token), ("quality", totals.quality)):
        for labels, observed in observed_by_key.items():
            yield kind, json.dumps(labels), _encode(pack(observed.histogram))
    for migration, spend in totals.spend.items():
        yield "spend", migration, _encode(spend)
    yield from totals.pairs.packed()
    yield "last_event", "", _encode(totals.last_event_us)
    yield "events", "", _encode(totals.events)


def _encode(value: object) -> bytes:
    try:
        return msgspec.json.encode(value)
    except OverflowError:  # beyond 64 bits
        return json.dumps(value).encode()
