"""HTML templates of the report's pages: one frame, escaped throughout, self-contained, for light and dark screens."""

from __future__ import annotations

from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined

FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; --ink: #1c1c1e; --soft: #5b5b60; --line: #d9d9de; --back: #ffffff; --fill: #f4f4f6; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8ea; --soft: #a2a2a8; --line: #3b3b40; --back: #19191b; --fill: #242427; }
}
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; color: var(--ink); background: var(--back);
  max-width: 62rem; margin: 1.5rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 .8rem; }
h2 { font-size: 1.1rem; margin: 1.8rem 0 .5rem; }
p { margin: .4rem 0 .8rem; }
.soft, caption { color: var(--soft); }
table { border-collapse: collapse; margin: .4rem 0 1rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .7rem; border-bottom: 1px solid var(--line); }
th { font-weight: 600; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td { overflow-wrap: anywhere; }
td.k { white-space: nowrap; }
code, pre { font: .88em ui-monospace, "DejaVu Sans Mono", monospace; }
pre { background: var(--fill); padding: .8rem 1rem; border-radius: .4rem; white-space: pre-wrap; }
details { margin: .3rem 0; }
summary { cursor: pointer; }
{% block style %}{% endblock %}
</style>
</head>
<body>
<h1>{{ title }}</h1>
{% block body %}{% endblock %}
</body>
</html>
"""

SCORES = """{% extends "frame" %}{% block body %}
<p>{{ why }}</p>
<table>
<tr><th>task</th><th>model</th><th class="n">Spearman × 100</th><th class="n">interval</th>
<th class="n">difference to base</th><th class="n">interval</th></tr>
{% for row in rows %}
<tr><td>{{ row.task }}</td><td>{{ row.model }}</td>
{% for cell in (row.value, row.delta) %}
{% if cell %}
<td class="n">{{ form[loop.index0].format(cell.value) }}</td>
<td class="n soft">{{ form[loop.index0].format(cell.low) }} to {{ form[loop.index0].format(cell.high) }}</td>
{% else %}
<td></td><td></td>
{% endif %}
{% endfor %}
</tr>
{% endfor %}
</table>
{% endblock %}"""

DROPS = """{% extends "frame" %}{% block body %}
<table>
<tr><th>stage</th><th class="n">read</th><th class="n">kept</th><th class="n">dropped</th></tr>
{% for stage in stages %}
<tr><td>{{ stage.title }}</td><td class="n">{{ "{:,}".format(stage.read) }}</td>
<td class="n">{{ "{:,}".format(stage.kept) }}</td><td class="n">{{ "{:,}".format(stage.read - stage.kept) }}</td></tr>
{% endfor %}
</table>
{% for stage in stages %}
<h2>{{ stage.title }}</h2>
{% if stage.reasons %}
<table>
<tr><th>reason</th><th class="n">dropped</th><th class="n">share</th><th>examples</th></tr>
{% for reason, count, examples in stage.reasons %}
<tr><td class="k">{{ reason }}</td><td class="n">{{ "{:,}".format(count) }}</td>
<td class="n">{{ "{:.1f} %".format(100 * count / stage.read) }}</td>
<td>{% if examples %}<details><summary>{{ examples|length }} shown</summary>
{% for example in examples %}<p>{{ example }}</p>{% endfor %}</details>{% endif %}</td></tr>
{% endfor %}
</table>
{% else %}
<p class="soft">Nothing was dropped.</p>
{% endif %}
{% endfor %}
{% endblock %}"""

LISTS = """{% extends "frame" %}
{% block style %}
td.s { width: 5.5rem; text-align: right; font-variant-numeric: tabular-nums; }
td.up { color: var(--soft); width: 1rem; padding: .25rem 0; }
table { width: 100%; }
tr.seed td { font-weight: 600; }
{% endblock %}
{% block body %}
<p class="soft">Number: the teacher's cosine to the seed, shaded from orange (0) to blue (1). ▲: the teacher finds this
sentence nearer to the seed than the one before it, against the generated order.</p>
{% for rows in lists %}
<h2>{{ loop.index }}</h2>
<table>
{% for row in rows %}
<tr{% if row.rank == 0 %} class="seed"{% endif %}><td class="n soft">{{ row.rank }}</td>
<td class="s" style="background: {{ row.color }}">{{ "{:.2f}".format(row.cosine) }}</td>
<td class="up">{% if row.rises %}▲{% endif %}</td><td>{{ row.sentence }}</td></tr>
{% endfor %}
</table>
{% endfor %}
{% endblock %}"""

PROVENANCE = """{% extends "frame" %}{% block body %}
<h2>Models</h2>
<table>
<tr><th>role</th><th>source</th><th>revision</th></tr>
{% for role, source, revision in models %}
<tr><td class="k">{{ role }}</td><td>{{ source }}</td><td><code>{{ revision }}</code></td></tr>
{% endfor %}
</table>
<h2>Text and data</h2>
<table>
<tr><th>role</th><th>source</th><th>revision</th></tr>
{% for role, source, revision in data %}
<tr><td class="k">{{ role }}</td><td>{{ source }}</td><td><code>{{ revision }}</code></td></tr>
{% endfor %}
</table>
<h2>Prompt</h2>
{% for name, sha256, text in prompts %}
<p><b>{{ name }}</b> <span class="soft">SHA-256</span> <code>{{ sha256 }}</code></p>
<pre>{{ text }}</pre>
{% endfor %}
<h2>Stages</h2>
<table>
<tr><th>stage</th><th class="n">seconds</th><th>note</th></tr>
{% for stage, seconds, note in stages %}
<tr><td class="k">{{ stage }}</td><td class="n">{{ "{:,.1f}".format(seconds) }}</td><td>{{ note }}</td></tr>
{% endfor %}
</table>
<h2>Parameters</h2>
<table>
<tr><th>key</th><th>value</th></tr>
{% for key, value in parameters %}
<tr><td class="k"><code>{{ key }}</code></td><td><code>{{ value }}</code></td></tr>
{% endfor %}
</table>
<h2>Versions</h2>
<table>
<tr><th>package</th><th>version</th></tr>
{% for package, version in versions %}
<tr><td>{{ package }}</td><td>{{ version }}</td></tr>
{% endfor %}
</table>
{% endblock %}"""

_TEMPLATES = {"frame": FRAME, "scores": SCORES, "drops": DROPS, "lists": LISTS, "provenance": PROVENANCE}
_ENVIRONMENT = Environment(
    loader=DictLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def render(template: str, **fields: Any) -> str:
    """The page `template` with `fields`; every value is escaped."""
    return _ENVIRONMENT.get_template(template).render(fields)
