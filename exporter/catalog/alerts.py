"""Every alert: its name, its signal, and the labels that identify one of its kind."""

from __future__ import annotations

from dataclasses import dataclass

# Labels that identify one alert; acknowledgements are matched on exactly these.
ALERT_LABELS = (
    "alertname",
    "migration",
    "signal",
    "quantity",
    "model",
    "category",
    "period",
    "phase",
    "application",
)
SIGNALS = (
    "cost",
    "latency",
    "errors",
    "tokens",
    "quality",
    "anomaly",
    "schedule",
    "gate",
    "security",
    "meta",
)
BUNDLE = "llm-migration"


@dataclass(frozen=True, slots=True)
class Alert:
    """One shipped alert: its name, its signal, and which of ALERT_LABELS its series have besides `alertname`."""

    name: str
    signal: str
    labels: tuple[str, ...]


ALERTS: tuple[Alert, ...] = (
    Alert("LLMBudgetThreshold", "cost", ("migration", "signal", "period")),
    Alert("LLMBudgetExceeded", "cost", ("migration", "signal", "period")),
    Alert("LLMBudgetBurnRate", "cost", ("migration", "signal", "period")),
    Alert("LLMBudgetProjectedOverrun", "cost", ("migration", "signal", "period")),
    Alert("LLMDailyCostHigh", "cost", ("migration", "signal")),
    Alert("LLMUnpricedUsage", "cost", ("signal", "model")),
    Alert("LLMAccountingDrift", "cost", ("migration", "signal")),
    Alert("LLMErrorRatioHigh", "errors", ("migration", "signal", "model")),
    Alert("LLMModelNeverSucceeds", "errors", ("migration", "signal", "model")),
    Alert("LLMModelRetired", "errors", ("migration", "signal", "model")),
    Alert("LLMLatencyHigh", "latency", ("migration", "signal", "model")),
    Alert("LLMQualityLow", "quality", ("migration", "signal", "model")),
    Alert("LLMTokenEfficiencyLow", "tokens", ("migration", "signal", "model")),
    Alert("LLMTargetErrorsWorse", "errors", ("migration", "signal", "quantity")),
    Alert("LLMTargetLatencyWorse", "latency", ("migration", "signal", "quantity")),
    Alert("LLMTargetCostWorse", "cost", ("migration", "signal", "quantity")),
    Alert("LLMTargetQualityWorse", "quality", ("migration", "signal", "quantity")),
    Alert("LLMDeadlineNear", "schedule", ("migration", "signal")),
    Alert("LLMDeadlineMissed", "schedule", ("migration", "signal")),
    Alert("LLMPhaseOverdue", "schedule", ("migration", "signal", "phase")),
    Alert("LLMMigrationAtRisk", "schedule", ("migration", "signal")),
    Alert("LLMMigrationStalled", "schedule", ("migration", "signal")),
    Alert("LLMTrafficReverted", "schedule", ("migration", "signal")),
    Alert("LLMSourceUsedAfterDeadline", "schedule", ("migration", "signal", "model")),
    Alert("LLMExporterDown", "meta", ("signal", "quantity")),
    Alert("LLMControlMissing", "meta", ("migration", "signal")),
    Alert("LLMControlDuplicate", "meta", ("migration", "signal")),
    Alert("LLMWatchdog", "meta", ("signal",)),
)
ALERTS_BY_NAME: dict[str, Alert] = {alert.name: alert for alert in ALERTS}
