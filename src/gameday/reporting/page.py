"""Pages from the templates of this package: text is escaped, and what a template names and nobody gives is an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template


def page_template(
    file: str, /, *, signs: Mapping[str, str] | None = None, **filters: Callable[..., Any]
) -> Template:
    """The compiled template of one page; compiling takes longer than a page, so callers keep it."""
    environment = Environment(
        loader=PackageLoader("gameday.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(filters)
    if signs is not None:
        environment.globals["signs"] = signs
    return environment.get_template(file)
