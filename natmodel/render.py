# SPDX-License-Identifier: GPL-2.0-or-later
"""A trace as text: one lane for each cpu, time down, the shared memory at the right.

No line is wider than asked for (at least MIN_WIDTH).  Lines carry a style, which only says again
what the text says; nothing here needs a terminal.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import count
from typing import Final

import attrs

from natmodel.nat_text import ICMPS, Ports, flow_text, occupied_texts
from natmodel.odds import Odds
from natmodel.ops import Node
from natmodel.releases import RELEASES
from natmodel.scenario import Scenario, seconds_text
from natmodel.schedule import CPUS
from natmodel.trace import Cause, Kind, PacketEnd, Row, Trace, What
from natmodel.values import (
    IP_CT_DIR_ORIGINAL,
    IPPROTO_GRE,
    NF_DROP,
    PROTO_NAMES,
    CtTuple,
    address_text,
    endpoint_text,
    nf_ct_invert_tuple,
    proto_text,
)
from natmodel.verdict import Quantifier, Verdict

MIN_WIDTH: Final = 60
USUAL_WIDTH: Final = 80
# From here on there is room for the column `in`.
WIDE: Final = 100

_GAP: Final = "  "
_INDENT: Final = " " * 4
_LANE: Final = 25
_NARROWEST_LANE: Final = 14
_WORLD: Final = 12
# A run of at least so many look-ups that differ in the port only is shortened.
_LONG_RUN: Final = 8


@attrs.frozen
class Line:
    """One line of text; `style` is "", "bold", "dim" or "red"."""

    text: str
    style: str = ""


def plain(lines: Iterable[Line], *, ascii: bool = False) -> str:
    """The lines as one text."""
    text = "".join(line.text + "\n" for line in lines)
    return text.translate(_TO_ASCII) if ascii else text


# What lines are drawn with; all else is ASCII.
DRAWN: Final = "─⋮"
_TO_ASCII: Final = str.maketrans(DRAWN, "-:")


def text(trace: Trace, width: int = USUAL_WIDTH, *, ascii: bool = False) -> str:
    """The whole trace, as `natmodel replay` prints it."""
    return plain(trace_lines(trace, width), ascii=ascii)


# ── names of keys ───────────────────────────────────────────────────────────────────────────────


@attrs.frozen
class _Shape:
    """Keys that differ in one port (ICMP: id, GRE: key) only; `on_dport` says in which."""

    t: CtTuple
    on_dport: bool

    def number(self, t: CtTuple) -> int | None:
        """t's port, if t has this shape."""
        number = t.dport if self.on_dport else t.sport
        return number if self._with(t, 0) == self._with(self.t, 0) else None

    def _with(self, t: CtTuple, number: int) -> CtTuple:
        return t.with_dport(number) if self.on_dport else t.with_sport(number)

    @property
    def word(self) -> str:
        """What the number is."""
        if self.t.protonum in ICMPS:
            return "ID"
        return "KEY" if self.t.protonum == IPPROTO_GRE else "PORT"

    def __str__(self) -> str:
        return _flow(self.t, None if self.on_dport else self.word, self.word)


def _flow(t: CtTuple, sport: str | None, dport: str) -> str:
    """A tuple's text with a word for one of its ports."""
    ends = address_text(t.l3num, t.src), address_text(t.l3num, t.dst)
    proto = proto_text(t.protonum)
    if t.protonum in ICMPS:
        kind, code = divmod(t.dport, 256)
        return f"{proto} {ends[0]} > {ends[1]} id ID type {kind}/{code}"
    if t.protonum == IPPROTO_GRE:
        left, right = (sport, t.dport) if sport else (t.sport, dport)
        return f"{proto} {ends[0]} > {ends[1]} key {left}/{right}"
    marked = endpoint_text(t.l3num, t.src if sport else t.dst, 0)[:-1] + dport
    if sport:
        return f"{proto} {marked} > {endpoint_text(t.l3num, t.dst, t.dport)}"
    return f"{proto} {endpoint_text(t.l3num, t.src, t.sport)} > {marked}"


# Steps whose key is one that answers have.
_OF_REPLIES: Final = (What.TAKEN, What.KILL, What.CONFIRM, What.AT_ONCE, What.LINK)


