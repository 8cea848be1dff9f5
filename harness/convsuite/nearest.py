"""What somebody may have meant by a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str], most: int = 3) -> list[str]:
    """Return the known names that are like a word, the likest first."""
    return get_close_matches(word, list(known), n=most, cutoff=0.5)


def did_you_mean(word: str, known: Iterable[str], otherwise: str, most: int = 3) -> str:
    """Return `did you mean X, Y?`, or `otherwise` where no known name is near."""
    near = nearest(word, known, most)
    return f"did you mean {', '.join(near)}?" if near else otherwise
