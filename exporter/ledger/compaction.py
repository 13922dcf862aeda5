"""Small chunks become large ones: where events come one by one, each commit leaves a chunk of its own."""

from __future__ import annotations

from exporter.ledger import chunks
from exporter.ledger.store import Store
from exporter.totals import Row

LARGE = 2048  # events of a chunk that stays as it is
FULL = 4096  # events at which a new chunk is large enough
FEWEST = 16  # small chunks in a row that are worth the work
_LOOK = 512  # chunks looked at in one step
CURSOR = "compacted"


Place = tuple[int, int]
"""The places of a chunk's last and first event."""


def compact(store: Store) -> int:
    """Join one run of small chunks that a checkpoint has counted; how many chunks it had (0: nothing to do)."""
    query = "SELECT seq, first FROM chunks WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
    found: list[Place] = store.connection.execute(query, (store.meta(CURSOR), store.checkpoint_seq(), _LOOK)).fetchall()
    run, done = _run(found)
    if run:
        _join(store, run)
    if done:
        store.set_meta(CURSOR, done)
    return len(run)


def _run(found: list[Place]) -> tuple[list[Place], int]:
    """The first run that is worth joining, and the place up to which nothing is left to do (0: all waits for more)."""
    run: list[Place] = []
    done = 0
    for seq, first in found:
        if run and (first != run[-1][0] + 1 or seq - first + 1 >= LARGE):  # events between were pruned, or it is large
            if len(run) >= FEWEST:
                return run, run[-1][0]
            run, done = [], run[-1][0]
        if seq - first + 1 >= LARGE:
            done = seq
            continue
        run.append((seq, first))
        if seq - run[0][1] + 1 >= FULL:
            return (run, seq) if len(run) > 1 else ([], seq)
    if len(found) == _LOOK and len(run) >= FEWEST:
        return run, run[-1][0]
    return [], done


def _join(store: Store, run: list[Place]) -> None:
    first, last = run[0][1], run[-1][0]
    rows: list[Row] = []
    query = "SELECT events FROM chunks WHERE seq >= ? AND seq <= ? ORDER BY seq"
    for (blob,) in store.connection.execute(query, (run[0][0], last)):
        rows += chunks.decode(blob)
    times = [row.at_us for row in rows]
    store.connection.execute("DELETE FROM chunks WHERE seq >= ? AND seq <= ?", (run[0][0], last))
    store.connection.execute(
        "INSERT INTO chunks VALUES (?, ?, ?, ?, ?)",
        (last, first, min(times), max(times), chunks.encode(rows, compress=True)),
    )
