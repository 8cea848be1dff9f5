"""Which cases are meant: globs over ids and `key=value` terms, as a command line or a known-failure list says it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase

from convsuite.case import LEVELS, Case
from convsuite.errors import SelectorError
from convsuite.operations import OPERATIONS
from convsuite.wording import counted, did_you_mean

LOOK = "`convsuite list cases` lists what there is"
MAX_VALUES = 20  # of a key, told at once

_TERM = re.compile(r"([^=!/*?\[]+)(!?=)(.*)", re.DOTALL)

_ALIKE = re.compile(r"(.+?)(x\1)+")  # 2x2, which is 2, too

# the types of an operation's own parameters that a term can be compared with
_SIMPLE = re.compile(r"(int|bool|str|float)( \| None)?|tuple\[int, \.\.\.\]")


def _axes(values: Sequence[object]) -> str:
    """Return a value per axis as a selector writes it: `2` where all are equal, else `2x3`."""
    texts = [str(v) for v in values]
    return texts[0] if len(set(texts)) == 1 else "x".join(texts)


def _both(values: Sequence[object]) -> tuple[str, ...]:
    return tuple({_axes(values), "x".join(map(str, values))})


# what a key's value may be written as; a case matches where any of its texts does
_KEYS: dict[str, Callable[[Case], tuple[str, ...]]] = {
    "rank": lambda c: (str(c.rank),),
    "batch": lambda c: (str(c.input_shape[0]),),
    "channels": lambda c: _both((c.input_shape[1], getattr(c, "out_channels", c.input_shape[1]))),
    "size": lambda c: _both(c.input_shape[2:]),
    "kernel": lambda c: _both(c.kernel),
    "stride": lambda c: _both(c.stride),
    "dilation": lambda c: _both(c.dilation),
    "padding": lambda c: _both(c.padding.kinds),
    "padding_mode": lambda c: (c.padding.mode,),
    "memory_format": lambda c: c.memory_formats or ("contiguous",),
    "pass": lambda c: tuple(p.value for p in c.passes),
    "tag": lambda c: c.tags,
    "error": lambda c: (c.expect.error or "none",),
}


def known_keys() -> tuple[str, ...]:
    """Return every key that a term may have: those of all cases, and what each operation adds."""
    simple = {f.name for o in OPERATIONS.values() for f in fields(o.CASE) if _SIMPLE.fullmatch(str(f.type))}
    return tuple(sorted((simple | set(_KEYS)) - {"id", "source", "input_shape"}))


def levels_up_to(level: str) -> tuple[str, ...]:
    """Return a level and those that it includes: `default` is smoke and default."""
    if level not in LEVELS:
        raise SelectorError(f"{level} is no level{did_you_mean(level, LEVELS)}")
    return LEVELS[: LEVELS.index(level) + 1]


@dataclass(frozen=True, slots=True)
class Term:
    """One `key=value` or `key!=value`."""

    key: str
    value: str
    equal: bool

    def __str__(self) -> str:
        return f"{self.key}{'=' if self.equal else '!='}{self.value}"

    def holds(self, case: Case) -> bool:
        """Whether any of the case's texts for the key is the value, which may be a glob."""
        return any(fnmatchcase(text, self.value) for text in _texts(case, self.key))


@dataclass(frozen=True, slots=True)
class Selector:
    """Globs, of which one must match (none: all do), and terms: of each key one must hold, and no `!=` may."""

    globs: tuple[str, ...]
    terms: tuple[Term, ...]

    def select(self, cases: Iterable[Case]) -> tuple[Case, ...]:
        """Return the cases meant, in their order.

        Raise SelectorError where a glob has none, a `key=value` none among those of the globs, or all together.
        """
        among = tuple(cases)
        for glob in self.globs:
            if not any(glob_matches(glob, case.id) for case in among):
                raise SelectorError(f"{glob} matches none of {counted(len(among), 'case')}; {LOOK}")
        meant = [case for case in among if self._named(case)]
        for term in self.terms:
            if term.equal and not any(term.holds(case) for case in meant):
                raise SelectorError(f"{term} matches none of {counted(len(meant), 'case')}{_values(term, meant)}")
        chosen = tuple(case for case in meant if self.matches(case))
        if not chosen and (self.globs or self.terms):
            said = " ".join((*self.globs, *map(str, self.terms)))
            raise SelectorError(f"{said} matches none of {counted(len(among), 'case')}; {LOOK}")
        return chosen

    def matches(self, case: Case) -> bool:
        """Whether a case is meant."""
        if not self._named(case):
            return False
        wanted: dict[str, bool] = {}
        for term in self.terms:
            holds = term.holds(case)
            if not term.equal and holds:
                return False
            if term.equal:
                wanted[term.key] = wanted.get(term.key, False) or holds
        return all(wanted.values())

    def _named(self, case: Case) -> bool:
        return not self.globs or any(glob_matches(glob, case.id) for glob in self.globs)


