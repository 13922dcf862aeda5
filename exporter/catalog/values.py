"""Label names that metrics share, the closed lists of label values, and bucket bounds."""

from __future__ import annotations

U = ("migration", "role", "model", "application", "category")
H = ("migration", "role", "model", "category")

ROLES = ("source", "target", "shadow", "other")
TOKEN_TYPES = ("input", "cached_input", "cache_write", "output", "reasoning")
ERROR_TYPES = (
    "timeout",
    "rate_limit",
    "server_error",
    "model_not_found",
    "content_filter",
    "invalid_request",
    "authentication",
    "other",
)
PAIR_QUANTITIES = ("latency", "cost", "output_tokens")
PAIR_OUTCOMES = ("complete", "source_only", "target_only", "duplicate")
EVENT_RESULTS = ("accepted", "duplicate", "rejected")
REJECT_REASONS = (
    "malformed",  # the body is not JSON, not UTF-8, not gzip
    "missing_field",
    "unknown_field",
    "wrong_type",
    "out_of_range",
    "inconsistent",  # fields that contradict each other
    "too_old",
    "in_future",
    "unknown_migration",
    "too_large",
    "too_slow",  # the body did not arrive in time
    "rate_limited",  # more than limits.ingest_per_second
    "queue_full",
    "unavailable",  # the ledger could not store it
)
DURATION_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 10, 15, 20, 30, 60, 120, 300)
QUALITY_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
PAIR_RATIO_BUCKETS = (0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 5, 10)
COMMIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)

JOB = "llm-migration-exporter"
