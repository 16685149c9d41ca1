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
.wide { overflow-x: auto; }
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

SUMMARY = """{% extends "frame" %}
{% block style %}
.result { font-size: 1.12rem; border-left: .3rem solid #0072B2; padding: .5rem .9rem; background: var(--fill);
  border-radius: .3rem; margin-bottom: 1.2rem; }
td.note { color: var(--soft); }
{% endblock %}
{% block body %}
<p class="result">{{ result }}</p>
{% if overlap %}
<p>Mind the overlap: some seed sentences occur in the text of {{ overlap|map(attribute="task")|join(", ") }}; the
table of scores says how many.</p>
{% endif %}
<table>
{% for what, value, note in facts %}
<tr><th class="k">{{ what }}</th><td>{{ value }}</td><td class="note">{{ note }}</td></tr>
{% endfor %}
</table>
{% endblock %}"""

SCORES = """{% extends "frame" %}
{% block style %}
tr.single td { color: var(--soft); padding-top: .05rem; padding-bottom: .05rem; font-size: .92em; }
tr.single td.k { padding-left: 1.9rem; }
tr.chosen td { font-weight: 600; }
#seeds:not(:checked) ~ .wide tr.single { display: none; }
tr.group th { padding-top: .9rem; }
tr.group span { font-weight: 400; color: var(--soft); }
{% endblock %}
{% block body %}
<p>{{ why }}</p>
<p class="soft">Intervals hold {{ interval }}.{% if several %} A row of several seeds is their mean, and ± their
standard deviation.{% endif %} ▲ and ▼: the interval of the difference excludes zero, for
better or worse.</p>
{% if several %}
<input type="checkbox" id="seeds"> <label for="seeds">show single seeds</label>
{% endif %}
{% for task, groups in sections.items() %}
<h2>{{ task }}</h2>
<div class="wide"><table>
<tr><th>model</th><th class="n">score</th>{% if several %}<th class="n">±</th>{% endif %}<th class="n">interval</th>
<th class="n">difference to base</th>{% if several %}<th class="n">±</th>{% endif %}<th class="n">interval</th></tr>
{% for group in groups %}
<tr class="group"><th colspan="{{ 7 if several else 5 }}">{{ group.measure }}
<span>{{ group.note }}</span></th></tr>
{% for row in group.rows %}
<tr{% if row.single or row.chosen %} class="{{ "single" if row.single else "chosen" }}"{% endif %}>
<td class="k">{{ row.name }}</td>
<td class="n">{{ row.score.show("value") }}</td>{% if several %}<td class="n soft">{{ row.score.show("sd") }}</td>
{% endif %}<td class="n soft">{{ row.interval }}</td>
<td class="n">{% if row.score.sure %}{{ "▲" if (row.score.delta > 0) != group.lower else "▼" }} {% endif %}
{{ row.score.show("delta", True) }}</td>
{% if several %}<td class="n soft">{{ row.score.show("delta_sd") }}</td>
{% endif %}<td class="n soft">{{ row.delta_interval }}</td></tr>
{% endfor %}
{% endfor %}
</table></div>
{% endfor %}
{% if overlap %}
<h2>Seed sentences in the text of the tasks</h2>
<table>
<tr><th>task</th><th class="n">seeds found in its text</th><th>on the decontamination list</th><th>examples</th></tr>
{% for record in overlap %}
<tr><td>{{ record.task }}</td><td class="n">{{ "{:,}".format(record.found) }}{% if record.seeds %} of
{{ "{:,}".format(record.seeds) }}{% endif %}</td><td>{{ "yes" if record.decontaminated else "no" }}</td>
<td>{% if record.examples %}<details><summary>{{ record.examples|length }} shown</summary>
{% for example in record.examples %}<p>{{ example }}</p>{% endfor %}</details>{% endif %}</td></tr>
{% endfor %}
</table>
{% endif %}
{% endblock %}"""

TIMINGS = """{% extends "frame" %}{% block body %}
<div class="wide"><table>
<tr><th>stage</th><th class="n">jobs</th><th class="n">time</th><th class="n">longest job</th>
<th class="n">memory, MB</th><th class="n">CPU hours</th>{% if sums.gpu %}<th class="n">GPU hours</th>
{% endif %}<th class="n">speed</th></tr>
{% for row in rows %}
<tr><td class="k">{{ row.name }}</td><td class="n">{{ row.jobs }}</td><td class="n">{{ row.seconds }}</td>
<td class="n">{{ row.longest }}</td><td class="n">{{ row.memory }}</td><td class="n">{{ row.cpu }}</td>
{% if sums.gpu %}<td class="n">{{ row.gpu }}</td>
{% endif %}<td class="n">{{ row.speed }}</td></tr>
{% endfor %}
<tr><th>all</th><th></th><th class="n">{{ sums.seconds }}</th><th></th><th></th><th class="n">{{ sums.cpu }}</th>
{% if sums.gpu %}<th class="n">{{ sums.gpu }}</th>
{% endif %}<th></th></tr>
</table></div>
<p class="soft">Time: of all jobs one after another, as each of them took when it last ran; a job whose results were
reused shows that time. CPU hours are measured by Snakemake; with ≈ they are time times the threads of the record;
empty where neither tells. GPU hours are known where a record names a GPU: those of generation and evaluation.
Speed: without the loading of the model in generation; in refinement, sentences of all passes over the lists, with the
development scores in between counted as time.</p>
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
{% for list in lists %}
<details{% if loop.index <= 3 %} open{% endif %}>
<summary><b>{{ loop.index }}</b> {{ list.rows[0].sentence }}
<span class="soft">{{ list.rises }} ▲</span></summary>
<table>
{% for row in list.rows %}
<tr{% if row.rank == 0 %} class="seed"{% endif %}><td class="n soft">{{ row.rank }}</td>
<td class="s" style="background: {{ row.color }}">{{ "{:.2f}".format(row.cosine) }}</td>
<td class="up">{% if row.rises %}▲{% endif %}</td><td>{{ row.sentence }}</td></tr>
{% endfor %}
</table>
</details>
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
{% if prompts %}<h2>Prompt</h2>{% endif %}
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

_TEMPLATES = {
    "frame": FRAME,
    "summary": SUMMARY,
    "scores": SCORES,
    "drops": DROPS,
    "lists": LISTS,
    "timings": TIMINGS,
    "provenance": PROVENANCE,
}
_ENVIRONMENT = Environment(
    loader=DictLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def render(template: str, **fields: Any) -> str:
    """The page `template` with `fields`; every value is escaped."""
    return _ENVIRONMENT.get_template(template).render(fields)
