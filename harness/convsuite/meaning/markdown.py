"""The register's tables in Markdown, and a page in which they stand between marks.

<!-- meaning: conv_same -->
…
<!-- /meaning -->
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from convsuite.meaning.questions import QUESTIONS
from convsuite.meaning.records import Row
from convsuite.meaning.wording import lines

_MARKED = re.compile(r"(<!-- meaning: (\w+) -->\n).*?(<!-- /meaning -->)", re.DOTALL)


def refreshed(page: str, rows: Sequence[Row]) -> str:
    """Return a page with its tables made anew."""
    return _MARKED.sub(lambda m: f"{m[1]}{table(m[2], rows)}{m[3]}", page)


def table(question: str, rows: Sequence[Row], changed: Mapping[Row, Row] | None = None) -> str:
    """Return one question's text, its table, and what the meanings in it say."""
    asked = QUESTIONS[question]
    told = lines([row for row in rows if row.question == question], changed or {})
    head = ("call", "arrays", "framework", "meaning", "refuses")
    body = [
        "| "
        + " | ".join(
            map(_cell, (f"`{line.call}`", line.orders, line.framework, line.meaning + _was(line.before), line.refuses))
        )
        + " |"
        for line in told
    ]
    met = {name for row in rows if row.question == question for name in row.meanings}
    legend = [f"- **{m.name}**: {m.text}" for m in asked.meanings if m.name in met]
    return "\n".join(
        (f"*{asked.text}*", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|", *body, "", *legend, "")
    )


def _was(before: str) -> str:
    return f" **changed: was {before}**" if before else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
