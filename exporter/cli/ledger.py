"""`backup`, `restore`, `export` and `repair`: a ledger from the outside."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import click

from exporter.clock import SystemClock
from exporter.errors import LedgerError, UserError
from exporter.export.formats import FORMATS, encode
from exporter.export.records import KINDS
from exporter.ledger import backup as backing
from exporter.ledger import repair as repairing
from exporter.ledger.reader import View
from exporter.runtime import LEDGER_FILE

storage_path = click.option(
    "--storage.path",
    "storage_path",
    type=click.Path(path_type=Path),
    default="data",
    show_default=True,
    envvar="LLM_MIGRATION_STORAGE_PATH",
    help="Folder of the ledger.",
)
_TIMES = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S%z"])


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@storage_path
def backup(target: Path, storage_path: Path) -> None:
    """Copy the ledger to the file TARGET, also while an exporter uses it.

    `restore` is the way back.
    """
    begun = time.monotonic()
    size = backing.backup(storage_path / LEDGER_FILE, target)
    click.echo(f"{target}: {size:,} bytes in {time.monotonic() - begun:.1f} s")


@click.command()
@click.argument("copy", type=click.Path(path_type=Path))
@storage_path
def restore(copy: Path, storage_path: Path) -> None:
    """Put COPY, made by `backup` or `repair`, in the place of the ledger of an exporter that is stopped.

    Counters then start from zero, as after any reset; budgets and history are those of the copy. The ledger that was
    there is kept beside it.
    """
    aside = backing.restore(copy, storage_path / LEDGER_FILE, SystemClock().now())
    click.echo(f"{storage_path / LEDGER_FILE}: restored" + (f"; the old one is in {aside}" if aside else ""))


@click.command()
@click.option("--kind", type=click.Choice(list(KINDS)), default="events", show_default=True, help="What to export.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="ndjson", show_default=True, help="File format.")
@click.option("--from", "start", type=_TIMES, help="First moment, UTC.  [default: the oldest there is]")
@click.option("--to", "end", type=_TIMES, help="End, UTC, not included.  [default: now and later]")
@click.option("--out", type=click.Path(path_type=Path), help="File to write.  [default: standard output]")
@storage_path
def export(
    kind: str, form: str, start: datetime | None, end: datetime | None, out: Path | None, storage_path: Path
) -> None:
    """Write what the ledger holds, also while an exporter uses it."""
    path = storage_path / LEDGER_FILE
    if not path.is_file():
        raise UserError(f"there is no ledger at {path}; give the exporter's --storage.path")
    fields, records = KINDS[kind]
    view = View(path, float("inf"))
    try:
        with view.reading(), _damage(path, "`repair` saves what can be read"):
            found = records(view, _seconds(start, 0.0), _seconds(end, float("inf")))
            if out is None:
                _write(sys.stdout.buffer, encode(found, fields, form))
            else:
                with out.open("wb") as file:
                    _write(file, encode(found, fields, form))
    finally:
        view.close()


@click.command()
@click.argument("damaged", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
def repair(damaged: Path, target: Path) -> None:
    """Write what can be read of the ledger DAMAGED to the new ledger TARGET.

    The new ledger begins a new epoch: counters start from zero when an exporter opens it.
    """
    with _damage(damaged, "restore a backup"):
        found = repairing.repair(damaged, target, SystemClock().now())
    click.echo(
        f"{target}: {found.events:,} events and {found.changes:,} changes came over; {found.lost_events:,} events of "
        "chunks that can be seen were lost"
    )


@contextmanager
def _damage(path: Path, remedy: str) -> Iterator[None]:
    """Numbers that lead nowhere, and texts that are none, are the file's fault."""
    try:
        yield
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise LedgerError(f"the ledger {path} is damaged: {error!r}; {remedy}") from error


def _write(file: BinaryIO, pieces: Iterable[bytes]) -> None:
    try:
        for piece in pieces:
            file.write(piece)
        file.flush()
    except BrokenPipeError:  # whoever reads has enough
        sys.stderr.close()


def _seconds(at: datetime | None, default: float) -> float:
    if at is None:
        return default
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
