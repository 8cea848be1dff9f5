"""Which case files there are, and their text: folders are walked in a fixed order, and nothing is skipped unseen."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path

from convsuite.errors import CaseFileError
from convsuite.yamlnodes import place

MAX_BYTES = 4 * 2**20
SUFFIXES = (".yaml", ".yml")
KNOWN_FAILURES = "known_failures"  # a folder of another kind of YAML beside the cases


@dataclass(frozen=True, slots=True)
class Source:
    """A case file, or what stands where one was due, and the name that it goes by in messages and ids."""

    file: Traversable
    shown: str

    @property
    def stem(self) -> str:
        """The file's name without its suffix: the middle part of its cases' ids."""
        return self.file.name.rpartition(".")[0]

    @property
    def front(self) -> str:
        """Folder and stem: in a suite with a folder for each operation, how its cases' ids begin."""
        return f"{self.shown.rpartition('/')[0].rpartition('/')[2]}/{self.stem}"

    def text(self) -> str:
        """Return the file's text. Raise CaseFileError where it is no readable file of UTF-8."""
        try:
            raw = self._bytes()
        except OSError as error:
            raise _refused(self.shown, f"cannot be read: {error.strerror or error}") from None
        if len(raw) > MAX_BYTES:
            raise _refused(self.shown, f"the file is larger than {MAX_BYTES // 2**20} MiB; split it")
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = raw[: error.start].decode("utf-8-sig")
            line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
            message = f"not UTF-8: the byte 0x{raw[error.start]:02X}; save the file as UTF-8"
            raise CaseFileError(place(self.shown, line, column, message)) from None

    def _bytes(self) -> bytes:
        if isinstance(self.file, Path):
            mode = self.file.stat().st_mode
            if not stat.S_ISREG(mode):
                raise _refused(self.shown, f"is {_KINDS.get(stat.S_IFMT(mode), 'no file')}, not a file of cases")
        with self.file.open("rb") as opened:
            return opened.read(MAX_BYTES + 1)


def find(path: Traversable, shown: str) -> Iterator[Source]:
    """Yield a path's case files: itself, or for a folder all below, in order of name; raise where there is none."""
    try:
        if not path.is_dir():
            _must_exist(path, shown)
            yield Source(path, shown)
            return
        found = list(_below(path, shown, ()))
    except OSError as error:
        raise _refused(shown, f"cannot be read: {error.strerror or error}") from None
    if not found:
        raise _refused(shown, "no case file (*.yaml, *.yml) is in this folder")
    yield from found


def _below(folder: Traversable, shown: str, above: Sequence[Path]) -> Iterator[Source]:
    if isinstance(folder, Path):
        real = folder.resolve()
        if real in above:
            raise _refused(shown, "the link leads back into a folder that it is in")
        above = (*above, real)
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.name.startswith(".") or entry.name == KNOWN_FAILURES:
            continue
        name = f"{shown.rstrip('/')}/{entry.name}"
        if entry.is_dir():
            yield from _below(entry, name, above)
        elif entry.name.endswith(SUFFIXES):
            yield Source(entry, name)


def _must_exist(path: Traversable, shown: str) -> None:
    if isinstance(path, Path) and not path.exists():
        where = f"; it is a link to {path.readlink()}" if path.is_symlink() else ""
        raise _refused(shown, f"no such file or folder{where}")


_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def _refused(shown: str, message: str) -> CaseFileError:
    return CaseFileError(place(shown, 1, 1, message))
