"""From totals, control and plan to the text that Prometheus scrapes."""
