"""The file as it may be shown: what it says, in its order, without comments and without anything that may be secret."""

from __future__ import annotations

import yaml

from exporter.plan import nodes
from exporter.plan.inline_secrets import is_telling, looks_random
from exporter.plan.nodes import Kind, Node
from exporter.plan.strictyaml import compose

HIDDEN = "<secret>"
_TAG = "tag:yaml.org,2002:"
_TAGS = {
    Kind.TEXT: "str",
    Kind.BOOLEAN: "bool",
    Kind.INTEGER: "int",
    Kind.FLOAT: "float",
    Kind.DATE: "timestamp",
    Kind.TIMESTAMP: "timestamp",
    Kind.NULL: "null",
}


def redacted(text: str) -> str:
    """A file that was read before, again as YAML; paths of files with secrets are shown, secrets never."""
    root, _ = compose(text, "")
    if root is None:
        return ""
    shown: str = yaml.serialize(_node(root, ""), allow_unicode=True, width=120)
    return shown


def _node(node: Node, key: str) -> yaml.Node:
    if isinstance(node, nodes.Mapping):
        entries = [(_text(name), _node(entry.value, name)) for name, entry in node.entries.items()]
        return yaml.MappingNode(f"{_TAG}map", entries, flow_style=False)
    if isinstance(node, nodes.Sequence):
        plain = all(isinstance(item, nodes.Scalar) for item in node.items)
        return yaml.SequenceNode(f"{_TAG}seq", [_node(item, key) for item in node.items], flow_style=plain)
    if _is_secret(node, key):
        return _text(HIDDEN)
    return yaml.ScalarNode(_TAG + _TAGS.get(node.kind, "str"), node.text or ("null" if node.kind is Kind.NULL else ""))


def _is_secret(scalar: nodes.Scalar, key: str) -> bool:
    """Hashes of tokens, texts under telling keys, and whatever looks generated."""
    if key == "sha256":
        return True
    if scalar.kind is not Kind.TEXT or key.endswith("_file") or not scalar.text:
        return False
    return is_telling(key) or any(looks_random(part) for part in scalar.text.replace("=", "/").split("/"))


def _text(text: str) -> yaml.ScalarNode:
    return yaml.ScalarNode(f"{_TAG}str", text)
