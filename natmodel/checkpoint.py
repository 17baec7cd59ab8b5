# SPDX-License-Identifier: GPL-2.0-or-later
"""A search written to a file now and then, so that one that is killed goes on from there.

A file holds a line that says whose search it is (the question, the natmodel that asked it, the Python
that ran it), the digest of what follows, and the search.  It is written beside the old one and then put
in its place, so whenever the process dies, one of them is whole.  A file that is another's, or not
whole, is refused: nothing in it is used before line and digest have been compared.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any, Final

import attrs

from natmodel import __version__
from natmodel.errors import BadInput
from natmodel.explore import Explorer
from natmodel.scenario import Scenario

MAGIC: Final = "natmodel checkpoint 1"
# Writing takes at most about one part in so many of the time.
_SHARE: Final = 20


class Checkpoint:
    """The search of one question in a file: read when there is one, written every `seconds`."""

    def __init__(self, file: str, scenario: Scenario, question: str, seconds: float = 30.0) -> None:
        self._file: Final = Path(file)
        self._whose: Final = {
            "file": MAGIC,
            "natmodel": __version__,
            "source": source_digest(),
            "python": "{}.{}".format(*sys.version_info),
            "question": question,
            "scenario": json.loads(scenario.to_json()),
        }
        self._constants: Final = _constants_of(scenario)
        self._seconds: Final = seconds
        self._next = time.monotonic() + seconds

    def read(self) -> Explorer | None:
        """The search that was begun before; None if there is no file.

        Raises BadInput if the file is not whole, or of another question, natmodel or Python.
        """
        try:
            text = self._file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BadInput(f"checkpoint {self._file}: {error.strerror}") from None
        head, _, rest = text.partition(b"\n")
        digest, _, body = rest.partition(b"\n")
        self._compare(head)
        if hashlib.sha256(body).hexdigest().encode() != digest:
            raise BadInput(f"checkpoint {self._file}: it is not whole")
        explorer = _Reader(io.BytesIO(body), self._constants).load()
        assert isinstance(explorer, Explorer)
        return explorer

    def _compare(self, head: bytes) -> None:
        try:
            whose = json.loads(head)
            assert whose["file"] == MAGIC
        except (ValueError, TypeError, KeyError, AssertionError):
            raise BadInput(f"checkpoint {self._file}: it is no checkpoint of natmodel") from None
        for what, own in self._whose.items():
            if whose.get(what) != own:
                raise BadInput(f"checkpoint {self._file}: it is of {_OF_ANOTHER[what]}")

    def pause(self, explorer: Explorer) -> None:
        """Write the search if it is time to."""
        if time.monotonic() >= self._next:
            self.write(explorer)

    def write(self, explorer: Explorer) -> None:
        """Raises BadInput if the file cannot be written."""
        began = time.monotonic()
        body = io.BytesIO()
        _Writer(body, self._constants).dump(explorer)
        digest = hashlib.sha256(body.getbuffer()).hexdigest().encode()
        head = json.dumps(self._whose, sort_keys=True).encode()
        try:
            _replace(self._file, (head, b"\n", digest, b"\n", body.getbuffer()))
        except OSError as error:
            raise BadInput(f"checkpoint {self._file}: {error.strerror}") from None
        now = time.monotonic()
        self._next = now + max(self._seconds, _SHARE * (now - began))

    def remove(self) -> None:
        """The search has come to its end: the file goes, and what was left where it was killed."""
        for file in (self._file, *self._file.parent.glob(f".{self._file.name}.*")):
            with suppress(OSError):
                file.unlink()


_OF_ANOTHER: Final = {
    "file": "another kind",
    "natmodel": "another version of natmodel",
    "source": "a natmodel that was changed since",
    "python": "another version of Python",
    "question": "another question",
    "scenario": "another scenario",
}


def source_digest() -> str:
    """What tells this natmodel from one that was changed: a digest of its source."""
    digest = hashlib.sha256()
    package = Path(__file__).parent
    for path in sorted(package.rglob("*.py")):
        digest.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _replace(file: Path, parts: tuple[bytes | memoryview, ...]) -> None:
    """Put a new file in the old one's place, whole or not at all."""
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            for part in parts:
                stream.write(part)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(name, file)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


# ── what stands in the file by name only ────────────────────────────────────────────────────────


def _constants_of(scenario: Scenario) -> dict[str, Any]:
    """What every run of a scenario makes anew, by the name that it has in the file."""
    return {"row": scenario.release, "table": scenario.world().background}


class _Writer(pickle.Pickler):
    def __init__(self, stream: io.BytesIO, constants: Mapping[str, Any]) -> None:
        super().__init__(stream, protocol=pickle.HIGHEST_PROTOCOL)
        self._names: Final = {id(value): name for name, value in constants.items()}

    def persistent_id(self, value: Any) -> str | None:
        """A path's function is known by the path that it was made into, an enum's member by its name.

        Left to itself, pickle gives the latter in another way in each version of Python.
        """
        if isinstance(value, Enum):
            return f"{type(value).__module__}:{type(value).__name__}:{value.name}"
        if isinstance(value, FunctionType):
            name = f"{value.__module__}:{value.__name__}"
            path = getattr(sys.modules[value.__module__], value.__name__, None)
            if getattr(path, "__wrapped__", None) is value:
                return name
        return self._names.get(id(value))


class _Reader(pickle.Unpickler):
    """Makes nothing but natmodel's values, and finds the functions of the row's own modules."""

    def __init__(self, stream: io.BytesIO, constants: Mapping[str, Any]) -> None:
        super().__init__(stream)
        self._constants: Final = constants
        row = constants["row"]
        values = (getattr(row, field.name) for field in attrs.fields(type(row)))
        self._modules: Final = {getattr(value, "__module__", None) for value in values}

    def persistent_load(self, name: Any) -> Any:
        if name in self._constants:
            return self._constants[name]
        module, attribute, *member = name.split(":")
        if not _is_ours(module) and module not in self._modules:
            raise pickle.UnpicklingError(f"{name} is no path of the row")
        found = getattr(import_module(module), attribute)
        return found[member[0]] if member else found.__wrapped__

    def find_class(self, module: str, name: str) -> Any:
        if _is_ours(module) or (module, name) == ("fractions", "Fraction"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a search")


def _is_ours(module: str) -> bool:
    return module.split(".")[0] == "natmodel"
