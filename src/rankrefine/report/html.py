"""HTML pages from the templates beside this module: self-contained, for light and dark screens."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parent / "templates"
_ENVIRONMENT = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, **fields: Any) -> str:
    """Render `TEMPLATE.html`; every field is escaped."""
    return _ENVIRONMENT.get_template(f"{template}.html").render(fields)
