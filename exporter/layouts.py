"""Dashboard layouts: which question a dashboard answers, with which panels, in words that no drawing program owns.

A layout is a YAML file in `dashboards/layouts/`; a new panel is a few lines there. Units, colours, calculations and
threshold scales have names of our own, which whoever draws a layout translates.

Queries are PromQL with the variables `$job`, `$migration` and `$model` (regular expressions, so always behind `=~`),
`$__rate_interval` (a window that fits the resolution) and `$__range` (the whole time shown); `expand` fills them in.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
import yaml

from exporter.errors import ConfigError, Problem

COLUMNS = 24  # width of the grid
VARIABLES = ("job", "migration", "model")
MACROS = ("__rate_interval", "__range")

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]*$")]
Filled = Annotated[str, msgspec.Meta(min_length=1)]
Duration = Annotated[str, msgspec.Meta(pattern=r"^([0-9]+(ms|[smhdwy]))+$")]
PanelType = Literal["stat", "gauge", "timeseries", "bars", "piechart", "bargauge", "table", "text", "row"]
Unit = Literal["", "usd", "ratio", "seconds", "days", "requests_per_second", "tokens", "count", "score", "timestamp"]
Calculation = Literal["last", "mean", "min", "max", "sum"]
Colour = Literal["", "source", "target", "shadow", "plan", "good", "notice", "warning", "bad", "text"]

# Keys that only some types of panel read; elsewhere they are mistakes, not ornaments.
_ONLY_FOR: dict[str, tuple[str, ...]] = {
    "show": ("stat",),
    "sparkline": ("stat",),
    "replace": ("stat",),
    "calculation": ("stat", "gauge", "bargauge", "piechart"),
    "stack": ("timeseries", "bars"),
    "points": ("timeseries", "bars"),
    "legend": ("timeseries", "bars", "piechart"),
    "legend_values": ("timeseries", "bars"),
    "columns": ("table",),
    "sort": ("table",),
    "text": ("text",),
    "minimum": ("gauge", "bargauge", "timeseries", "bars", "stat"),
    "maximum": ("gauge", "bargauge", "timeseries", "bars", "stat"),
}
_WITHOUT_QUERIES = ("text", "row")


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One PromQL expression of a panel; `instant` asks for the present only, `interval` is the least step."""

    expr: Filled
    legend: str = ""
    instant: bool = False
    interval: Duration | Literal[""] = ""
    colour: Colour = ""
    style: Literal["line", "dashed", "area"] = "line"


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A colour from a value on; the first step of a scale has no `from` and reaches down without end."""

    colour: Colour
    at: float | None = msgspec.field(default=None, name="from")


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column of a table: the label that fills it (`value` is the number), its heading, and how it is shown."""

    field: Filled
    title: Filled
    unit: Unit = ""
    width: Annotated[int, msgspec.Meta(ge=20)] | None = None
    style: Literal["plain", "severity"] = "plain"


class Panel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One widget. Width counts columns of a grid of 24, height rows of some 38 pixels.

    `thresholds` names a scale: one of the layout's own `scales`, or one that the plan gives (see the drawing side).
    `empty` is the sentence that stands where data is missing.
    """

    id: Name
    type: PanelType
    width: Annotated[int, msgspec.Meta(ge=1, le=COLUMNS)]
    height: Annotated[int, msgspec.Meta(ge=1, le=60)]
    title: str = ""
    description: str = ""
    unit: Unit = ""
    decimals: Annotated[int, msgspec.Meta(ge=0, le=9)] | None = None
    minimum: float | None = None
    maximum: float | None = None
    empty: str = ""
    colour: Colour = ""
    thresholds: str = ""
    queries: tuple[Query, ...] = ()
    calculation: Calculation = "last"
    show: Literal["value", "name", "value_and_name"] = "value"
    sparkline: bool = False
    replace: Mapping[str, str] = {}
    stack: bool = False
    points: Annotated[int, msgspec.Meta(ge=10)] | None = None
    legend: Literal["none", "list", "table"] = "list"
    legend_values: tuple[Calculation, ...] = ()
    columns: tuple[Column, ...] = ()
    sort: str = ""
    text: str = ""


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys of a layout file beside its panels."""

    title: Filled
    question: Filled
    description: Filled
    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]*$", max_length=25)]
    refresh: Duration = "1m"
    range: Duration = "7d"  # the time that is shown, up to now
    timezone: Literal["plan", "browser"] = "plan"
    variables: tuple[Literal["job", "migration", "model"], ...] = ("job", "migration")
    scales: Mapping[str, tuple[Step, ...]] = {}


