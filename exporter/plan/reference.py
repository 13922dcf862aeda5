"""The reference of `migration.yaml`, made from its shape: every key with type, default and meaning."""

from __future__ import annotations

from exporter.plan.schema import rows
from exporter.plan.spec import FileSpec


def table() -> str:
    """A Markdown table of every key path, in the order of the file.

    `[]` stands for each item of a list, `<name>` for a name of the user's own; `(slack)` marks a channel type's key.
    """
    lines = ["| Key | Type | Default | Meaning |", "|---|---|---|---|"]
    for row in rows(FileSpec):
        path, _, only = row.path.partition(" ")
        cells = (f"`{path}`" + (f" {only}" if only else ""), row.type, row.default, row.meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
