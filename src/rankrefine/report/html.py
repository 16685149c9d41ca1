"""HTML from the templates beside this module."""

import base64
import hashlib
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


def script() -> tuple[str, str]:
    """Return the page's script, and its hash for the content security policy, which allows no other script to run."""
    text = (TEMPLATES / "script.js").read_text(encoding="utf-8")
    return text, "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
