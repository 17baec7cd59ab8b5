# SPDX-License-Identifier: GPL-2.0-or-later
"""Answers of a sweep in a file, one a line, so that a sweep that is killed goes on where it was.

A line names its question by a digest of the work item and of the natmodel that answers it; what another
natmodel has found is not used.  A line that is not whole, as SIGKILL or a full disk leaves it, is passed
over.  Files can be put one after the other: the answers of both are in the new one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from natmodel import __version__
from natmodel.checkpoint import source_digest
from natmodel.errors import BadInput

# How every line begins.
_BEGIN: Final = b'{"kept": "natmodel.kept/1", '


class Kept:
    """The answers that a file holds.  Raises BadInput if it is another kind of file, or not writable."""

    def __init__(self, file: str) -> None:
        self._file: Final = Path(file)
        self._natmodel: Final = f"{__version__} {source_digest()}"
        self._found: Final[dict[str, list[Any]]] = {}
        text = self._text()
        for line in text.split(b"\n"):
            self._read(line)
        # The next line must not become part of one that is not whole.
        self._before = b"" if not text or text.endswith(b"\n") else b"\n"

    def _text(self) -> bytes:
        try:
            with open(self._file, "ab+") as stream:
                stream.seek(0)
                text = stream.read()
                if text.startswith(_BEGIN):
                    return text
                if not _BEGIN.startswith(text):
                    raise BadInput(f"keep {self._file}: it holds something else than answers")
                stream.truncate(0)  # the first line was cut off before it said what it is
                return b""
        except (OSError, ValueError) as error:
            raise self._refused(error) from None

    def _read(self, line: bytes) -> None:
        try:
            data = json.loads(line)
            key, answer = data["key"], data["answer"]
            whole = data["digest"] == _digest(key, json.dumps(answer))
        except (ValueError, TypeError, KeyError):
            return
        if whole:
            self._found.setdefault(key, []).append(answer)

    def found(self, item: str) -> list[Any]:
        """The answers to this work item."""
        return self._found.get(_digest(self._natmodel, item), [])

    def add(self, item: str, answer: Mapping[str, Any]) -> None:
        """Write an answer down.  Raises BadInput if that cannot be done."""
        key = _digest(self._natmodel, item)
        rest = {
            "key": key,
            "digest": _digest(key, json.dumps(answer)),
            "item": json.loads(item),
            "answer": answer,
        }
        line = self._before + _BEGIN + json.dumps(rest).encode()[1:] + b"\n"
        try:
            with open(self._file, "ab", buffering=0) as stream:
                stream.write(line)
        except OSError as error:
            raise self._refused(error) from None
        self._before = b""

    def _refused(self, error: OSError | ValueError) -> BadInput:
        return BadInput(f"keep {self._file}: {getattr(error, 'strerror', None) or error}")


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()
