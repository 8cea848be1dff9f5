"""The questions: one module for each operation."""

from __future__ import annotations

from convsuite.meaning.questions import conv, conv_transpose, local_conv, patches, pools
from convsuite.meaning.records import Question

QUESTIONS: dict[str, Question] = {
    q.id: q
    for q in (*conv.QUESTIONS, *conv_transpose.QUESTIONS, *local_conv.QUESTIONS, *patches.QUESTIONS, *pools.QUESTIONS)
}
