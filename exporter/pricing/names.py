"""How one model is named in many ways: dates behind its name, the provider before it.

Nothing here matches by prefix: `gpt-4o-audio-preview` begins like `gpt-4o` and costs something else.
"""

from __future__ import annotations

import re

#: Who sells what: the part before the slash in `openai/gpt-4.1`, as SDKs and gateways write it. Resellers with price
#: lists of their own (Azure, Bedrock, Vertex) are not here on purpose.
PREFIXES = {
    "openai": "openai",
    "anthropic": "anthropic",
    "google": "google",
    "gemini": "google",
    "models": "google",
    "mistral": "mistral",
    "mistralai": "mistral",
    "x-ai": "x-ai",
    "xai": "x-ai",
    "deepseek": "deepseek",
    "cohere": "cohere",
}

#: Ends of snapshot names, as the price book writes them; an example that can be no real snapshot, to try them with.
FORMS = {
    "-YYYY-MM-DD": "-2099-12-28",
    "-YYYYMMDD": "-20991228",
    "@YYYYMMDD": "@20991228",
    "-MM-YYYY": "-12-2099",
    "-MM-DD": "-12-28",
    "-YYMM": "-9912",
    "-NNN": "-099",
}

_YEAR, _MONTH, _DAY = r"20\d\d", r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
_ENDS = tuple(
    (form, re.compile(pattern + r"\Z"))
    for form, pattern in (
        ("-YYYY-MM-DD", f"-{_YEAR}-{_MONTH}-{_DAY}"),
        ("-YYYYMMDD", f"-{_YEAR}{_MONTH}{_DAY}"),
        ("@YYYYMMDD", f"@{_YEAR}{_MONTH}{_DAY}"),
        ("-MM-YYYY", f"-{_MONTH}-{_YEAR}"),
        ("-MM-DD", f"-{_MONTH}-{_DAY}"),
        ("-YYMM", rf"-\d\d{_MONTH}"),
        ("-NNN", r"-\d{3}"),
    )
)
_FULL_DATES = frozenset({"-YYYY-MM-DD", "-YYYYMMDD", "@YYYYMMDD"})
_COMPACT = re.compile(rf"-({_YEAR})({_MONTH})({_DAY})\Z")


def split_snapshot(name: str) -> tuple[str, str] | None:
    """A name and the form of its end: `gpt-4o-2024-08-06` gives (`gpt-4o`, `-YYYY-MM-DD`); None without one."""
    for form, end in _ENDS:
        match = end.search(name)
        if match:
            return (name[: match.start()], form) if match.start() else None
    return None


def strip_date(name: str) -> str | None:
    """The name without a full date at its end, or None when it has none."""
    split = split_snapshot(name)
    return split[0] if split and split[1] in _FULL_DATES else None


def dashed_date(name: str) -> str | None:
    """`gpt-5.2-20251211`, as gateways write it, in the provider's way: `gpt-5.2-2025-12-11`."""
    match = _COMPACT.search(name)
    return f"{name[: match.start()]}-{match[1]}-{match[2]}-{match[3]}" if match else None


def split_provider(name: str) -> tuple[str, str] | None:
    """The provider and the bare name of `openai/gpt-4.1`; None without a known provider before the slash."""
    prefix, slash, rest = name.partition("/")
    provider = PREFIXES.get(prefix)
    return (provider, rest) if slash and provider else None


def tuned_base(name: str) -> str | None:
    """Of a fine-tuned model's own name, `ft:gpt-4o-2024-08-06:acme::9Xy`, the part that has a price: `ft:gpt-4o-…`."""
    parts = name.split(":")
    return ":".join(parts[:2]) if len(parts) > 2 and parts[0] == "ft" else None
