"""Money by model and by role, and what is or would be saved."""

from __future__ import annotations

from exporter.bundle.recordings.chain import Chain

CHAIN: Chain = (
    (
        "migration_role_model:llm_cost_usd:rate1h",
        "sum by (migration, role, model) (rate(llm_cost_usd_total[1h]))",
    ),
    (
        "migration_role:llm_cost_usd:rate1h",
        "sum by (migration, role) (migration_role_model:llm_cost_usd:rate1h)",
    ),
    (
        "migration_role:llm_counterfactual_cost_usd:rate1h",
        "sum by (migration, role) (rate(llm_counterfactual_cost_usd_total[1h]))",
    ),
    (
        "migration:llm_savings_usd:rate1h",
        """
        sum by (migration) (migration_role:llm_counterfactual_cost_usd:rate1h{role="target"})
        - on (migration)
        sum by (migration) (migration_role:llm_cost_usd:rate1h{role="target"})
        """,
    ),
    (
        "migration:llm_savings_promised_usd:rate1h",
        """
        sum by (migration) (migration_role:llm_cost_usd:rate1h{role="source"})
        - on (migration)
        sum by (migration) (migration_role:llm_counterfactual_cost_usd:rate1h{role="source"})
        """,
    ),
    (
        "migration:llm_shadow_cost_usd:rate1h",
        'sum by (migration) (migration_role:llm_cost_usd:rate1h{role="shadow"})',
    ),
    (
        "migration_role_model:llm_cost_usd_per_request:ratio_rate1h",
        """
        migration_role_model:llm_cost_usd:rate1h
        / on (migration, role, model)
        (sum by (migration, role, model) (rate(llm_requests_total[1h])) > 0)
        """,
    ),
    (
        # Reasoning included, as in the baseline.
        "migration_role_model:llm_output_tokens_per_usd:ratio_rate1h",
        """
        sum by (migration, role, model) (rate(llm_tokens_total{type=~"output|reasoning"}[1h]))
        / on (migration, role, model)
        (migration_role_model:llm_cost_usd:rate1h > 0)
        """,
    ),
    (
        "migration_role:llm_tokens:rate5m",
        "sum by (migration, role) (rate(llm_tokens_total[5m]))",
    ),
)
