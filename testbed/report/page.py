"""Pages from templates: each one file that needs nothing else, no network and, to be read, no script."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from testbed.report.vega import scripts

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **context: Any) -> str:  # noqa: ANN401  # whatever the template shows
    """Return a page, as HTML.

    Args:
        template: its file in `templates/`.
        context: what the template shows. All of it is text, never markup, but for the drawings of charts.
    """
    return _environment().get_template(template).render(**context)


@functools.cache
def _environment() -> Environment:
    import jinja2  # noqa: PLC0415  # only who makes a page pays for it

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("testbed.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["vega"] = scripts
    return environment
