"""The errors that a user can meet, and nothing else.

ConvsuiteError
├── CaseFileError     a case file is refused: file:line:column, the rule, the numbers
├── CaseError         a case breaks a rule of its operation; `casefile` turns it into a CaseFileError
├── SelectorError     a selector that matches nothing or cannot be read
├── BackendError      a backend that is unknown, absent or broken
│   └── DeviceError       a device that a backend does not have, or does not find here
├── KnownFailureError a known-failure list is refused
└── StoreError        the results database cannot be opened or written
"""

from __future__ import annotations


class ConvsuiteError(Exception):
    """Base of all; its text is meant to be shown as it is. The command line exits with 2."""


class CaseFileError(ConvsuiteError):
    """A case file is refused whole, before anything runs."""


class CaseError(ConvsuiteError):
    """A rule of the operation is broken. `key` is the path of the offending entry, e.g. ("kernel", "size")."""

    def __init__(self, key: tuple[str, ...], message: str) -> None:
        super().__init__(message)
        self.key = key


class SelectorError(ConvsuiteError):
    """A selector that matches nothing or cannot be read."""


class BackendError(ConvsuiteError):
    """A backend that is unknown, or was asked for and is absent or broken."""


class DeviceError(BackendError):
    """A device that a backend does not have, or does not find on this machine; that is no defect."""


class KnownFailureError(ConvsuiteError):
    """A list of known failures that is refused."""


class StoreError(ConvsuiteError):
    """The results database cannot be opened, read or written."""
