"""The shape of one entry of `migrations` in `migration.yaml`."""

from __future__ import annotations

from decimal import Decimal

from exporter.plan.reading import ListOf, MapOf, One
from exporter.plan.schema import Nested, Record, key, optional, required
from exporter.plan.values import Boolean, Choice, Day, Duration, Moment, Number, Text, integer

VERDICTS = ("errors", "latency", "cost", "quality")
SLUG = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
TEXT = One(Text())
MIGRATION_NAME = Text("migration name", SLUG, "write small letters, digits and hyphens, such as gpt4-migration", 63)
PHASE_NAME = Text("phase name", "[a-z0-9_-]+", "write small letters, digits and underscores, such as testing", 63)
MODEL = Text("model name", r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*", "write it as the provider does, such as gpt-4.1", 128)
CATEGORY = Text("category name", r"[A-Za-z0-9_.-]+", "write letters, digits and underscores, such as analysis", 64)
_PERCENT = "write a share from 0 to 1: 0.8 for 80 %"
RATIO = Number(float, "ratio 0..1", Decimal(0), Decimal(1), hint=_PERCENT)
POSITIVE_RATIO = Number(float, "ratio above 0, up to 1", Decimal(0), Decimal(1), above_least=True, hint=_PERCENT)
MONEY = Number(
    Decimal,
    "amount in USD",
    Decimal(0),
    Decimal(10**9),
    above_least=True,
    decimals=9,
    hint="write a positive amount of US dollars; leave the key out for no limit",
)
AMOUNT = Number(float, "number above 0", above_least=True)
COUNT = integer("whole number above 0", 1)
DAYS = integer("days", 0, 3650)
LIMIT = Duration(least=1.0, rule="write 1s to 100y")


class ScopeSpec(Record):
    """Which traffic a migration covers."""

    TITLE = "scope"
    applications = key(ListOf(One(Text("application name", max_length=128))), "Only these; all if empty.", default="[]")
    categories = key(ListOf(One(CATEGORY)), "Only these of the declared categories; all if empty.", default="[]")
    endpoints = key(ListOf(One(Text("endpoint", max_length=256))), "Only these; all if empty.", default="[]")


class SharePointSpec(Record):
    """A point of the planned curve."""

    TITLE = "share point"
    date = required(One(Day()), "The day at whose start the share should be reached.")
    share = required(One(RATIO), "Share of live requests on target models.")


class GateSpec(Record):
    """What must hold before a phase may be left."""

    TITLE = "gate"
    compare = key(
        One(Choice(("live", "shadow"))), "On which calls of the target models the verdicts stand.", default="live"
    )
    min_requests = optional(One(COUNT), "So many compared calls of the target models are needed.", absent="not asked")
    max_error_ratio = optional(
        One(RATIO), "The target models' share of failed calls may not be above.", absent="not asked"
    )
    min_share = optional(
        One(POSITIVE_RATIO), "Share of live requests on target models that is needed.", absent="not asked"
    )
    verdicts = key(
        ListOf(One(Choice(VERDICTS))), "In these the target must be shown to be no worse than the source.", default="[]"
    )
    soak = key(One(LIMIT), "For so long all conditions must hold without a break.", default="1h")
    tasks_done = key(One(Boolean()), "All tasks of the phase must be ticked.", default="false")
    no_critical_alerts = key(One(Boolean()), "No critical alert of the migration may be firing.", default="false")


class PhaseSpec(Record):
    """One step of a migration."""

    TITLE = "phase"
    name = required(One(PHASE_NAME), "How the phase is called in metrics and in the API.")
    planned_end = required(One(Day()), "Its last planned day; the phase should be over when that day ends.")
    tasks = key(ListOf(TEXT), "What is to be done in it; ticked through the API.", default="[]")
    share_plan = key(
        ListOf(Nested(SharePointSpec)), "Points of the planned share; straight lines join them.", default="[]"
    )
    gate = optional(Nested(GateSpec), "What must hold before the phase may be left.", absent="no gate")


class BudgetsSpec(Record):
    """Spending limits of a migration."""

    TITLE = "budgets"
    daily = optional(One(MONEY), "Limit of a calendar day.", absent="no limit")
    weekly = optional(One(MONEY), "Limit of a calendar week, Monday to Sunday.", absent="no limit")
    monthly = optional(One(MONEY), "Limit of a calendar month.", absent="no limit")
    alert_threshold = key(One(POSITIVE_RATIO), "People are told from this used share of a budget on.", default="0.8")


class RatioPair(Record):
    """Two values of one threshold, both shares."""

    TITLE = "thresholds"
    warning = optional(One(RATIO), "From here on a warning.")
    critical = optional(One(RATIO), "From here on critical.")


class AmountPair(Record):
    """Two values of one threshold, both amounts."""

    TITLE = "thresholds"
    warning = optional(One(AMOUNT), "From here on a warning.")
    critical = optional(One(AMOUNT), "From here on critical.")


class LatencyPair(AmountPair):
    """Two values of the latency threshold, and which statistic they are about."""

    statistic = key(One(Choice(("mean", "p95"))), "Which statistic of the latency is compared.", default="mean")


class ThresholdsSpec(Record):
    """What is too much, or too little; an entry replaces its default as a whole, `{}` switches it off."""

    TITLE = "thresholds"
    error_ratio = key(
        Nested(RatioPair), "Share of failed calls that is too high.", default="{warning: 0.05, critical: 0.1}"
    )
    latency_seconds = key(
        Nested(LatencyPair), "Duration of calls that is too long.", default="{warning: 5, critical: 10}"
    )
    daily_cost_usd = key(Nested(AmountPair), "Cost of a calendar day that is too high.", default="{}")
    quality_score = key(Nested(RatioPair), "Mean evaluation score that is too low.", default="{warning: 0.8}")
    token_efficiency = key(
        Nested(AmountPair), "Output tokens per dollar, relative to the baseline, too low.", default="{warning: 0.8}"
    )


class DeadlineWarningsSpec(Record):
    """How many days before the deadline people are told, more urgently each time."""

    TITLE = "days before the deadline"
    info = optional(One(DAYS), "So many days before, as information.")
    warning = optional(One(DAYS), "So many days before, as a warning.")
    emergency = optional(One(DAYS), "So many days before, as an emergency.")


class MigrationSpec(Record):
    """One move of traffic from source models to their successors."""

    TITLE = "migration"
    name = required(One(MIGRATION_NAME), "How it is called in metrics and in the path of the API.")
    description = key(One(Text(allow_empty=True)), "One sentence for people.", default="''")
    models = required(MapOf(MODEL, One(MODEL), least=1), "Source models, each with its successor, the target model.")
    default_predecessor = key(
        MapOf(MODEL, One(MODEL)),
        "Of a target with several sources: the one at whose price and performance its calls are compared.",
        default="{}",
    )
    scope = key(Nested(ScopeSpec), "Which traffic it covers.", default="{}")
    deadline = required(One(Moment()), "When it must be over; a date means the end of that day.")
    goal_share = key(One(POSITIVE_RATIO), 'Share of live requests on target models that means "done".', default="1.0")
    start = required(One(Moment()), "When it begins; a date means the start of that day.")
    phases = required(ListOf(Nested(PhaseSpec), least=1), "Its steps, in order.")
    auto_advance = key(One(Boolean()), "Whether an open gate advances the phase by itself.", default="false")
    budgets = key(Nested(BudgetsSpec), "Spending limits by calendar period.", default="{}")
    thresholds = key(
        Nested(ThresholdsSpec),
        "What is too much, or too little; an entry replaces its default as a whole, `{}` switches it off.",
        default="{}",
    )
    deadline_warnings_days = key(
        Nested(DeadlineWarningsSpec),
        "When people are told of the deadline; written, it replaces the default as a whole.",
        default="{info: 90, warning: 30, emergency: 7}",
    )
