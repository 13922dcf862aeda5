"""From a request body to acknowledged events."""
