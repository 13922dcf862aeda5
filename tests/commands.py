"""Commands run in this process, where a failure of ours is a failure of the test."""

from __future__ import annotations

import contextlib
import io
import sys

import pytest

from exporter import cli


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `llm-migration-exporter` with these arguments."""
    out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    before, sys.argv = sys.argv, ["llm-migration-exporter", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
            cli.main()
    finally:
        sys.argv = before
    assert isinstance(ended.value.code, int)
    out.seek(0)
    return ended.value.code, out.read(), err.getvalue()
