"""Durable storage: SQLite, one writer thread, acknowledged only after commit."""
