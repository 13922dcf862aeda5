"""The reference of a file such as `migration.yaml`, made from its shape: every key with type, default and meaning."""

from __future__ import annotations

from exporter.plan.schema import Record, rows
from exporter.plan.spec import FileSpec


def table(record: type[Record] = FileSpec) -> str:
    """A Markdown table of every key path of a file, in its order.

    `[]` stands for each item of a list, `<name>` for a name of the user's own; `(slack)` marks a channel type's key.
    """
    lines = ["| Key | Type | Default | Meaning |", "|---|---|---|---|"]
    for row in rows(record):
        path, _, only = row.path.partition(" ")
        cells = (f"`{path}`" + (f" {only}" if only else ""), row.type, row.default, row.meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
