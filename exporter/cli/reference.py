"""`reference`: the Markdown of exporter/REFERENCE.md, made from what it describes."""

from __future__ import annotations

import click

from exporter import catalog
from exporter.plan import reference as configuration
from exporter.web import webconfig
from exporter.web.app import API, ON_SHARDS

_WEB = """\
The file of `--web.config.file`, in the format of Prometheus's exporter-toolkit. Paths are relative to its
folder. A certificate, key or client authority that changes is taken over by the next connection; everything
else by a reload (SIGHUP, or `/-/reload` with `--web.enable-lifecycle`), except that encryption is added or
removed by a restart. A reload that fails changes nothing. As with other exporters, `basic_auth_users` guards
every path, `/metrics`, `/-/healthy` and `/-/ready` included, and its users may do everything; a bearer token
of `migration.yaml` passes in place of a password, for what its role allows. Refused, where other exporters
take it: certificates and keys written into the file, client certificates that are not verified, TLS before
1.2, more than one curve.
"""


def document(cli: click.Group) -> str:
    """Every configuration key, flag, event reason, path and metric."""
    parts = [
        "# Reference\n",
        "Made by `llm-migration-exporter reference`; a test holds this file against the program.\n",
        "## migration.yaml\n",
        configuration.table(),
        "## Web configuration\n",
        _WEB,
        configuration.table(webconfig.FileSpec),
        "## Command line\n",
        "Each option is also read from the environment where a variable is named.\n",
        _commands(cli),
        "## HTTP\n",
        _paths(),
        "## Reasons of rejected events\n",
        ", ".join(f"`{reason}`" for reason in catalog.REJECT_REASONS) + "\n",
        "## Metrics\n",
        _metrics(),
    ]
    return "\n".join(parts)


@click.command(hidden=True)
@click.pass_context
def reference(context: click.Context) -> None:
    """Print the reference."""
    root = context.find_root().command
    if isinstance(root, click.Group):
        click.echo(document(root), nl=False)


def _commands(cli: click.Group) -> str:
    lines = ["| Command | Option | Environment | Default | Meaning |", "|---|---|---|---|---|"]
    for name, command in _walk(cli):
        lines.append(f"| `{name}` | | | | {command.get_short_help_str(200)} |")
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                flag = option.secondary_opts[0] if option.secondary_opts else option.opts[0]
                variable = f"`{option.envvar}`" if isinstance(option.envvar, str) else ""
                default = _default(option)
                lines.append(
                    f"| | `{flag}` | {variable} | {default} | {(option.help or '').replace('|', chr(92) + '|')} |"
                )
    return "\n".join(lines) + "\n"


def _walk(group: click.Group, prefix: str = "") -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    for name, command in sorted(group.commands.items()):
        if command.hidden:
            continue
        if isinstance(command, click.Group):
            found += _walk(command, f"{prefix}{name} ")
        else:
            found.append((f"{prefix}{name}", command))
    return found


def _default(option: click.Option) -> str:
    if option.is_flag or not option.show_default or option.default is None:
        return ""
    value = option.default
    shown = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return f"`{shown}`"


def _paths() -> str:
    lines = ["| Method | Path | Role | On a shard |", "|---|---|---|---|"]
    lines += [
        f"| {method} | `{path}` | {role} | {'yes' if handler in ON_SHARDS else '409'} |"
        for method, path, role, handler in API
    ]
    lines += [f"| GET | `{path}` | none | yes |" for path in ("/metrics", "/", "/-/healthy", "/-/ready")]
    return "\n".join(lines) + "\n"


def _metrics() -> str:
    lines = ["| Metric | Type | Labels | Meaning |", "|---|---|---|---|"]
    for metric in catalog.METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.type} | {labels} | {metric.help} |")
    return "\n".join(lines) + "\n"
