"""The demo's `migration.yaml`: the shipped one, with its dates moved so that today lies in its rollout."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from exporter.errors import UserError
from exporter.plan.model import SEVERITIES

PHASE = "gradual_rollout"
TODAY_IN_THE_SHIPPED_PLAN = date(2025, 5, 10)  # 62 % of the calls should be on the new models then
BUSY_HOUR = 17  # local time at which the demo begins, so that the day has cost something already
SCRAPE_SECONDS = 1
HOLD_SECONDS = 3  # longer than two scrapes, as in earnest
CHANNEL = "on-call"

# Patience that is right for production is wrong for a demo of minutes.
FOR: dict[str, str] = {
    "LLMErrorRatioHigh": "4s",
    "LLMLatencyHigh": "6s",
    "LLMDeadlineNear": "5s",
    "LLMDeadlineMissed": "5s",
}

# In a wheel the shipped file lies among the package's data, in a source tree at the top.
_PLACES = (
    Path(__file__).parent.parent / "data" / "migration.yaml",
    Path(__file__).parent.parent.parent / "migration.yaml",
)
_HEADER = """\
# The plan of the demo: the shipped migration.yaml, with its dates moved by {days} days, a time zone in which the
# working day is nearly over, short intervals, and one channel that leads to the demo itself.
"""


def shipped() -> dict[str, Any]:
    """The shipped `migration.yaml`, as it is written.

    Raises:
        UserError: it is not where the package has it.
    """
    for place in _PLACES:
        if place.is_file():
            document: dict[str, Any] = yaml.safe_load(place.read_text(encoding="utf-8"))
            return document
    raise UserError(f"the shipped migration.yaml is missing; looked for {' and '.join(map(str, _PLACES))}")


def zone_name(now: float) -> str:
    """A time zone of whole hours in which it is late afternoon now."""
    ahead = BUSY_HOUR - datetime.fromtimestamp(now, UTC).hour  # from -6 to +17
    if ahead > 12:
        ahead -= 24
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"  # these names count westwards


def demo_plan(now: float, webhook: str, urls: dict[str, str]) -> str:
    """The text of the demo's plan.

    Args:
        now: Unix seconds.
        webhook: where notifications go.
        urls: `prometheus`, `alertmanager`, as far as they run.
    """
    days = (datetime.fromtimestamp(now, UTC).date() - TODAY_IN_THE_SHIPPED_PLAN).days
    plan = _moved(shipped(), timedelta(days=days))
    plan["timezone"] = zone_name(now)
    plan["limits"] = {**(plan.get("limits") or {}), "hold": f"{HOLD_SECONDS}s"}
    plan["targets"] = {**(plan.get("targets") or {}), "scrape_interval": f"{SCRAPE_SECONDS}s"}
    plan["alerts"] = {**(plan.get("alerts") or {}), **{name: {"for": patience} for name, patience in FOR.items()}}
    plan["channels"] = {CHANNEL: {"type": "webhook", "url": webhook}}
    plan["routing"] = {severity: [CHANNEL] for severity in SEVERITIES}
    plan["escalation"] = {**(plan.get("escalation") or {}), "to": [CHANNEL]}
    plan["urls"] = {**(plan.get("urls") or {}), **urls}
    return _HEADER.format(days=days) + yaml.safe_dump(plan, sort_keys=False, allow_unicode=True, width=110)


def _moved(node: Any, by: timedelta) -> Any:
    """A copy in which every date and time is later."""
    if isinstance(node, dict):
        return {key: _moved(value, by) for key, value in node.items()}
    if isinstance(node, list):
        return [_moved(item, by) for item in node]
    return node + by if isinstance(node, date) else node
