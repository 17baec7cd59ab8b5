# SPDX-License-Identifier: GPL-2.0-or-later
"""The file form of a scenario: TOML or JSON with the keys of `scenario.schema.json`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from natmodel.errors import BadInput
from natmodel.nat_text import shown

SCHEMA: Final = "natmodel.scenario/1"

_FILE_SIZE: Final = 16 << 20


def shown_name(name: str) -> str:
    """A file's name, quoted only if it would not be one plain line."""
    return name if name.isprintable() else shown(name)


def read(path: str | Path) -> str:
    """The file's text.  Raises BadInput, naming the file."""
    name = shown_name(str(path))
    try:
        with open(path, "rb") as file:
            raw = file.read(_FILE_SIZE + 1)
    except OSError as error:
        raise BadInput(f"{name}: {error.strerror or error}") from None
    except ValueError:  # a name with a NUL in it
        raise BadInput(f"{name}: no file can have this name") from None
    if len(raw) > _FILE_SIZE:
        raise BadInput(f"{name}: too big for a scenario")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise BadInput(f"{name}: not a text file (byte {error.start})") from None
    if "\0" in text:
        raise BadInput(f"{name}: not a text file (byte {raw.index(0)})")
    return text


def _load_toml(text: str) -> object:
    import tomllib

    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"not TOML: {_one_line(error)}") from None


def _load_json(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"not JSON: {_one_line(error)}") from None


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    data = dict(pairs)
    if len(data) < len(pairs):
        raise ValueError(f"a key is given twice among {shown([key for key, _ in pairs])}")
    return data


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if text.isprintable() and len(text) <= 200 else shown(text)


def fields(text: str, name: str) -> dict[str, Any]:
    """The fields of the scenario that a file holds."""
    is_json = name.endswith(".json") or text.lstrip().startswith("{")
    data = _load_json(text) if is_json else _load_toml(text)
    if not isinstance(data, dict):
        raise BadInput("not a scenario: an object with keys is needed")
    for key in data:
        if key not in _READERS:
            raise BadInput(f"unknown key {shown(key)}; known are {', '.join(_READERS)}")
    if "packets" not in data:
        raise BadInput("the key 'packets' is missing")
    found = {key: _READERS[key](key, value) for key, value in data.items()}
    found.pop("schema", None)
    return found


def _schema(key: str, value: object) -> str:
    if value != SCHEMA:
        raise BadInput(f"{key}: {shown(value)} is not {SCHEMA!r}")
    return SCHEMA


def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise BadInput(f"{key}: a text is needed, not {shown(value)}")
    return value


def _texts(key: str, value: object) -> list[str]:
    if not isinstance(value, list):
        raise BadInput(f"{key}: a list of texts is needed, not {shown(value)}")
    return [_text(key, item) for item in value]


def _ports_or_texts(key: str, value: object) -> list[str]:
    """A port may be written as a number."""
    if not isinstance(value, list):
        raise BadInput(f"{key}: a list is needed, not {shown(value)}")
    return [str(item) if type(item) is int else _text(key, item) for item in value]


def _whole(key: str, value: object) -> int:
    if type(value) is not int:
        raise BadInput(f"{key}: a whole number is needed, not {shown(value)}")
    return value


def _seconds(key: str, value: object) -> str:
    """A list of numbers, as the text that the command line has for it."""
    if not isinstance(value, list) or any(type(item) not in (int, float) for item in value):
        raise BadInput(f"{key}: a list of seconds is needed, not {shown(value)}")
    return ",".join(map(repr, value))


def _by_protocol(key: str, value: object) -> dict[str, int]:
    if not isinstance(value, dict):
        raise BadInput(f"{key}: protocols and numbers are needed, not {shown(value)}")
    return {name: _whole(f"{key}.{shown_name(name)}", number) for name, number in value.items()}


_READERS: Final[dict[str, Callable[[str, object], object]]] = {
    "schema": _schema,
    "kernel": _text,
    "nat": _texts,
    "packets": _texts,
    "cpus": _whole,
    "occupied": _ports_or_texts,
    "outside": _text,
    "rover": _by_protocol,
    "boot": _text,
    "retransmit": _seconds,
}


def json_text(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=2) + "\n"


def toml_text(data: dict[str, Any]) -> str:
    return "".join(f"{key} = {_toml(value)}\n" for key, value in data.items())


def _toml(value: object) -> str:
    """A value of the file form.  Its texts are ASCII, which JSON and TOML quote alike."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list) and len(value) > 1:
        return "[\n" + "".join(f"  {_toml(item)},\n" for item in value) + "]"
    return json.dumps(value)
