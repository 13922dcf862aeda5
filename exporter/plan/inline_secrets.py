"""Finds keys and passwords written into `migration.yaml` itself; the file is committed and shown, secrets are not.

A value that was found is never repeated in a message, and nothing else is said about it: the reader skips it.
"""

from __future__ import annotations

import math
import re
from collections import Counter

from exporter.plan import nodes
from exporter.plan.nodes import Kind, Node, Scalar
from exporter.plan.reading import Place, Report

_KNOWN_FORMS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("an API key", re.compile(r"\bsk-[A-Za-z0-9_-]{8,}")),
    ("a Slack token", re.compile(r"\bxox[a-z]-[A-Za-z0-9-]{6,}")),
    ("a Slack webhook, which is a secret", re.compile(r"https://hooks\.slack\.com/")),
    ("a Discord webhook, which is a secret", re.compile(r"https://(?:\w+\.)?discord(?:app)?\.com/api/webhooks/")),
    ("a GitHub token", re.compile(r"\b(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{20,}")),
    ("an AWS access key", re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")),
    ("a Google API key", re.compile(r"\bAIza[A-Za-z0-9_-]{30,}")),
    ("a JSON web token", re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.")),
    ("a private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    ("a URL with a password", re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/@:]*:[^\s/@]+@")),
)
_TELLING_KEY = re.compile(r"token|secret|password|passwd|(?:^|_)key|credential|api_url|webhook", re.IGNORECASE)
_HEX = re.compile(r"[0-9a-fA-F]{32,}\Z")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{32,}={0,2}\Z")
_MIN_BITS = 3.5  # of entropy a character; English words joined by dashes stay below it or lack digits


def scan(root: Node, report: Report) -> None:
    """Report every value that looks like a secret, and silence its node."""
    _scan(root, "", "", report)


def is_telling(key: str) -> bool:
    """Whether a key says that its value is a secret."""
    return bool(_TELLING_KEY.search(key))


def looks_random(text: str) -> bool:
    """Whether a text looks like a generated key: long, hexadecimal or mixed, and without repetition."""
    if _HEX.match(text):
        return True
    if not _BASE64.match(text):
        return False
    mixed = any(c.isdigit() for c in text) and any(c.isupper() for c in text) and any(c.islower() for c in text)
    return mixed and _bits_per_character(text) >= _MIN_BITS


def _scan(node: Node, path: str, key: str, report: Report) -> None:
    match node:
        case nodes.Mapping():
            for name, entry in node.entries.items():
                _scan(entry.value, nodes.child(path, name), name, report)
        case nodes.Sequence():
            for index, item in enumerate(node.items):
                _scan(item, nodes.item(path, index), key, report)
        case Scalar() if node.kind is not Kind.REFUSED:
            found = _what(node.text, key)
            if found:
                remedy = "put it into a file and name the file, in a key that ends in `_file`; then replace the secret"
                report.add(Place(path, node.mark), f"this looks like {found}", remedy)
                report.silenced.add(id(node))


def _what(text: str, key: str) -> str:
    """What kind of secret a value looks like, or an empty string."""
    for name, form in _KNOWN_FORMS:
        if form.search(text):
            return name
    if is_telling(key):
        parts = text.split("/") if key.endswith("_file") else [text]
        if any(looks_random(part) for part in parts):
            return "a secret"
    return ""


def _bits_per_character(text: str) -> float:
    total = len(text)
    return -sum(count / total * math.log2(count / total) for count in Counter(text).values())