class _Keys:
    """Short names for the keys of one trace, and the legend that explains them.

    A packet's own tuple is ORIGINAL and the answer to it REPLY.  The others are named by the port
    in which they differ, with a letter in front if there are several such families.
    """

    def __init__(self, trace: Trace) -> None:
        self._specs = trace.packets
        self._cpus = trace.scenario.cpus
        self._shapes: list[_Shape] = []
        self._replies = {row.key for row in trace.rows if row.what in _OF_REPLIES}
        for row in trace.rows:
            for key in (row.key, *(node.t for node in shown_nodes(row))):
                if key is not None and self._role(key, row.packet) is None:
                    self._learn(key, row.on_dport)

    def _learn(self, key: CtTuple, on_dport: bool) -> None:
        if all(shape.number(key) is None for shape in self._shapes):
            self._shapes.append(_Shape(key, on_dport))

    def _role(self, key: CtTuple, packet: int | None) -> str | None:
        if packet is None or packet >= len(self._specs):
            return None
        t = self._specs[packet].t
        names = {t: "ORIGINAL", nf_ct_invert_tuple(t): "REPLY"}
        if key not in names:
            return None
        several = len(self._specs) > self._cpus
        return names[key] + (f" {packet}" if several else "")

    def name(self, key: CtTuple, packet: int | None) -> str:
        """The key's name in a lane in which this packet is on its way."""
        role = self._role(key, packet)
        if role is not None:
            return role
        for n, shape in enumerate(self._shapes):
            number = shape.number(key)
            if number is not None:
                return self._named(n, str(number) if _has_number(key) else "")
        return str(key)

    def _named(self, n: int, number: str) -> str:
        letter = "" if len(self._shapes) == 1 and number else _letters(n)
        return letter + (":" if letter and number else "") + number

    def legend(self) -> Iterator[tuple[str, str]]:
        """(name, what it stands for)"""
        for n, shape in enumerate(self._shapes):
            is_reply = any(key and shape.number(key) is not None for key in self._replies)
            kind = "reply tuple " if is_reply else ""
            if _has_number(shape.t):
                yield self._named(n, shape.word), f"{kind}{shape}"
            else:
                yield self._named(n, ""), kind + flow_text(shape.t)


def _has_number(t: CtTuple) -> bool:
    return t.protonum in PROTO_NAMES


