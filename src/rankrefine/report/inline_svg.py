"""Figures as parts of an HTML page: matplotlib's SVG in the page's colours and font, and with a text alternative."""

import re

from markupsafe import Markup, escape

from rankrefine.report.figures.style import DARK

_ROOT = re.compile(r".*?<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>", re.DOTALL)  # with the XML declaration before it
_STYLE = re.compile(r"\s*<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL)  # its selector * would style the whole page
_REFERENCE = re.compile(r'(?<= id=")|(?<=href="#)|(?<=url\(#)')
_FONT = re.compile(r"font-family: [^;\"]*(?:; )?")
_COLOR = re.compile("|".join(DARK))


def inline(svg: str, name: str, title: str, description: str) -> Markup:
    """Return a figure for a page that may have others.

    Args:
        svg: The figure, as `figures.style.save` writes it.
        name: Name of the figure, unique on the page; it begins the ids of all elements.
        title: Name of the figure for readers.
        description: What it shows, for readers who do not see it.
    """
    text = _STYLE.sub("", svg, count=1).replace("xlink:href", "href")
    text = _REFERENCE.sub(f"{name}-", _FONT.sub("", text))
    text = _COLOR.sub(lambda match: f"var({variable(match[0])})", text)
    label = f'role="img" aria-labelledby="{name}-title" aria-describedby="{name}-desc"'
    texts = f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    return Markup(_ROOT.sub(lambda match: f"<svg {match[1]} {label}>{texts}", text, count=1).strip())


def variable(color: str) -> str:
    """Return the name of the CSS variable that replaces a colour of the figures."""
    return f"--c{color.removeprefix('#')}"
