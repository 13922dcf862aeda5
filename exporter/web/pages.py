"""What a person who opens the exporter's address sees, and what probes ask."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

from aiohttp import web

from exporter import __version__
from exporter.money import format_usd
from exporter.plan.calendar import period_bounds
from exporter.plan.model import SHARD, ExporterTarget, Migration
from exporter.web.services import Services, services

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--good:#3a9;--old:#d80}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid var(--line)}
td.n{text-align:right;font-variant-numeric:tabular-nums}
.bar{background:#8883;border-radius:.3rem;height:.8rem;overflow:hidden}
.bar i{display:block;height:100%;background:var(--good)}
nav a{margin-right:1.2rem}small{opacity:.7}
pre{white-space:pre-wrap;overflow-wrap:anywhere}
"""


async def landing(request: web.Request) -> web.Response:
    """`GET /`: the state of each migration at a glance, and where everything is."""
    service = services(request)
    parts = [_migration(service, migration) for migration in service.plan.migrations]
    metrics = request.app.router["metrics"].url_for().path
    links = {metrics: "Metrics", "/config": "Configuration", "/-/healthy": "Healthy", "/-/ready": "Ready"}
    # Relative, so that they lead to the same place behind a proxy that adds a prefix.
    nav = "".join(f'<a href="{path[1:]}">{title}</a>' for path, title in links.items())
    external = service.plan.urls.external or f"{request.scheme}://{request.headers.get('Host', 'localhost')}"
    html = (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>LLM migration exporter</title><style>{_STYLE}</style>"
        f"<h1>LLM migration exporter <small>{escape(__version__)}</small></h1>"
        f"<p>Counts, prices and publishes model calls for Prometheus. {_mode(service)}</p>"
        f"<nav>{nav}</nav>{''.join(parts)}"
        "<h2>Push an event</h2><pre>curl -H 'Content-Type: application/json' "
        f"{escape(external)}/api/v1/events -d "
        """'{"model":"gpt-4.1","input_tokens":1200,"output_tokens":300,"latency":2.1,"success":true}'</pre></html>"""
    )
    return web.Response(body=html.encode(errors="replace"), content_type="text/html", charset="utf-8")


def _mode(service: Services) -> str:
    """What this exporter is, and where the others are."""
    targets = service.plan.targets
    if service.mode == SHARD:
        where = _link(targets.control) if targets.control else "which the plan does not name"
        return f"Mode shard: this is its own part, and changes are made at the control, {where}."
    if targets.shards:
        return f"Mode control: this is its own part, others are at {', '.join(map(_link, targets.shards))}."
    return "Mode control."


def _link(exporter: ExporterTarget) -> str:
    return f'<a href="{escape(exporter.url)}">{escape(exporter.instance)}</a>'


def _migration(service: Services, migration: Migration) -> str:
    now = service.clock.now()
    live = {"source": 0, "target": 0}
    cost = 0
    for cell in service.totals.cells.values():
        if cell.key.migration == migration.name:
            cost += cell.values[2]
            if cell.key.role in live:
                live[cell.key.role] += cell.values[0]
    calls = sum(live.values())
    share = live["target"] / calls if calls else 0.0
    start, end = period_bounds("daily", now, service.plan.timezone)
    today = service.totals.spent(migration.name, start, end)
    alone = service.mode != SHARD and not service.plan.targets.shards
    limit = service.control.budget_limit(migration.name, "daily") if alone else None  # of all exporters together
    budget = f" of {format_usd(limit)} USD" if limit is not None else ""
    days = (migration.deadline - now) / 86400
    deadline = datetime.fromtimestamp(migration.deadline, UTC).strftime("%Y-%m-%d %H:%M UTC")
    rows = [
        ("Deadline", f"{deadline}, {abs(days):.1f} days {'left' if days >= 0 else 'ago'}"),
        ("Calls on target models, all time", f"{live['target']:,} of {calls:,} ({share:.1%})"),
        ("Cost today", f"{format_usd(today)}{budget or ' USD'}"),
        ("Cost, all time", f"{format_usd(cost)} USD"),
    ]
    if service.mode != SHARD:  # which has no phases
        rows.insert(0, ("Phase", escape(service.control.phase(migration))))
    table = "".join(f"<tr><td>{name}</td><td class=n>{value}</td></tr>" for name, value in rows)
    return (
        f"<h2>{escape(migration.name)}</h2><p>{escape(migration.description)}</p>"
        f'<div class=bar role=img aria-label="{share:.1%} of calls on target models">'
        f"<i style='width:{share:.1%}'></i></div><table>{table}</table>"
    )


async def healthy(request: web.Request) -> web.Response:
    """`GET /-/healthy`: 200 while events can be stored, else 503 with what is wrong."""
    service = services(request)
    wrong = service.health()
    if wrong is not None:
        return web.Response(status=503, text=f"{wrong}\n")
    return web.Response(text=f"The exporter is healthy, its mode is {service.mode}.\n")


async def ready(_: web.Request) -> web.Response:
    """`GET /-/ready`: nobody listens before the ledger is replayed, so an answer is a yes."""
    return web.Response(text="The exporter is ready.\n")
