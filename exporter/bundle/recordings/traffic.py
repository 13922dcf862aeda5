"""Calls and failures by model and by role."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.bundle.recordings.chain import Chain


def _traffic() -> Iterator[tuple[str, str]]:
    by_model = "migration_role_model"
    for window in ("5m", "1h"):
        yield (
            f"{by_model}:llm_requests:rate{window}",
            f"sum by (migration, role, model) (rate(llm_requests_total[{window}]))",
        )
        yield (
            # A model that never failed has no error series: its ratio is 0, not absent.
            f"{by_model}:llm_request_errors:rate{window}",
            f"""
            sum by (migration, role, model) (rate(llm_request_errors_total[{window}]))
            or
            0 * {by_model}:llm_requests:rate{window}
            """,
        )
        yield (
            f"{by_model}:llm_request_errors:ratio_rate{window}",
            f"""
            {by_model}:llm_request_errors:rate{window}
            / on (migration, role, model)
            ({by_model}:llm_requests:rate{window} > 0)
            """,
        )
        if window == "5m":  # over an hour it is recorded with the share, in the schedule's chain
            yield (
                "migration_role:llm_requests:rate5m",
                f"sum by (migration, role) ({by_model}:llm_requests:rate5m)",
            )
        yield (
            f"migration_role:llm_request_errors:rate{window}",
            f"sum by (migration, role) ({by_model}:llm_request_errors:rate{window})",
        )
        yield (
            f"migration_role:llm_request_errors:ratio_rate{window}",
            f"""
            migration_role:llm_request_errors:rate{window}
            / on (migration, role)
            (sum by (migration, role) ({by_model}:llm_requests:rate{window}) > 0)
            """,
        )


def _succeeded() -> Iterator[tuple[str, str]]:
    # Exact, unlike a difference of two rates, which are extrapolated each by itself: one success of a thousand counts.
    labels = "migration, role, model"
    yield (
        "migration_role_model:llm_requests_succeeded:sum",
        f"""
        sum by ({labels}) (last_over_time(llm_requests_total[5m]))
        - on ({labels})
        (
          sum by ({labels}) (last_over_time(llm_request_errors_total[5m]))
          or
          0 * sum by ({labels}) (last_over_time(llm_requests_total[5m]))
        )
        """,
    )


CHAIN: Chain = (*_traffic(), *_succeeded())
