"""What a file's head tells of the level of its cases, and that it never tells too much."""

from __future__ import annotations

import pytest

from convsuite.heads import level_of

HEAD = "# of a level\noperation: conv\ndefaults: {level: real, kernel: 3}\n"


def test_the_level_of_the_defaults_is_every_case_s() -> None:
    assert level_of(HEAD + "cases:\n  - {name: a, input: 8}\n") == "real"


def test_without_one_it_is_the_default() -> None:
    assert level_of("operation: conv\ncases:\n  - {name: a, input: 8, kernel: 3}\n") == "default"
    assert level_of("operation: conv\ndefaults: {kernel: 3}\ncases: [{name: a, input: 8}]\n") == "default"


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "cases: [{name: a, input: 8, level: smoke}]\n",
        HEAD + "cases: [{name: a, input: 8, sweep: {level: [smoke, real]}}]\n",
        HEAD + 'cases: [{name: a, input: 8, "\\x6cevel": smoke}]\n',
        "operation: conv\ndescription: &a {name: a, input: 8, level: smoke}\ndefaults: {level: real}\ncases: [*a]\n",
        "operation: conv\ncases: [{name: a, input: 8, kernel: 3}]\ndefaults: {level: real}\n",
        HEAD.replace("real", "unreal") + "cases: [{name: a, input: 8}]\n",
        HEAD.replace("}", "") + "cases: [{name: a, input: 8}]\n",
        HEAD,
    ],
    ids=["a case", "a sweep", "an escape", "an alias", "after", "unknown", "no YAML", "no cases"],
)
def test_what_may_be_otherwise_is_read(text: str) -> None:
    assert level_of(text) is None