class Layout(msgspec.Struct, frozen=True):
    """A whole dashboard."""

    header: Header
    panels: tuple[Panel, ...]

    @property
    def name(self) -> str:
        """What the dashboard is called in addresses and file names."""
        return self.header.name

    @property
    def widgets(self) -> tuple[Panel, ...]:
        """The panels that show data."""
        return tuple(panel for panel in self.panels if panel.type not in _WITHOUT_QUERIES)

    def panel(self, name: str) -> Panel | None:
        """The panel with this id."""
        return next((panel for panel in self.panels if panel.id == name), None)


def directory() -> Path:
    """Where the shipped layouts are: inside an installed package, or in the clone around it."""
    package = Path(__file__).resolve().parent
    installed = package / "data" / "layouts"
    return installed if installed.is_dir() else package.parent / "dashboards" / "layouts"


def load_all(beside: Path | None = None) -> tuple[Layout, ...]:
    """The shipped layouts, and those of `beside`, which win where the file name is the same; ordered by name.

    Raises:
        ConfigError: some file cannot be used; it has the problems of all files.
    """
    folders = [directory(), *([beside] if beside is not None and beside.is_dir() else [])]
    files = {file.name: file for folder in folders for file in sorted(folder.glob("*.yaml"))}
    layouts: dict[str, Layout] = {}
    problems: list[Problem] = []
    for _, file in sorted(files.items()):
        try:
            layout = load(file)
        except ConfigError as error:
            problems.extend(error.problems)
            continue
        if layouts.setdefault(layout.name, layout) is not layout:
            problems.append(Problem(str(file), 0, 0, "name", f"{layout.name!r} is the name of another layout, too"))
    if problems:
        raise ConfigError(problems)
    return tuple(layout for _, layout in sorted(layouts.items()))


def load(file: Path) -> Layout:
    """One layout.

    Raises:
        ConfigError: with each problem's place and key.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(str(file), 0, 0, "", f"cannot be read: {error}")]) from None
    return parse(text, str(file))


def parse(text: str, file: str) -> Layout:
    """A layout from YAML; `file` is only named in problems.

    Raises:
        ConfigError: with each problem's place and key.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise ConfigError([Problem(file, line, column, "", f"is not YAML: {error.problem}")]) from None
    except yaml.YAMLError as error:
        raise ConfigError([Problem(file, 0, 0, "", f"is not YAML: {error}")]) from None
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError([Problem(file, 1, 1, "", "is not a layout", "write `name: …`, `title: …`, `panels: […]`")])
    source = _Source(file, root)
    document = source.plain()
    raw_panels = document.pop("panels", None)
    header = source.convert(document, Header, ())
    panels: list[Panel] = []
    if not isinstance(raw_panels, list) or not raw_panels:
        source.problem(("panels",), "is not a list of panels", "write at least one `- {id: …, type: …}`")
    else:
        for number, raw in enumerate(raw_panels):
            panel = source.convert(raw, Panel, ("panels", number))
            if panel is not None:
                source.check(panel, raw, number)
                panels.append(panel)
    source.check_ids(panels)
    if source.problems or header is None:
        raise ConfigError(source.problems)
    return Layout(header, tuple(panels))


def expand(expr: str, values: Mapping[str, str]) -> str:
    """An expression with `$name` and `${name}` replaced.

    Raises:
        KeyError: the expression uses a variable that has no value.
    """
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda match: values[match[1] or match[2]], expr)


