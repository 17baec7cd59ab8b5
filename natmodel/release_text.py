# SPDX-License-Identifier: GPL-2.0-or-later
"""The releases table as text: all rows, one row, two rows side by side; and docs/releases.md.

A family is a group of fields that belong to one part of the kernel.  Its generations are lettered A, B,
C, ... in the order of the rows in which they are first met; a letter that differs from the row above is
marked.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from string import ascii_uppercase
from typing import Any, Final

import attrs

from natmodel.paths.nf_nat_l4proto_unique_tuple import ASK_SECURE_PORT
from natmodel.release import Release
from natmodel.values import proto_text

# heading -> (the fields whose values make a generation, what the family is)
FAMILIES: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "find": (("find_get", "find", "timer_per_entry", "table_per_net"), "look-up of a packet"),
    "taken": (("tuple_taken", "hash_zone_id"), "is a key taken?"),
    "hash": (("hash_conntrack_raw", "hash_bucket"), "hash of the conntrack table"),
    "link": (("confirm", "lock"), "confirm: locks and links"),
    "test": (("test_keys", "clash", "ext_add"), "confirm: tests and counters"),
    "clash": (
        ("resolve_clash", "merge", "resolve_clash_harder", "udp_refresh_unreplied"),
        "clash resolution",
    ),
    "lim": (("chain_limit", "rng_below"), "chain limit: least, width"),
    "tree": (("get_unique_tuple", "range_flags", "find_best_ips"), "choice of a tuple"),
    "used": (("used_tuple", "used_tuple_new", "used_tuple_harder"), "is a tuple used?"),
    "walk": (
        ("l4proto_unique_tuple", "port_window", "rng", "max_attempts", "secure_port"),
        "search for a port",
    ),
    "src": (
        ("find_appropriate_src", "bysource_zone_id", "hash_by_src", "setup_info"),
        "reuse by source",
    ),
    "l4": (
        ("trackers", "port_protocols", "allow_clash", "nat_ipv6", "null_binding_id", "zones"),
        "protocols, clashes allowed",
    ),
    "nfq": (("nf_reinject",), "what a queue gives back"),
}
SAME: Final = " "
CHANGED: Final = "*"


def field_of(k: Release, name: str) -> object:
    """A field of a row.  A function that nothing in NAT calls tells no rows apart."""
    if name == "secure_port" and k.l4proto_unique_tuple not in ASK_SECURE_PORT:
        return "not asked"
    return getattr(k, name)


def value_text(value: object) -> str:
    """A field of a row: a function's name, or the value itself."""
    if isinstance(value, frozenset):
        return " ".join(map(proto_text, sorted(value)))
    return str(getattr(value, "__name__", value))


def _values(k: Release, family: str) -> tuple[str, ...]:
    return tuple(value_text(field_of(k, name)) for name in FAMILIES[family][0])


def generations(rows: Sequence[Release], family: str) -> dict[tuple[str, ...], str]:
    """Values -> letter, in the order in which they are first met."""
    met = dict.fromkeys(_values(k, family) for k in rows)
    return dict(zip(met, ascii_uppercase, strict=False))


def marks(rows: Sequence[Release], family: str) -> list[tuple[str, bool]]:
    """For each row its generation's letter, and whether the row above has another one."""
    letters = generations(rows, family)
    found = [letters[_values(k, family)] for k in rows]
    return [
        (letter, n > 0 and letter != before)
        for n, (before, letter) in enumerate(zip(["", *found], found, strict=False))
    ]


# ── all rows ────────────────────────────────────────────────────────────────────────────────────


def table_lines(rows: Sequence[Release], width: int) -> Iterator[str]:
    """The table, what its letters mean, and what each row covers."""
    widest = max(len(k.name) for k in rows)
    columns = {family: marks(rows, family) for family in FAMILIES}
    yield f"{'':{widest}}  " + "".join(f"{family:<{_wide(family)}}" for family in FAMILIES).rstrip()
    for n, k in enumerate(rows):
        line = "".join(_cell(*columns[family][n], _wide(family)) for family in FAMILIES)
        yield f"{k.name:{widest}}  {line}".rstrip()
    yield ""
    yield f"{CHANGED} differs from the row above.  Below, a name is a function in natmodel/paths or"
    yield "natmodel/hashes."
    for family, (fields, title) in FAMILIES.items():
        yield from ("", *_filled(f"{family}: ", f"{title} ({', '.join(fields)})", width))
        for values, letter in generations(rows, family).items():
            yield from _filled(f"  {letter}  ", ", ".join(values), width)
    yield ""
    for k in rows:
        yield from _filled(f"{k.name:{widest}}  ", k.covers, width)


def _wide(family: str) -> int:
    return max(4, len(family) + 1)


def _cell(letter: str, changed: bool, width: int) -> str:
    return f"{letter}{CHANGED if changed else SAME}".ljust(width)


def _filled(first: str, text: str, width: int) -> list[str]:
    """`text` after `first`, wrapped under its own beginning."""
    room = " " * len(first)
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=room, break_on_hyphens=False
    ) or [first.rstrip()]


# ── one row ─────────────────────────────────────────────────────────────────────────────────────


