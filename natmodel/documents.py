# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that are one JSON object, plain or xz, as opposed to files of vectors: one on each line."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import IO, Any, Final

from natmodel.errors import BadInput

_XZ_MAGIC: Final = b"\xfd7zXZ\x00"
# No such file, and no vector, is as long as this.
_MOST_BYTES: Final = 64 << 20


def document_of(path: Path) -> dict[str, Any] | None:
    """The object that the whole file is; None if it is a file of lines, or no JSON at all.

    A single line is a vector if it says of which kind.  A file that cannot be read is left to who reads
    lines.  Raises BadInput for an object with a name that is there twice.
    """
    try:
        with path.open("rb") as file:
            compressed = file.read(len(_XZ_MAGIC)) == _XZ_MAGIC
        with lzma.open(path) if compressed else path.open("rb") as file:
            return _document(file)
    except (OSError, EOFError, lzma.LZMAError, ValueError, RecursionError):
        return None
    except _Twice as twice:
        raise BadInput(f"{ascii(str(path))[1:-1]}: {str(twice)!a} is there twice") from None


def _document(file: IO[bytes]) -> dict[str, Any] | None:
    """Raises ValueError if the file is no JSON."""
    line = file.readline(_MOST_BYTES)
    alone = _object(line)
    if alone is not None:
        return None if "kind" in alone or file.read(1) else alone
    value = json.loads((line + file.read(_MOST_BYTES)).decode(), object_pairs_hook=_once)
    return value if isinstance(value, dict) else None


def _object(line: bytes) -> dict[str, Any] | None:
    """The object that this line is by itself."""
    try:
        value = json.loads(line.decode())
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


class _Twice(Exception):
    """An object gives a name two values."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(next(name for name in names if names.count(name) > 1))
    return value
