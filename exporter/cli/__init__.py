"""The command line: `llm-migration-exporter COMMAND`."""

from __future__ import annotations

import platform
import sys

import click

from exporter import __version__
from exporter.cli.backtest import backtest
from exporter.cli.check import check
from exporter.cli.demo import demo
from exporter.cli.generate import generate
from exporter.cli.init import init
from exporter.cli.ledger import backup, export, repair, restore
from exporter.cli.prices import prices
from exporter.cli.reference import reference
from exporter.cli.replay import replay
from exporter.cli.serve import serve
from exporter.errors import ConfigError, ExporterError, GenerationDrift, LedgerError, UserError
from exporter.ledger.store import SQLITE_VERSION

ENVIRONMENT_PREFIX = "LLM_MIGRATION"


def _version_message() -> str:
    """What `--version` prints, in the form that other exporters have."""
    return (
        "%(prog)s, version %(version)s\n"
        f"  python:    {platform.python_version()}\n"
        f"  sqlite:    {SQLITE_VERSION}\n"
        f"  platform:  {platform.system().lower()}/{platform.machine()}"
    )


@click.group(context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": ENVIRONMENT_PREFIX})
@click.version_option(__version__, prog_name="llm-migration-exporter", message=_version_message())
def cli() -> None:
    """Watch the migration of applications from one large language model to another."""


@cli.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)


for command in (
    serve,
    check,
    generate,
    init,
    prices,
    replay,
    backtest,
    demo,
    backup,
    restore,
    export,
    repair,
    reference,
):
    cli.add_command(command)


def main() -> None:
    """Run the command line; expected failures end in one message and an exit code, never in a traceback."""
    try:
        code = cli(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except GenerationDrift as error:
        click.echo(error.diff, nl=False)
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except ConfigError as error:
        click.echo(str(error), err=True)
        count = len(error.problems)
        click.echo(f"error: {count} problem{'s' if count != 1 else ''} in the configuration", err=True)
        sys.exit(error.exit_code)
    except UserError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:  # a file or folder that cannot be read or written, wherever it was named
        where = f"{error.filename}: " if error.filename is not None else ""
        click.echo(f"error: {where}{error.strerror or error}", err=True)
        sys.exit(1)
    except ExporterError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2 if isinstance(error, LedgerError) else 1)  # as for any --storage.path that cannot be used
    sys.exit(code if isinstance(code, int) else 0)