def _letters(n: int) -> str:
    """A, B, ..., Z, AA, AB, ..."""
    return (_letters(n // 26 - 1) if n >= 26 else "") + chr(ord("A") + n % 26)


def shown_nodes(row: Row) -> Iterator[Node]:
    """Of the nodes that a step links or unlinks, those that the table's column shows.

    An entry is shown by its reply tuple; by ORIGINAL only if that alone is linked.
    """
    for nodes in (row.added, row.removed):
        replies = {node.ct.id for node in nodes if node.direction}
        yield from (node for node in nodes if node.direction or node.ct.id not in replies)


# ── what a lane shows ───────────────────────────────────────────────────────────────────────────


@attrs.frozen
class _Cell:
    """What a step asks, and the answer, which stands at the lane's right edge."""

    left: str
    right: str = ""

    @property
    def width(self) -> int:
        return len(self.left) + (len(self.right) + 1 if self.right else 0)

    def text(self, width: int) -> str:
        return f"{self.left:<{width - len(self.right)}}{self.right}"


def _cell(row: Row, keys: _Keys, short: bool) -> _Cell:
    key = "" if row.key is None else keys.name(row.key, row.packet)
    match row.what:
        case What.FIND:
            name = key.replace("ORIGINAL", "ORIG") if short else key
            return _Cell(f"find {name}", "found" if row.answer else "none")
        case What.TAKEN:
            return _Cell(f"{key}?" if short else f"tuple_taken {key}", _yes_or_no(row))
        case What.KILL:
            return _Cell(f"kill {key}" if short else f"nf_ct_kill {key}", _yes_or_no(row))
        case What.CONFIRM | What.AT_ONCE:
            return _Cell(row.what.value if short else f"{row.what.value} {key}", _ended(row))
        case What.BYSOURCE:
            return _Cell("bysource", f"{row.answer} hit" if row.answer else "none")
        case What.ROVER_STORE:
            return _Cell(f"rover := {row.answer}")
        case What.SET_TIMER | What.TIMER_FIRES:
            assert row.answer is not None
            return _Cell(row.what.value, f"{seconds_text(row.answer)} s")
    left = row.what.value
    if row.what is What.OTHER or (row.what is What.RANDOM and not short):
        left = row.function
    return _Cell(left, "" if row.answer is None else str(row.answer))


def _yes_or_no(row: Row) -> str:
    return "yes" if row.answer else "no"


_ENDED: Final = {
    "inserted": "ok",
    "merged with the winner": "merged",
    "inserted for replies only": "reply",
    # in a row of one's own, a clash need not be the packet's end
    "clash": "clash",
}


def _ended(row: Row) -> str:
    assert row.done is not None
    return "DROP" if row.done.verdict == NF_DROP else _ENDED.get(row.done.cause, "ok")


# ── columns ─────────────────────────────────────────────────────────────────────────────────────


@attrs.frozen
class _Line:
    """One line of the table: a step, or a run of steps that is left out."""

    number: str
    cpu: int | None
    cell: _Cell
    table: str
    hint: str
    where: str
    style: str


def _body(trace: Trace, keys: _Keys, short: bool) -> list[_Line]:
    """The state at the start, then the steps."""
    first = _Line("", None, _Cell(""), _start(trace), _first_hint(trace), "", "")
    lines = [first]
    for run in _runs(trace.rows):
        if len(run) < _LONG_RUN:
            lines += [_step_line(row, keys, short) for row in run]
            continue
        more = _Cell(f"⋮ {len(run) - 2} more")
        lines.append(_step_line(run[0], keys, short))
        lines.append(_Line("", run[0].cpu, more, "", "", "", "dim"))
        lines.append(_step_line(run[-1], keys, short))
    return lines


def _step_line(row: Row, keys: _Keys, short: bool) -> _Line:
    looks = row.is_look_up or row.what is What.BYSOURCE
    style = "dim" if looks and not row.in_cause else ""
    return _Line(
        number=str(row.step),
        cpu=row.cpu,
        cell=_cell(row, keys, short),
        table=_table_change(row, keys),
        hint=" ".join(str(value) for _, value in row.hints),
        where=_where(row),
        style="red" if row.drops else style,
    )


def _runs(rows: tuple[Row, ...]) -> Iterator[list[Row]]:
    """Steps of a walk past used ports, together; every other step alone."""
    run: list[Row] = []
    for row in rows:
        if run and not (_is_walk(row) and row.cpu == run[0].cpu):
            yield run
            run = []
        if _is_walk(row):
            run.append(row)
        else:
            yield [row]
    if run:
        yield run


def _is_walk(row: Row) -> bool:
    if row.in_cause or row.added or row.removed:
        return False
    return row.what is What.ID_INCREMENT or (row.is_look_up and row.answer is True)


def _table_change(row: Row, keys: _Keys) -> str:
    added = {node.ct.id for node in row.added}
    return " ".join(
        f"{'+' if node.ct.id in added else '-'}{keys.name(node.t, row.packet)}"
        for node in shown_nodes(row)
    )


def _start(trace: Trace) -> str:
    """What the table holds at the start."""
    occupied = trace.scenario.occupied
    if not trace.table_size:
        return "empty"
    texts = occupied_texts(occupied)
    if all(isinstance(item, Ports) for item in occupied) and len(texts[0]) <= _WORLD:
        return texts[0]
    return "1 entry" if trace.table_size == 1 else f"{trace.table_size} entries"


_HINTED: Final = {
    What.ROVER_LOAD: "rover",
    What.ROVER_STORE: "rover",
    What.ID_LOAD: "id",
    What.ID_INCREMENT: "id",
}


def _hint_name(trace: Trace) -> str:
    """The header of the hints' column; "" if no step looks at one."""
    return next((_HINTED[row.what] for row in trace.rows if row.what in _HINTED), "")


def _first_hint(trace: Trace) -> str:
    return " ".join(str(value) for _, value in trace.hints) or "0"


# Whose questions the lane names already.
_ASKING: Final = ("nf_nat_used_tuple", "find_get_once", "find_get_per_zone_id")


def _where(row: Row) -> str:
    """The innermost path, but for those that only ask."""
    return next((name for name in reversed(row.frames) if name not in _ASKING), "")


@attrs.frozen
class _Layout:
    """The widths of the columns; `lane` is 0 where all cpus share one lane."""

    cpus: int
    number: int
    lane: int
    table: int
    hint: int
    where: int

    def line(self, cells: Sequence[str], table: str, hint: str, where: str) -> str:
        parts = [f"{cells[0]:<{self.number}}"]
        parts += [f"{cell:<{self.lane}}" for cell in cells[1:]]
        parts.append(f"{table:<{self.table}}")
        if self.hint:
            parts.append(f"{hint:>{self.hint}}")
        if self.where:
            parts.append(where[: self.where])
        return _GAP.join(parts).rstrip()


def _table(trace: Trace, keys: _Keys, width: int) -> Iterator[Line]:
    """The lanes, as wide as they need to be and the width allows."""
    bodies = [_body(trace, keys, short) for short in (False, True)]
    for lanes in dict.fromkeys((trace.scenario.cpus, 1)):
        for wide in (True, False) if width >= WIDE else (False,):
            for body in bodies:
                layout = _fit(trace, body, width, lanes, wide)
                if layout is not None:
                    made = _in_lanes if lanes == trace.scenario.cpus else _in_one_lane
                    yield from made(trace, layout, body)
                    return
    raise AssertionError(f"a trace needs {MIN_WIDTH} columns")


def _fit(trace: Trace, body: list[_Line], width: int, lanes: int, wide: bool) -> _Layout | None:
    """A layout in which every cell has room, or None; with a column `in` if `wide`."""
    hint = _hint_name(trace)
    heads = [len(_head(trace, cpu)) for cpu in range(lanes)]
    number = max(2, len(str(len(trace.rows))))
    table = max(len("conntrack"), *(len(line.table) for line in body))
    hints = max(len(hint), *(len(line.hint) for line in body)) if hint else 0
    need = max(line.cell.width for line in body)
    room = width - number - len(_GAP) - table - (len(_GAP) + hints if hint else 0)
    where = 0
    if wide:
        where = min(max(2, *(len(line.where) for line in body)), 26)
        room -= where + len(_GAP)
    if lanes == 1 and trace.scenario.cpus > 1:
        room -= len("cpu") + len(_GAP)
    lane = min(room // lanes - len(_GAP), max(_LANE, need, *heads))
    if lane < max(need, _NARROWEST_LANE if lanes > 1 else 0):
        return None
    return _Layout(trace.scenario.cpus, number, lane, table, hints, where)


def _in_lanes(trace: Trace, layout: _Layout, body: list[_Line]) -> Iterator[Line]:
    cpus, hint = range(layout.cpus), _hint_name(trace)
    full = [_head(trace, cpu) for cpu in cpus]
    heads = full if max(map(len, full)) <= layout.lane else [_cpu(cpu) for cpu in cpus]
    yield Line(layout.line(["", *heads], "conntrack", hint, "in"), "bold")
    rules = ["─" * layout.lane for _ in cpus]
    yield Line(layout.line(["", *rules], "─" * layout.table, "─" * layout.hint, "─" * layout.where))
    for line in body:
        cells = [line.cell.text(layout.lane) if line.cpu == cpu else "" for cpu in cpus]
        number = f"{line.number:>{layout.number}}"
        yield Line(layout.line([number, *cells], line.table, line.hint, line.where), line.style)


def _in_one_lane(trace: Trace, layout: _Layout, body: list[_Line]) -> Iterator[Line]:
    """For cpus that have no room beside each other."""

    def made(number: str, cpu: str, cell: str, line: tuple[str, str, str]) -> str:
        return layout.line([f"{number:>{layout.number}}  {cpu:>3}", cell], *line)

    yield Line(made("", "cpu", "", ("conntrack", _hint_name(trace), "in")), "bold")
    rules = ("─" * layout.table, "─" * layout.hint, "─" * layout.where)
    yield Line(made("", "───", "─" * layout.lane, rules))
    for line in body:
        cpu = "" if line.cpu is None else CPUS[line.cpu]
        cells = line.table, line.hint, line.where
        yield Line(made(line.number, cpu, line.cell.text(layout.lane), cells), line.style)


def _head(trace: Trace, cpu: int) -> str:
    """cpu 0, and its packet's source."""
    mine = trace.packets[cpu :: trace.scenario.cpus]
    t = mine[0].t
    source = endpoint_text(t.l3num, t.src, t.sport)
    if t.protonum in ICMPS or t.protonum == IPPROTO_GRE or not _has_number(t):
        source = address_text(t.l3num, t.src)
    if len(mine) > 1:
        source = f"{len(mine)} packets"
    return f"{_cpu(cpu)}{_GAP}{source}"


# ── sentences ───────────────────────────────────────────────────────────────────────────────────


def sentence(trace: Trace, cause: Cause) -> str:
    """Why the packet was dropped, in one sentence with step numbers."""
    return _sentence(trace, cause, _Keys(trace))


def _sentence(trace: Trace, cause: Cause, keys: _Keys) -> str:
    cpu = _cpu(cause.cpu)
    confirm = f"at step {cause.step} {cpu}'s confirm"
    if cause.kind is Kind.CHAIN_TOO_LONG:
        return f"{confirm} found a chain longer than its limit: dropped."
    if cause.kind is Kind.OTHER or cause.key is None:
        return f"{confirm} ended with '{cause.text}': dropped."
    key = keys.name(cause.key, cause.packet)
    end = f"{confirm} found it taken: dropped."
    if cause.direction == IP_CT_DIR_ORIGINAL:
        return f"{_about_original(trace, cause)}; {confirm} found it: dropped."
    if cause.kind is Kind.AT_ONCE:
        one_step = f"at step {cause.step} {cpu}, which chooses and confirms in one step"
        return f"{_winner(trace, cause, key)}; {one_step}, found it taken: dropped."
    return f"{_about_choice(trace, cause, key)}; {end}"


def _about_choice(trace: Trace, cause: Cause, key: str) -> str:
    cpu, at = _cpu(cause.cpu), f"at step {cause.looked}"
    match cause.kind:
        case Kind.RACE if cause.evicted:
            first = f"{cpu} evicted the entry that held {key} {at}"
        case Kind.RACE:
            first = f"{cpu} saw {key} free {at}"
        case Kind.EXHAUSTED if cause.one_port:
            return f"{cpu} saw {key} taken {at}, and has no other port"
        case Kind.EXHAUSTED:
            return f"{cpu} saw {key} taken {at}, and had nothing left to try"
        case Kind.UNSEEN:
            only = "its one port" if cause.one_port else "the last it tried"
            first = f"{cpu} took {key}, {only}, without a look"
        case Kind.LET_PASS:
            return f"{cpu} saw {key} taken {at}, by its own reverse as it seemed, and kept it"
        case _:
            skipped = f"the look-up of {key} {at} passed over the entry that held it"
            return f"{skipped}: {_why_passed_over(trace, cause)}"
    return f"{first}; {_winner(trace, cause, 'it')}"


def _about_original(trace: Trace, cause: Cause) -> str:
    cpu = _cpu(cause.cpu)
    saw = f"{cpu} found no entry with its ORIGINAL tuple at step {cause.looked}"
    if cause.kind is Kind.SAME_ORIGINAL:
        return f"{saw}; {_winner(trace, cause, 'one')}"
    return f"{saw}; {_winner(trace, cause, 'an entry with it as reply tuple')}"


def _winner(trace: Trace, cause: Cause, what: str) -> str:
    """Who took the key, and when."""
    if cause.taken is None:
        return f"an entry holds {what} from the start"
    row = trace.rows[cause.taken - 1]
    verb = "linked" if row.what is What.LINK else "confirmed"
    return f"{_cpu(row.cpu)} {verb} {what} at step {cause.taken}"


def _why_passed_over(trace: Trace, cause: Cause) -> str:
    done = trace.rows[cause.step - 1].done
    assert done is not None
    if done.clash is not None and done.clash.orig == done.ct.orig:
        return "it has the same ORIGINAL tuple"
    return "it did not count"


def _cpu(cpu: int) -> str:
    return f"cpu {CPUS[cpu]}"


# ── around the table ────────────────────────────────────────────────────────────────────────────


def trace_lines(
    trace: Trace,
    width: int = USUAL_WIDTH,
    *,
    title: str | None = None,
    source: str | None = None,
    notes: Sequence[tuple[str, str]] = (),
) -> Iterator[Line]:
    """The whole trace.

    `title` replaces the first words, `source` is the scenario's file if it came from one, and
    `notes` are more (label, text) pairs to stand under the table.
    """
    keys = _Keys(trace)
    yield from _headline(title or _outcome(trace), trace.scenario, width)
    yield from _wrapped("schedule", _schedule(trace, width), width)
    yield Line("")
    yield from _legend(trace, keys, width)
    yield Line("")
    yield from _table(trace, keys, width)
    yield Line("")
    for cause in trace.causes:
        yield from _paragraph(_sentence(trace, cause, keys), width)
    if trace.causes:
        yield Line("")
    for label, what in (*_endings(trace), *notes):
        yield from _wrapped(f"{_INDENT}{label:<9}", what, width)
    if trace.scenario.release is RELEASES.get(trace.scenario.release.name):
        yield from again(trace, width, source)


def _outcome(trace: Trace) -> str:
    if trace.dropped > 1:
        return f"{trace.dropped} packets are dropped"
    if trace.dropped:
        return "a packet is dropped"
    return "no packet is dropped" + ("" if trace.finished else " so far")


def _headline(title: str, s: Scenario, width: int) -> Iterator[Line]:
    """The verdict at the left; kernel, rules, cpus at the right, or below if there is no room."""
    parts = [
        f"kernel {s.release.name}",
        *(map(str, s.nat) if s.nat else ["no rule"]),
        f"{s.cpus} cpu{'s' * (s.cpus != 1)}",
    ]
    right = _GAP.join(parts)
    if len(title) + len(_GAP) + len(right) <= width:
        yield Line(f"{title:<{width - len(right)}}{right}", "bold")
        return
    yield Line(title, "bold")
    for line in _wrap(right, width):
        yield Line(f"{line:>{width}}")


def _schedule(trace: Trace, width: int, label: str = "schedule") -> str:
    """The schedule, with its length at the right edge if it fits on the line after `label`."""
    written = str(trace.schedule)
    steps, switches = len(trace.schedule), trace.schedule.switches
    length = f"{steps} step{'s' * (steps != 1)}, {switches} switch{'es' * (switches != 1)}"
    room = width - len(label) - len(_GAP) - len(written)
    return written + (f"{length:>{room}}" if len(length) + 2 <= room else f"  {length}")


def _legend(trace: Trace, keys: _Keys, width: int) -> Iterator[Line]:
    names = [(_packet_name(trace.scenario, n), str(spec)) for n, spec in enumerate(trace.packets)]
    names += keys.legend()
    longest = max(len(name) for name, _ in names)
    for name, what in names:
        yield from _wrapped(f"{name:<{longest}}", what, width)


def _packet_name(s: Scenario, packet: int) -> str:
    """The cpu it is on, and its number if there are several on a cpu."""
    name = _cpu(packet % s.cpus)
    return f"{name}/{packet}" if len(s.packets) > s.cpus else name


def _ends_of_packets(trace: Trace) -> Iterator[tuple[str, str]]:
    for end in trace.ends:
        yield _packet_name(trace.scenario, end.packet), _ending(end)


def _endings(trace: Trace) -> Iterator[tuple[str, str]]:
    yield from _ends_of_packets(trace)
    counted = [
        f"cpu={cpu} " + " ".join(f"{name}={n}" for name, n in counts)
        for cpu, counts in enumerate(trace.counters)
        if counts
    ]
    if counted:
        yield "counters", "; ".join(counted)
    yield "bound", trace.scenario.bound()


def _ending(end: PacketEnd) -> str:
    words = end.ending.value
    if end.at:
        words += f" after {seconds_text(end.at)} s"
    if end.ct is not None:
        words += f" as {flow_text(nf_ct_invert_tuple(end.ct.reply))}"
    return words + (f": {end.text}" if end.text not in ("", "inserted") else "")


# ── verdicts ────────────────────────────────────────────────────────────────────────────────────

_TITLES: Final = {
    Quantifier.NEVER: "no packet is dropped",
    Quantifier.SOMETIMES: "a packet is dropped",
    Quantifier.ALWAYS: "every schedule drops a packet",
    Quantifier.UNKNOWN: "not decided",
}


def verdict_lines(
    verdict: Verdict, trace: Trace | None, width: int = USUAL_WIDTH, *, source: str | None = None
) -> Iterator[Line]:
    """The answer, its bound, what was explored, and the shortest schedule that drops a packet."""
    title, states = _TITLES[verdict.quantifier], ("states", _explored(verdict))
    if trace is not None:
        yield from trace_lines(trace, width, title=title, source=source, notes=[states])
        return
    yield from _headline(title, verdict.scenario, width)
    yield Line("")
    for n, spec in enumerate(verdict.scenario.packets):
        name = _packet_name(verdict.scenario, n)
        yield from _wrapped(f"{_INDENT}{name:<9}", str(spec), width)
    for label, what in (("bound", verdict.bound), states):
        yield from _wrapped(f"{_INDENT}{label:<9}", what, width)


def outcome_lines(
    verdict: Verdict,
    traces: Sequence[Trace],
    width: int = USUAL_WIDTH,
    *,
    source: str | None = None,
) -> Iterator[Line]:
    """Every outcome, with a shortest schedule that ends so: `traces` are those of verdict.outcomes."""
    yield from _headline(_TITLES[verdict.quantifier], verdict.scenario, width)
    yield Line("")
    for n, spec in enumerate(verdict.scenario.packets):
        yield from _wrapped(_packet_name(verdict.scenario, n), str(spec), width)
    for n, trace in enumerate(traces, 1):
        yield Line("")
        yield Line(f"{n:>2}  {_outcome(trace)}", "bold")
        for name, what in _ends_of_packets(trace):
            yield from _wrapped(f"{_INDENT}{name:<9}", what, width)
        indent = f"{_INDENT}{'schedule':<9}"
        yield from _wrapped(indent, _schedule(trace, width, indent), width)
    yield Line("")
    how_many = "all" if verdict.explored.complete else "not all: the search was given up"
    yield from _wrapped(f"{_INDENT}{'outcomes':<9}", f"{len(traces)}, {how_many}", width)
    for label, what in (("bound", verdict.bound), ("states", _all_explored(verdict))):
        yield from _wrapped(f"{_INDENT}{label:<9}", what, width)
    if traces and verdict.scenario.release is RELEASES.get(verdict.scenario.release.name):
        yield from again(traces[-1], width, source)


def odds_lines(odds: Odds, width: int = USUAL_WIDTH) -> Iterator[Line]:
    """How probable drops are, for each scheduler: decimal, and exact."""
    titles = {0: "no packet is dropped", 1: "a packet may be dropped", 3: "not decided"}
    yield from _headline(titles[odds.exit_code], odds.scenario, width)
    yield Line("")
    for n, spec in enumerate(odds.scenario.packets):
        yield from _wrapped(_packet_name(odds.scenario, n), str(spec), width)
    yield Line("")
    if odds.complete:
        yield Line("P(some packet is dropped)", "bold")
        for name, p in _some_dropped(odds):
            yield from _probability(name, p, width)
        for title, distribution in _distributions(odds):
            yield Line("")
            yield Line(title, "bold")
            for label, p in distribution:
                yield from _probability(label, p, width)
        yield Line("")
    states = f"{odds.states}" if odds.complete else f"{odds.states} seen, when it was given up"
    if odds.groups is not None:
        states += f", of {odds.groups} groups of packets that can meet"
    for label, what in (("bound", odds.scenario.bound()), ("states", states)):
        yield from _wrapped(f"{_INDENT}{label:<9}", what, width)


def _some_dropped(odds: Odds) -> Iterator[tuple[str, Fraction]]:
    """(scheduler, P), the least first where that is sure."""
    assert odds.best is not None
    assert odds.worst is not None
    yield "best", odds.best
    for name in ("arrivals", "uniform", "overlap"):
        distribution = getattr(odds, name)
        if distribution is not None:
            yield "full overlap" if name == "overlap" else name, 1 - distribution[0]
    yield "worst", odds.worst


def _distributions(odds: Odds) -> Iterator[tuple[str, list[tuple[str, Fraction]]]]:
    """What is told by number of packets, or by time."""
    for name, title in (
        ("arrivals", "arrivals"),
        ("uniform", "uniform"),
        ("overlap", "full overlap"),
    ):
        distribution = getattr(odds, name)
        if distribution is not None and any(distribution[2:]):
            counted = [(str(n), p) for n, p in enumerate(distribution) if p]
            yield f"P(so many drops), {title}", counted
    if odds.delays is not None:
        times = [
            ("never" if at is None else f"{seconds_text(at)} s", p) for at, p in odds.delays.items()
        ]
        yield "P(the last packet is through after), uniform", times


def _probability(name: str, p: Fraction, width: int) -> Iterator[Line]:
    """A decimal of seven digits, and the fraction unless the decimal is exact."""
    decimal = f"{float(p):.7g}"
    exact = "" if Fraction(decimal) == p else str(p)
    yield from _wrapped(f"{_INDENT}{name:<13}{decimal:<13}", exact, width)


def _all_explored(verdict: Verdict) -> str:
    explored = verdict.explored
    seen = f"{explored.states} seen"
    if explored.complete:
        return f"{seen}, which is all of them; in {explored.final} every cpu is done"
    return f"{seen}, up to step {explored.depth}, when the search was given up"


def _explored(verdict: Verdict) -> str:
    """How far the verdict reaches."""
    explored = verdict.explored
    seen = f"{explored.states} seen"
    if explored.witness is not None:
        seen += f"; no schedule shorter than {len(explored.witness)} steps drops a packet"
        return seen + ("; this is all of them" if explored.complete else "")
    return _all_explored(verdict)


# ── lines that fit ──────────────────────────────────────────────────────────────────────────────


def _wrapped(label: str, what: str, width: int) -> Iterator[Line]:
    """`what` after its label, and below itself where it is long."""
    indent = " " * (len(label) + len(_GAP))
    room = width - len(indent)
    lines = [what] if len(what) <= room else _wrap(what, room) or [""]
    yield Line((label + _GAP + lines[0]).rstrip())
    yield from (Line(indent + line) for line in lines[1:])


def _paragraph(what: str, width: int) -> Iterator[Line]:
    for line in _wrap(what, width - len(_INDENT)):
        yield Line(_INDENT + line, "bold")


# Between these and the next word there is no line break.
_TOGETHER: Final = re.compile(r"(\bcpu|\bstep|\bto|>) ")


def _wrap(what: str, width: int) -> list[str]:
    lines = textwrap.wrap(_TOGETHER.sub("\\1\0", what), width, break_on_hyphens=False)
    return [line.replace("\0", " ") for line in lines]


def again(trace: Trace, width: int, source: str | None = None) -> Iterator[Line]:
    """The command that shows this trace, to be pasted into a shell."""
    label = f"{_INDENT}{'again':<9}{_GAP}"
    scenario = [source] if source else trace.scenario.arguments()
    words = ["natmodel", "replay", *scenario, "--schedule", str(trace.schedule)]
    lines = list(shell_lines(words, width, len(label), len(_INDENT) + 2))
    yield Line(label + lines[0])
    yield from (Line(line) for line in lines[1:])


def shell_lines(words: Sequence[str], width: int, first: int, indent: int) -> Iterator[str]:
    """A command on lines of at most `width`; the first has `first` columns less.

    A line ends in a backslash or, inside quotes, at a blank: to every text that natmodel reads, a
    line break there is as good as a blank.
    """
    pad, line = " " * indent, ""
    room = width - first - len(" \\")
    for option, value in _units(words):
        text = option + shlex.quote(value)
        if line.strip() and len(line) + 1 + len(text) > room:
            yield f"{line} \\"
            line, room = pad, width - len(" \\")
        line += " " if line.strip() else ""
        if len(line) + len(text) <= room:
            line += text
        else:
            *full, line = _broken(line + option, value, room, pad + _GAP)
            yield from full
    yield line


def _units(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """("--option ", value) or ("", word)"""
    left = list(words)[::-1]
    while left:
        word = left.pop()
        yield (f"{word} ", left.pop()) if word.startswith("--") and left else ("", word)


def _broken(line: str, value: str, room: int, pad: str) -> list[str]:
    """One quoted word on as many lines as it needs: at blanks, or else anywhere."""
    words, lines = value.split(" "), []
    if "'" in value or max(map(len, words)) + len(line) >= room:
        while len(line) + len(shlex.quote(value)) > room:
            n = next(n for n in count(1) if len(line) + len(shlex.quote(value[: n + 1])) > room)
            lines.append(f"{line}{shlex.quote(value[:n])}\\")
            line, value = "", value[n:]
        return [*lines, line + shlex.quote(value)]
    line += f"'{words[0]}"
    for word in words[1:]:
        if len(line) + 1 + len(word) < room:
            line += f" {word}"
        else:
            lines.append(line)
            line = pad + word
    return [*lines, f"{line}'"]
