"""What a call costs: a dated price book, and the arithmetic on it."""
