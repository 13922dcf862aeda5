"""Durations by model and by role."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.bundle.recordings.chain import Chain


def _latency() -> Iterator[tuple[str, str]]:
    name = "llm_request_duration_seconds"
    for window in ("5m", "1h"):
        buckets = f"migration_role_model_le:{name}_bucket:rate{window}"
        count = f"migration_role_model:{name}_count:rate{window}"
        yield buckets, f"sum by (migration, role, model, le) (rate({name}_bucket[{window}]))"
        yield count, f"sum by (migration, role, model) (rate({name}_count[{window}]))"
        yield (
            f"migration_role_model:{name}:mean_{window}",
            f"""
            sum by (migration, role, model) (rate({name}_sum[{window}]))
            / on (migration, role, model)
            ({count} > 0)
            """,
        )
        yield (
            f"migration_role_model:{name}:p95_{window}",
            f"""
            histogram_quantile(0.95, {buckets})
            and on (migration, role, model)
            ({count} > 0)
            """,
        )
    buckets, count = f"migration_role_model_le:{name}_bucket:rate5m", f"migration_role_model:{name}_count:rate5m"
    yield (
        f"migration_role:{name}:mean_5m",
        f"""
        sum by (migration, role) (rate({name}_sum[5m]))
        / on (migration, role)
        (sum by (migration, role) ({count}) > 0)
        """,
    )
    for percent, quantile in (("p50", "0.5"), ("p95", "0.95")):
        yield (
            f"migration_role:{name}:{percent}_5m",
            f"""
            histogram_quantile({quantile}, sum by (migration, role, le) ({buckets}))
            and on (migration, role)
            (sum by (migration, role) ({count}) > 0)
            """,
        )


CHAIN: Chain = tuple(_latency())
