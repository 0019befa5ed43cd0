"""Shows a report on the summary page of a GitHub Actions job.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions#adding-a-job-summary
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from keras_loader_bench.bench.record.drafts import writing_to

VARIABLE = "GITHUB_STEP_SUMMARY"
"""Names the file whose Markdown is shown."""

LIMIT_BYTES = 2**20
"""GitHub shows nothing of a summary that is larger."""

_CUT = "\n\n*Cut here: GitHub shows 1 MiB at most. The whole report is among the run's files.*\n"


def append_step_summary(markdown: str, environ: Mapping[str, str]) -> None:
    """Append Markdown to the summary of the step, if this is one.

    Images are left out, because the files beside a report are not there; what would exceed
    GitHub's limit is cut at the end of a line, with a note.

    Args:
        markdown: a report.
        environ: of this process.

    Raises:
        WriteError: the file cannot be written to.
    """
    if not environ.get(VARIABLE):
        return
    path = Path(environ[VARIABLE])
    room = LIMIT_BYTES - (path.stat().st_size if path.exists() else 0)
    lines = [line for line in markdown.splitlines(keepends=True) if not line.startswith("![")]
    data = "".join(lines).encode()
    if len(data) > room:
        kept = data[: max(0, room - len(_CUT.encode()))]
        data = kept[: kept.rfind(b"\n") + 1] + _CUT.encode()
    if len(data) <= room:
        with writing_to(path), path.open("ab") as file:
            file.write(data)
