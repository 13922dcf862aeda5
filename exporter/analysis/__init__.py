"""What the ledger's content means: percentiles, costs, trends."""
