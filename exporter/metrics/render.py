"""Text for Prometheus: format 0.0.4 and OpenMetrics 1.0.

The text of a label set is built once and kept; a page is then names, kept texts and formatted values. The result parses
to the same samples as prometheus_client's own encoders, which the tests hold it against.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from exporter.catalog import Metric
from exporter.metrics.families import Family, Labels

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})


def negotiate(accept: str) -> str:
    """The content type for an Accept header: OpenMetrics when it is asked for at least as much as plain text."""
    weights = {"application/openmetrics-text": 0.0, "text/plain": 0.0, "*/*": 0.0}
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        if kind in weights:
            weights[kind] = max(weights[kind], _quality(parameters))
    openmetrics = weights["application/openmetrics-text"]
    return OPENMETRICS if openmetrics > 0 and openmetrics >= weights["text/plain"] else TEXT


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header takes gzip."""
    for part in accept_encoding.lower().split(","):
        coding, *parameters = (piece.strip() for piece in part.split(";"))
        if coding == "gzip":
            return _quality(parameters) > 0
    return False


def _quality(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


class Renderer:
    """Families to text, with the texts of label sets kept between pages."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str, ...], dict[Labels, str]] = {}

    def render(self, families: Iterable[Family], *, openmetrics: bool) -> Iterator[str]:
        """One page, a family at a time, without OpenMetrics' closing `# EOF`; to be driven to its end."""
        largest: dict[tuple[str, ...], int] = {}
        for family in families:
            if len(family):
                lines = [_header(family.metric, openmetrics=openmetrics)]
                self._samples(family, lines, openmetrics=openmetrics)
                labels = family.metric.labels
                largest[labels] = max(largest.get(labels, 0), len(family))
                lines.append("")
                yield "\n".join(lines)
        for labels, texts in self._texts.items():
            if len(texts) > 2 * largest.get(labels, 0) + 1000:  # label sets that left the page must not stay for ever
                texts.clear()

    def _samples(self, family: Family, lines: list[str], *, openmetrics: bool) -> None:
        metric = family.metric
        texts = self._texts.setdefault(metric.labels, {})
        if metric.type == "histogram":
            self._histograms(family, texts, lines, exemplars=openmetrics)
            return
        name = metric.name
        for labels, value in family.rows:
            text = texts.get(labels)
            if text is None:
                text = texts[labels] = _text(metric.labels, labels)
            lines.append(f"{name}{text} {value!r}")

    @staticmethod
    def _histograms(family: Family, texts: dict[Labels, str], lines: list[str], *, exemplars: bool) -> None:
        name = family.metric.name
        bounds = [repr(float(bound)) for bound in family.metric.buckets] + ["+Inf"]
        for labels, histogram in family.histograms:
            text = texts.get(labels)
            if text is None:
                text = texts[labels] = _text(family.metric.labels, labels)
            opening = f"{name}_bucket{text[:-1]}," if text else f"{name}_bucket{{"
            running = 0
            first = len(lines)
            for bound, count in zip(bounds, histogram.counts, strict=True):
                running += count
                lines.append(f'{opening}le="{bound}"}} {running}')
            if exemplars and labels in family.exemplars:
                for bucket, (trace, value, at_us) in family.exemplars[labels].items():
                    lines[first + bucket] += f' # {{trace_id="{trace}"}} {value / family.scale!r} {at_us / 1_000_000!r}'
            lines.append(f"{name}_count{text} {running}")
            lines.append(f"{name}_sum{text} {histogram.total / family.scale!r}")


def _text(names: tuple[str, ...], values: Labels) -> str:
    if not names:
        return ""
    pairs = (f'{name}="{value.translate(_ESCAPES)}"' for name, value in zip(names, values, strict=True))
    return "{" + ",".join(pairs) + "}"


def _header(metric: Metric, *, openmetrics: bool) -> str:
    name = metric.family if openmetrics else metric.name
    lines = [f"# TYPE {name} {metric.type}"]
    help_text = metric.help.translate(_ESCAPES if openmetrics else _HELP_ESCAPES)
    if openmetrics and metric.unit:
        lines.append(f"# UNIT {name} {metric.unit}")
    lines.append(f"# HELP {name} {help_text}")
    return "\n".join(lines)
