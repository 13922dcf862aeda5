"""What the ledger holds, as records and files that other programs read."""