def row_lines(k: Release, width: int) -> Iterator[str]:
    """Every field of a row."""
    yield from _filled(f"{k.name}  ", k.covers, width)
    names = [field.name for field in attrs.fields(Release)[2:]]
    widest = max(map(len, names))
    for name in names:
        yield from _filled(f"  {name:{widest}}  ", value_text(field_of(k, name)), width)


# ── two rows ────────────────────────────────────────────────────────────────────────────────────


def differing(a: Release, b: Release) -> list[str]:
    """The fields in which two rows differ."""
    names = [field.name for field in attrs.fields(Release)[2:]]
    return [n for n in names if value_text(field_of(a, n)) != value_text(field_of(b, n))]


def difference_lines(a: Release, b: Release, width: int) -> Iterator[str]:
    """What two rows differ in; of functions, the source side by side."""
    for k in (a, b):
        yield from _filled(f"{k.name}  ", k.covers, width)
    fields = differing(a, b)
    if not fields:
        yield from ("", "They are one row.")
    for name in fields:
        left, right = field_of(a, name), field_of(b, name)
        yield ""
        yield from _columns(f"{name}: {value_text(left)}", value_text(right), " ", width)
        if callable(left) and callable(right):
            yield from side_by_side(source_of(left), source_of(right), width)


def source_of(function: Any) -> list[str]:
    """The lines of a function of ours; what is no function has none."""
    body = getattr(function, "__wrapped__", function)
    if not inspect.isfunction(body):
        return []
    return textwrap.dedent(inspect.getsource(body)).rstrip().split("\n")


def side_by_side(left: Sequence[str], right: Sequence[str], width: int) -> Iterator[str]:
    """Two texts in two columns: `|` between lines that differ, `<` and `>` where one has no partner."""
    for tag, a, b, c, d in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        ours, theirs = list(left[a:b]), list(right[c:d])
        for n in range(max(len(ours), len(theirs))):
            one = ours[n] if n < len(ours) else None
            two = theirs[n] if n < len(theirs) else None
            sign = " " if tag == "equal" else "<" if two is None else ">" if one is None else "|"
            yield from _columns(one or "", two or "", sign, width)


def _columns(left: str, right: str, sign: str, width: int) -> Iterator[str]:
    """Two cells of one line, each wrapped in its own half."""
    room = (width - 3) // 2
    ones, twos = _wrapped(left, room), _wrapped(right, room)
    for n in range(max(len(ones), len(twos))):
        one = ones[n] if n < len(ones) else ""
        two = twos[n] if n < len(twos) else ""
        yield f"{one:<{room}} {sign} {two}".rstrip()


def _wrapped(line: str, room: int) -> list[str]:
    """A line of code in lines of at most `room`, the later ones indented further."""
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.wrap(
        line.strip(), room, initial_indent=indent, subsequent_indent=indent + "    "
    ) or [""]


# ── docs/releases.md ────────────────────────────────────────────────────────────────────────────


def markdown(rows: Sequence[Release], notes: dict[str, str]) -> str:
    """The page docs/releases.md.  `notes` says of each row what is new in it."""
    return "\n".join(_page(rows, notes)) + "\n"


def _page(rows: Sequence[Release], notes: dict[str, str]) -> Iterator[str]:
    yield "# Releases"
    yield ""
    yield "Made from natmodel/releases by `natmodel releases --format markdown`; do not edit it."
    yield ""
    yield "A row is named for the tree that it was held against. A letter is a generation of a part of"
    yield "the kernel; a bold one differs from the row above. `natmodel releases A B` shows two rows"
    yield 'side by side, and `natmodel releases --of "$(uname -a)"` says which row a kernel is.'
    yield ""
    yield "| release | " + " | ".join(FAMILIES) + " |"
    yield "|---|" + "---|" * len(FAMILIES)
    columns = {family: marks(rows, family) for family in FAMILIES}
    for n, k in enumerate(rows):
        cells = (columns[family][n] for family in FAMILIES)
        yield f"| {k.name} | " + " | ".join(f"**{c}**" if new else c for c, new in cells) + " |"
    yield from ("", "## Rows")
    for k in rows:
        yield from ("", f"### {k.name}", "", f"{k.covers}.", "", notes[k.name])
    yield from ("", "## Generations")
    for family, (fields, title) in FAMILIES.items():
        yield from ("", f"### {family}: {title}", "")
        yield "| | " + " | ".join(f"`{name}`" for name in fields) + " |"
        yield "|---|" + "---|" * len(fields)
        for values, letter in generations(rows, family).items():
            yield f"| {letter} | " + " | ".join(f"`{v}`" if v else "" for v in values) + " |"


def notes_of(rows: Sequence[Release], modules: Sequence[Any]) -> dict[str, str]:
    """Row name -> the text under it in its module."""
    notes: dict[str, str] = {}
    for module in modules:
        lines = inspect.getsource(module)
        for k in rows:
            _, found, rest = lines.partition(f'\n    name="{k.name}",\n')
            if found:
                notes[k.name] = rest.partition('\n)\n"""')[2].partition('"""')[0].strip()
    return notes
