"""Expressions and messages from templates.

The delimiters (`<< >>`, `<% %>`, `<# #>`) clash neither with PromQL nor with the Go templates `{{ }}` that Prometheus
and Alertmanager evaluate later.
"""

from __future__ import annotations

import jinja2

_ENVIRONMENT = jinja2.Environment(
    variable_start_string="<<",
    variable_end_string=">>",
    block_start_string="<%",
    block_end_string="%>",
    comment_start_string="<#",
    comment_end_string="#>",
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=False,  # noqa: S701 - the output is PromQL and YAML, not HTML
)


def fill(template: str, **values: object) -> str:
    """Fill a template in; surrounding blank lines go, so that templates can be written as indented blocks.

    Raises:
        jinja2.UndefinedError: the template names a value that was not given.
    """
    lines = _ENVIRONMENT.from_string(template.strip("\n")).render(**values).splitlines()
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join(line[margin:].rstrip() for line in lines if line.strip())
