"""`python -m exporter` is the command line."""

from __future__ import annotations

from exporter.cli import main

if __name__ == "__main__":
    main()