_T = TypeVar("_T", bound=msgspec.Struct)
_Path = tuple[str | int, ...]
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`\Z")


class _Source:
    """A layout file while it is read: its nodes, which know their place, and the problems found."""

    def __init__(self, file: str, root: yaml.MappingNode) -> None:
        self.file = file
        self.root = root
        self.problems: list[Problem] = []

    def plain(self) -> dict[str, object]:
        """The document as plain objects; a key that stands twice is a problem."""
        self._refuse_duplicates(self.root)
        document = yaml.constructor.SafeConstructor().construct_document(self.root)
        return {str(key): value for key, value in document.items()}

    def convert(self, raw: object, kind: type[_T], at: _Path) -> _T | None:
        """`raw` as a typed object, or None and a problem."""
        try:
            return msgspec.convert(raw, kind)
        except msgspec.ValidationError as error:
            message, _, where = str(error).partition(" - at `")
            inner = tuple(int(number) if number else key for key, number in _STEP.findall(where))
            self._explain(message, (*at, *inner), kind)
            return None

    def check(self, panel: Panel, raw: object, number: int) -> None:
        """What a type of panel needs, and what it would ignore."""
        at: _Path = ("panels", number)
        given = raw if isinstance(raw, dict) else {}
        for key, types in _ONLY_FOR.items():
            if key in given and panel.type not in types:
                self.problem((*at, key), f"a {panel.type} does not read it", f"it belongs to {', '.join(types)}")
        wanted = {"row": ("title",), "text": ("text",)}.get(panel.type, ("title", "description", "empty", "queries"))
        for key in wanted:
            if not getattr(panel, key):
                self.problem((*at, key), f"a {panel.type} needs it")
        if panel.type in _WITHOUT_QUERIES and panel.queries:
            self.problem((*at, "queries"), f"a {panel.type} asks nothing", "remove it")
        if panel.type == "table" and not panel.columns:
            self.problem((*at, "columns"), "a table needs it")
        if panel.type == "row" and panel.width != COLUMNS:
            self.problem((*at, "width"), "a row is as wide as the grid", f"write {COLUMNS}")

    def check_ids(self, panels: list[Panel]) -> None:
        """Each id once."""
        seen: set[str] = set()
        for number, panel in enumerate(panels):
            if panel.id in seen:
                self.problem(("panels", number, "id"), f"{panel.id!r} is taken", "give each panel its own id")
            seen.add(panel.id)

    def problem(self, path: _Path, message: str, remedy: str = "") -> None:
        """Note a problem with the key at `path`."""
        mark = self._node(path).start_mark
        key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
        self.problems.append(Problem(self.file, mark.line + 1, mark.column + 1, key, message, remedy))

    def _explain(self, message: str, path: _Path, kind: type[msgspec.Struct]) -> None:
        unknown = _UNKNOWN.match(message)
        if unknown is None:
            self.problem(path, message[:1].lower() + message[1:])
            return
        inner: type[msgspec.Struct] = kind
        for part, struct in (("queries", Query), ("columns", Column), ("scales", Step)):
            inner = struct if part in path else inner
        known = list(inner.__struct_encode_fields__)
        near = difflib.get_close_matches(unknown[1], known, 1)
        remedy = f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(known)}"
        self.problem((*path, unknown[1]), "unknown key", remedy)

    def _refuse_duplicates(self, node: yaml.Node) -> None:
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if key.value in seen:
                    line, column = key.start_mark.line + 1, key.start_mark.column + 1
                    self.problems.append(Problem(self.file, line, column, str(key.value), "stands twice", "remove one"))
                seen.add(key.value)
                self._refuse_duplicates(value)
        elif isinstance(node, yaml.SequenceNode):
            for value in node.value:
                self._refuse_duplicates(value)

    def _node(self, path: _Path) -> yaml.Node:
        """The key's node at a path, or the nearest thing around it that exists."""
        node: yaml.Node = self.root
        place: yaml.Node = node
        for part in path:
            if isinstance(node, yaml.MappingNode):
                found = next(((key, value) for key, value in node.value if key.value == part), None)
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                found = (node.value[part], node.value[part])
            else:
                found = None
            if found is None:
                return place
            place, node = found
        return place