def parse(texts: Sequence[str]) -> Selector:
    """Read selectors. Raise SelectorError for an unknown key, and where a text, a key or a value is empty."""
    globs, terms = [], []
    for text in texts:
        if not text:
            raise SelectorError(f"an empty selector; say an id, a glob or key=value; {LOOK}")
        if text.startswith(("=", "!=")):
            raise SelectorError(f"{text} has no key; say key=value; known keys are {', '.join(known_keys())}")
        if term := _TERM.fullmatch(text):
            terms.append(_term(*term.groups()))
        else:
            globs.append(text)
    return Selector(tuple(globs), tuple(terms))


def globs_of(texts: Sequence[str]) -> tuple[str, ...]:
    """Return those selectors that are globs of ids."""
    return parse(texts).globs


def select(cases: Iterable[Case], texts: Sequence[str], level: str) -> tuple[Case, ...]:
    """Return the cases that texts mean at a level; a case named by its whole id is taken at any level.

    Raise SelectorError where nothing is meant, saying so if only the level stands against it.
    """
    chosen = parse(texts).select(cases)
    levels, named = levels_up_to(level), frozenset(texts)
    taken = tuple(case for case in chosen if case.level in levels or case.id in named)
    if not taken:
        higher = sorted({case.level for case in chosen}, key=LEVELS.index)
        match, lowest = "matches" if len(chosen) == 1 else "match", higher[0] if higher else "full"
        raise SelectorError(f"{counted(len(chosen), 'case')} {match}, none at level {level}; try --level {lowest}")
    return taken


def glob_matches(glob: str, id_: str) -> bool:
    """Whether a glob means a case: all of its id, or without a wildcard its front up to a `/` or `,`."""
    if any(sign in glob for sign in "*?["):
        return fnmatchcase(id_, glob)
    front = glob.rstrip("/")
    return id_ == front or (id_.startswith(front) and id_[len(front)] in "/,")


def may_mean(glob: str, front: str) -> bool:
    """Whether a glob may mean a case whose id begins with `operation/file`."""
    literal = re.split(r"[*?\[]", glob, maxsplit=1)[0]
    whole = f"{front}/"
    return whole.startswith(literal) or literal.startswith(whole) or f"{literal.rstrip('/')}/" == whole


def _term(key: str, sign: str, value: str) -> Term:
    known = known_keys()
    if key not in known:
        raise SelectorError(f"{key} is no key to select by{_near(key, known, 'known are ' + ', '.join(known))}")
    if not value:
        raise SelectorError(f"{key}{sign} has no value; a term is key=value, e.g. dtype=float32")
    return Term(key, value, equal=sign == "=")


def _near(word: str, known: Sequence[str], otherwise: str) -> str:
    """Return `; did you mean X?` where one is near, and what there is."""
    near = did_you_mean(word, known).partition("?")
    return f"{near[0]}?; {otherwise}" if near[1] else f"; {otherwise}"


def _values(term: Term, cases: Iterable[Case]) -> str:
    """Return the values that a term's key has in some cases, as a message goes on."""
    texts = {text for case in cases for text in _texts(case, term.key)}
    values = sorted((text for text in texts if not _ALIKE.fullmatch(text)), key=_natural)
    if not values:
        return f"; none of them has {term.key}"
    more = f", … ({len(values)} in all)" if len(values) > MAX_VALUES else ""
    return _near(term.value, values, f"there are {', '.join(values[:MAX_VALUES])}{more}")


def _natural(text: str) -> tuple[int, list[tuple[int, str]]]:
    """Return a key that sorts 2 before 10, and 10 before 2x3."""
    parts = re.findall(r"\d+|\D+", text)
    return len(parts), [(int(part), "") if part.isdecimal() else (0, part) for part in parts]


def _texts(case: Case, key: str) -> tuple[str, ...]:
    if key in _KEYS:
        return _KEYS[key](case)
    value = getattr(case, key, None)
    if value is None:
        return ()
    if isinstance(value, tuple):
        return _both(value) if value else ()
    return (str(value).lower() if isinstance(value, bool) else str(value),)
