"""From a plan to files: rules, dashboards, Alertmanager and scrape configuration."""
