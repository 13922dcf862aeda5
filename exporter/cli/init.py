"""`init`: a first `migration.yaml`."""

from __future__ import annotations

from pathlib import Path

import click

from exporter.errors import UserError

# In a wheel the shipped file lies among the package's data, in a source tree at the top.
_PLACES = (
    Path(__file__).parent.parent / "data" / "migration.yaml",
    Path(__file__).parent.parent.parent / "migration.yaml",
)


@click.command()
@click.argument("path", type=click.Path(path_type=Path), default="migration.yaml")
def init(path: Path) -> None:
    """Write the shipped migration.yaml to PATH, to be edited."""
    shipped = next(place for place in _PLACES if place.exists())
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(shipped.read_text(encoding="utf-8"))
    except FileExistsError:
        raise UserError(f"{path} exists; it is left as it is") from None
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    click.echo(f"{path} written; edit it, then: llm-migration-exporter check {path}")
