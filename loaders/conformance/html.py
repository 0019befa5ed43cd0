"""The same page for a browser: one table of all cells, which scripts can filter.

Without scripts it is a plain table.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from html import escape

from keras_loader_bench.loaders.conformance.expected import PASSES
from keras_loader_bench.loaders.conformance.grouped import causes_of, mark_text, what
from keras_loader_bench.loaders.conformance.page import COMMAND
from keras_loader_bench.loaders.conformance.stored import Matrix

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border: 1px solid #ddd; padding: .2rem .6rem; text-align: left; vertical-align: top; }
th { background: #f4f4f4; position: sticky; top: 0; }
.wrong { background: #fde4e1; }
input, select { font: inherit; padding: .2rem; margin-right: 1rem; }
@media (prefers-color-scheme: dark) {
  body { background: #181818; color: #ddd; } th { background: #2a2a2a; }
  th, td { border-color: #444; } .wrong { background: #5a2622; }
}
"""

_SCRIPT = """
const rows = [...document.querySelectorAll("#cells tbody tr")];
const controls = document.getElementById("filters");
const text = Object.assign(document.createElement("input"), {placeholder: "conditions or verdict"});
const wrong = Object.assign(document.createElement("input"), {type: "checkbox", id: "wrong"});
const label = Object.assign(document.createElement("label"), {htmlFor: "wrong"});
label.textContent = "only rows with something wrong";
const count = document.createElement("span");
function show() {
  let shown = 0;
  for (const row of rows) {
    const words = text.value.toLowerCase().split(/\\s+/).filter(Boolean);
    const has = row.textContent.toLowerCase();
    const good = words.every(word => has.includes(word)) &&
      (!wrong.checked || row.querySelector(".wrong"));
    row.hidden = !good;
    shown += good ? 1 : 0;
  }
  count.textContent = ` ${shown} of ${rows.length} rows`;
}
controls.append(text, wrong, label, count);
text.addEventListener("input", show);
wrong.addEventListener("change", show);
show();
"""


def html_page(matrix: Matrix) -> str:
    """Return the page as HTML, with all that it needs in itself."""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8"><title>What Keras feeds a model</title>',
            f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>',
            f"<body><h1>What Keras feeds a model</h1><p>{escape(_tried(matrix))}</p>",
            *_wrong(matrix),
            '<h2>Every cell</h2><p id="filters"></p>',
            *_cells(matrix),
            f"<script>{_SCRIPT}</script></body></html>",
            "",
        ]
    )


def _tried(matrix: Matrix) -> str:
    parts = (f"Keras {part.keras} on {part.backend}: {part.date}" for part in matrix.parts)
    return f"Tried: {'; '.join(parts)}."


def _wrong(matrix: Matrix) -> Iterator[str]:
    yield "<h2>What is wrong</h2><ul>"
    for cause, found in causes_of(matrix):
        where = dict.fromkeys(f"Keras {part.keras} on {part.backend}" for part, _ in found)
        title = cause.title if cause else f"New: {what(found[0][1])}"
        yield f"<li><b>{escape(title)}</b>: {escape(', '.join(where))}</li>"
    yield "</ul>"


def _cells(matrix: Matrix) -> Iterator[str]:
    line = _command("VERSION", "BACKEND", "CONDITIONS")
    yield f"<p><code>{escape(line)}</code> tries a row again; the row shows it with its values.</p>"
    headings = ("Keras", "backend", "conditions", *PASSES)
    yield f'<table id="cells"><thead><tr>{_row("th", headings)}</tr></thead><tbody>'
    for part in matrix.parts:
        for text, row in part.rows.items():
            cells = [_row("td", (part.keras, part.backend, text))]
            for name in PASSES:
                mark = row.get(name)
                said = "-" if name not in row else mark_text(mark)
                wrong = ' class="wrong"' if mark else ""
                cells.append(f"<td{wrong}>{escape(said)}</td>")
            line = _command(part.keras, part.backend, text)
            yield f'<tr title="{escape(line)}">{"".join(cells)}</tr>'
    yield "</tbody></table>"


def _command(keras: str, backend: str, conditions: str) -> str:
    """Return what tries a row again."""
    asked = f"--keras {keras} --keras-backends {backend}"
    return f"{COMMAND} {asked} --only {shlex.quote(conditions)}"


def _row(tag: str, texts: tuple[str, ...]) -> str:
    return "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)
