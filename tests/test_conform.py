# SPDX-License-Identifier: GPL-2.0-or-later
"""The model against what compiled kernel code did, and conform against spoiled vectors."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from natmodel import ops
from natmodel.conform import (
    Machine,
    Report,
    Stage,
    Verdict,
    act,
    conform,
    conform_files,
    first_probe,
    in_runs,
    probes_of,
    setup_and_confirm,
)
from natmodel.errors import BadInput
from natmodel.release import Confirmed, Release
from natmodel.releases import RELEASES
from natmodel.threads import Threads
from natmodel.values import IPPROTO_UDP, CtTuple, Manip, u16
from natmodel.vectors import KINDS, Interleave, Probe, read_vector
from natmodel.world import ONE, Draw, answers
from tests.spoiling import spoiled as spoil

VECTORS = Path(__file__).parent / "vectors"
FILES = sorted(path.name for path in VECTORS.glob("*.jsonl.xz"))

OLD, NEW = "4.19.66.jsonl.xz", "6.12.117.jsonl.xz"

# What the files hold, so that a vector that is lost is noticed.
COUNTS = {
    "": {"unique_tuple": 294, "confirm": 87, "schedule": 66, "hash": 128},
    ".sharp": {"unique_tuple": 272, "confirm": 85, "schedule": 0, "hash": 0},
}


@cache
def lines(name: str) -> tuple[str, ...]:
    with lzma.open(VECTORS / name, "rt", encoding="utf-8") as file:
        return tuple(file)


def of_kind(name: str, kind: str) -> list[str]:
    return [line for line in lines(name) if f'"kind":"{kind}"' in line]


def play(vector: dict[str, Any]) -> Verdict:
    return conform(read_vector(json.dumps(vector), "here"))


def report_on(tmp_path: Path, *vectors: dict[str, Any]) -> Report:
    path = tmp_path / "some.jsonl"
    path.write_text("".join(json.dumps(vector) + "\n" for vector in vectors))
    return conform_files([path])


# ── the model does what the kernel did ──────────────────────────────────────────────────────────


# The recorded releases; all of them have a row of their own.
RECORDED = sorted({name.removesuffix(".jsonl.xz").removesuffix(".sharp") for name in FILES})


def test_every_recorded_release_has_its_files_and_a_row() -> None:
    assert {f"{release}{part}.jsonl.xz" for release, part in product(RECORDED, COUNTS)} == set(
        FILES
    )
    assert len(RECORDED) == 22
    assert set(RECORDED) <= set(RELEASES)


def played(*parts: int) -> list[tuple[str, str, int]]:
    """(file, kind, part): every part of a file is played somewhere."""
    return [
        (name, kind, part)
        for name, kind, part in product(FILES, KINDS, parts)
        if kind in ("unique_tuple", "confirm") or ".sharp" not in name
    ]


# Of each file and kind, a part in seven is played in every run; `tox -e conform` plays the files whole.
@pytest.mark.parametrize(("name", "kind", "part"), played(0))
def test_the_model_agrees_with_the_kernel(name: str, kind: str, part: int) -> None:
    every = of_kind(name, kind)
    assert len(every) == COUNTS[".sharp" if ".sharp" in name else ""][kind]
    verdicts = [conform(read_vector(line, name)) for line in every[part::7]]
    assert {verdict.outcome for verdict in verdicts} == {"agree"}


@pytest.mark.exhaustive
@pytest.mark.parametrize(("name", "kind", "part"), played(*range(1, 7)))
def test_the_model_agrees_with_the_kernel_in_all(name: str, kind: str, part: int) -> None:
    test_the_model_agrees_with_the_kernel(name, kind, part)


def test_files_are_conformed_as_a_whole(tmp_path: Path) -> None:
    """The way of the command: a file in, a report out."""
    report = conform_files([VECTORS / "6.12.117.sharp.jsonl.xz"])
    assert report.exit_code == 0
    assert report.text() == (
        "release   kind          agree  differ  refused\n"
        "6.12.117  unique_tuple    272       0        0\n"
        "6.12.117  confirm          85       0        0\n"
        "\n"
        "357 vectors: 357 agree, 0 differ, 0 refused"
    )


def test_the_report_is_the_same_for_any_number_of_processes(tmp_path: Path) -> None:
    """With differences and refusals in several files, of all kinds, and more than are shown."""
    for part in range(3):
        vectors = [
            json.loads(line) for line in (*lines(OLD)[part:300:7], *lines(NEW)[part + 300 :: 7])
        ]
        for n, vector in enumerate(vectors):
            if n % 20 == 5:
                vector["release"] = "2.4.37"
            elif n % 30 == 0:
                vector |= {"killed": [5]} if vector["kind"] == "unique_tuple" else {"result": 5}
        text = "".join(json.dumps(vector) + "\n" for vector in vectors)
        (tmp_path / f"{part}.jsonl").write_text(text)
    files = sorted(tmp_path.iterdir())
    alone = conform_files(files).text()
    assert "more differ" in alone
    assert "refused" in alone
    assert conform_files(files, 2).text() == alone
    assert conform_files(files, 100).text() == alone


def test_the_first_bad_file_is_told_by_any_number_of_processes(tmp_path: Path) -> None:
    good = "".join(lines(NEW))
    for name, text in {"a": good, "b": good + "{\n", "c": "[", "d": good}.items():
        (tmp_path / name).write_text(text)
    for jobs in (1, 2):
        with pytest.raises(BadInput, match=r"b, line 576: not JSON"):
            conform_files(sorted(tmp_path.iterdir()), jobs)


# ── conform tells ───────────────────────────────────────────────────────────────────────────────


def with_probes(least: int) -> dict[str, Any]:
    """A vector with as many runs of probes, whose answers we can spoil."""
    vectors = map(json.loads, of_kind("6.12.117.jsonl.xz", "unique_tuple"))
    found: dict[str, Any] = next(
        v for v in vectors if len(v["probes"]) >= least and v["probes"][1]["n"] > 1
    )
    return found


def test_a_spoiled_probe_is_shown_with_its_number(tmp_path: Path) -> None:
    vector = with_probes(3)
    first, second = vector["probes"][:2]
    second["used"] = not second["used"]
    report = report_on(tmp_path, vector)
    assert report.exit_code == 1
    text = report.text()
    assert f"{vector['id']} differs ({tmp_path / 'some.jsonl'}, line 1)" in text
    port = second["t"][1]
    assert f"  probes: first at probe {first['n'] + 1}: expected {second['fn']} " in text
    (line,) = (line for line in text.splitlines() if "first at probe" in line)
    expected, got = line.split(": expected ")[1].split("; got ")
    assert str(port) in expected
    words = {"free": "used", "used": "free"}
    assert got == expected[:-4] + words[expected[-4:]]
    assert text.splitlines()[-1] == "1 vectors: 0 agree, 1 differ, 0 refused"


def test_the_length_of_a_run_is_compared() -> None:
    vector = with_probes(3)
    vector["probes"][1]["n"] -= 1
    vector["n_probes"] -= 1
    (difference,) = play(vector).differences
    assert difference.field == "probes"
    number = sum(probe["n"] for probe in vector["probes"][:2]) + 1
    assert difference.note.startswith(f"first at probe {number}: ")


def spoiled(vector: dict[str, Any], field: str, value: object) -> list[str]:
    """The fields in which a vector differs when one of its fields is another."""
    assert vector[field] != value
    return [difference.field for difference in play(vector | {field: value}).differences]


def find(name: str, kind: str, **wanted: object) -> dict[str, Any]:
    """The first vector that has something truthy, or just this, in these fields."""
    for vector in map(json.loads, of_kind(name, kind)):
        if all(vector[f] == v or (v is any and vector[f]) for f, v in wanted.items()):
            found: dict[str, Any] = vector
            return found
    raise LookupError(wanted)


def test_every_field_of_a_selection_is_compared() -> None:
    t = ["192.0.2.1", 1, "192.0.2.2", 2]
    rover = find(OLD, "unique_tuple", rover_trace=any, proto="tcp")
    assert spoiled(rover, "rover_after", 7 if rover["rover_after"] != 7 else 8) == ["rover_after"]
    assert spoiled(rover, "rover_trace", [["r", 3]]) == ["rover_trace"]
    assert spoiled(rover, "result", t) == ["result"]
    assert spoiled(rover, "result_dir", 1) == ["result_dir"]
    assert spoiled(rover, "killed", [1]) == ["killed"]
    assert spoiled(rover | {"warn": []}, "warn", ["oops"]) == ["warn"]
    port = find(OLD, "unique_tuple", secure_port=any)
    unscripted = {"value": port["secure_port"]["value"] ^ 0x10000, "scripted": False}
    assert spoiled(port, "secure_port", unscripted) == ["secure_port"]
    assert spoiled(port, "secure_port", None) == ["secure_port"]
    reused = find(OLD, "unique_tuple", bysource_lookup=any)
    assert spoiled(reused, "bysource_lookup", {"found": True, "tuple": t}) == ["bysource_lookup"]
    assert spoiled(reused, "bysource_lookup", None) == ["bysource_lookup"]


def test_a_random_value_too_many_or_too_few_is_told() -> None:
    vector = find(NEW, "unique_tuple", random=any)
    more = vector | {"random_consumed": vector["random_consumed"] + 1}
    assert spoiled(more, "random", [*vector["random"], ["get_random_u16", 1]]) == ["random"]
    fewer = vector | {"random_consumed": vector["random_consumed"] - 1}
    assert "random" in spoiled(fewer, "random", vector["random"][:-1])
    renamed = [["prandom_u32", value] for _, value in vector["random"]]
    assert spoiled(vector, "random", renamed) == ["random"]


def test_inner_look_ups_are_compared() -> None:
    for vector in map(json.loads, of_kind(NEW, "unique_tuple")):
        spots = [lookup for probe in vector["probes"] for lookup in probe.get("lookups", [])]
        finds = [lookup for lookup in spots if lookup[0] == "find" and lookup[2] is not None]
        if finds:
            finds[0][3] = 1 - finds[0][3]
            (difference,) = play(vector).differences
            assert difference.field == "probes"
            return
    raise LookupError


def test_every_field_of_a_confirm_is_compared() -> None:
    vector = find(NEW, "confirm", added=any, **{"class": "orig_only"})
    assert play(vector).outcome == "agree"
    wrong = {
        "allow_clash": not vector["allow_clash"],
        "buckets": {"orig": 99, "reply": vector["buckets"]["reply"]},
        "chain_orig_before": 77,
        "chain_reply_before": [[77, "orig"]],
        "random": [["get_random_u32_below", vector["random"][0][1], 31]],
        "verdict": "DROP",
        "stats": vector["stats"] | {"found": 1},
        "added": [],
        "removed": [[1, "orig", 0]],
        "table_after": [],
        "skb_ct_after": 77,
        "warn": ["1"],
    }
    for field, value in wrong.items():
        assert spoiled(vector, field, value) == [field]
    for field, value in {"status": [], "timeout": 1, "freed": True, "refcount": 7}.items():
        assert spoiled(vector, "ct_after", vector["ct_after"] | {field: value}) == [field]
    table = [vector["table"][0] | {"buckets": [98, 97]}, *vector["table"][1:]]
    assert spoiled(vector, "table", table) == ["table_buckets"]


def test_every_field_of_a_schedule_is_compared() -> None:
    vector = find(NEW, "schedule", random=any)
    a, b = vector["results"]
    wrong = {
        "trace": vector["trace"][:-1],
        "results": [a | {"skb_ct": 77}, b],
        "stats": vector["stats"] | {"drop": 5},
        "rover_after": 5,
        "random": [[flow, "dice", value] for flow, _, value in vector["random"]],
    }
    for field, value in wrong.items():
        assert spoiled(vector, field, value) == [field]


def test_every_hash_is_compared() -> None:
    seen = set()
    for vector in map(json.loads, of_kind(NEW, "hash")):
        if vector["fn"] not in seen:
            seen.add(vector["fn"])
            wrong = ["192.0.2.1", 1, "192.0.2.2", 2] if "config" in vector else vector["result"] ^ 1
            assert spoiled(vector, "result", wrong) == ["result"]
    assert len(seen) == 7


def test_a_division_by_zero_is_a_fault() -> None:
    """SPEC b.3, b.4: an ICMP range reversed by one has size 0, and <= 4.20 divides by it."""
    vector = find(OLD, "unique_tuple", proto="icmp", manip="SRC", rover_trace=[], rover=1)
    vector["config"] |= {"flags": ["PROTO_SPECIFIED", "PROTO_RANDOM"], "flags_value": 6}
    vector["config"] |= {"min_proto": 1000, "max_proto": 999}
    vector |= {"probes": [], "n_probes": 0, "bysource_lookup": None, "rover_after": 1}
    vector |= {"random": [], "random_consumed": 0, "killed": [], "secure_port": None}
    vector |= {"result": None, "result_dir": None, "fault": "divide_error"}
    assert play(vector).differences == ()


def test_only_the_first_differences_are_shown_in_full(tmp_path: Path) -> None:
    vectors = [json.loads(line) | {"killed": [5]} for line in of_kind(NEW, "unique_tuple")[:8]]
    text = report_on(tmp_path, *vectors).text()
    assert text.count("differs (") == 5
    assert "\n3 more differ\n" in text


# ── refusals and exit codes ─────────────────────────────────────────────────────────────────────


def test_refusals_are_counted_and_explained(tmp_path: Path) -> None:
    good, other = (json.loads(line) for line in of_kind(NEW, "hash")[:2])
    stranger = other | {"release": "2.4.37"}
    report = report_on(tmp_path, good, stranger, stranger)
    assert report.exit_code == 3
    assert report.text() == (
        "release   kind  agree  differ  refused\n"
        "6.12.117  hash      1       0        0\n"
        "2.4.37    hash      0       0        2\n"
        "\n"
        f"refused 2 of 2.4.37: no row for this release (first: {other['id']})\n"
        "\n"
        "3 vectors: 1 agree, 0 differ, 2 refused"
    )


def test_a_difference_outweighs_a_refusal(tmp_path: Path) -> None:
    vector = json.loads(of_kind(NEW, "hash")[0])
    wrong = vector | {"result": vector["result"] ^ 1}
    assert report_on(tmp_path, vector).exit_code == 0
    assert report_on(tmp_path, wrong, vector | {"release": "2.4.37"}).exit_code == 1


def test_bad_input_is_raised(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(BadInput, match="no vectors"):
        conform_files([tmp_path / "empty.jsonl"])
    (tmp_path / "good.jsonl").write_text(of_kind(NEW, "hash")[0])
    with pytest.raises(BadInput, match="No such file"):
        conform_files([tmp_path / "good.jsonl", tmp_path / "missing.jsonl"])


@given(st.sampled_from(FILES), st.sampled_from(sorted(KINDS)), st.integers(0, 50), st.data())
def test_a_spoiled_vector_is_played_refused_or_bad_input(
    name: str, kind: str, number: int, data: st.DataObject
) -> None:
    of_this_kind = of_kind(name, kind) or of_kind(name, "confirm")
    vector = data.draw(spoil(json.loads(of_this_kind[number % len(of_this_kind)])))
    with suppress(BadInput):
        play(vector)


# ── runs of probes ──────────────────────────────────────────────────────────────────────────────

PROBE = st.builds(
    Probe,
    st.just("used_tuple"),
    st.integers(0, 6).map(lambda port: CtTuple(2, IPPROTO_UDP, 1, port, 2, port)),
    st.integers(1, 3),
    st.booleans(),
)


def one_by_one(probes: tuple[Probe, ...], manip: Manip) -> Iterator[Probe]:
    for probe in probes:
        for n in range(probe.n):
            if manip is Manip.SRC:
                t = probe.t.with_sport(probe.t.sport + n)
            else:
                t = probe.t.with_dport(probe.t.dport + n)
            yield attrs.evolve(probe, t=t, n=1)


@given(st.lists(PROBE).map(tuple), st.sampled_from(Manip))
def test_runs_stand_for_the_same_probes(probes: tuple[Probe, ...], manip: Manip) -> None:
    runs = in_runs(probes, manip)
    assert list(one_by_one(runs, manip)) == list(one_by_one(probes, manip))
    assert in_runs(one_by_one(probes, manip), manip) == runs


@given(st.lists(PROBE).map(tuple), st.lists(PROBE).map(tuple))
def test_the_first_probe_that_differs_is_found(a: tuple[Probe, ...], b: tuple[Probe, ...]) -> None:
    one, other = list(one_by_one(a, Manip.SRC)), list(one_by_one(b, Manip.SRC))
    if one != other:
        number = int(first_probe(a, b, Manip.SRC).split(":")[0].removeprefix("first at probe "))
        assert one[: number - 1] == other[: number - 1]
        assert one[number - 1 : number] != other[number - 1 : number]


# ── fine steps and coarse ones ──────────────────────────────────────────────────────────────────


class Stepper:
    """The same flows by the explorer's steps, switching only where vectors do."""

    def __init__(self, k: Release, v: Interleave) -> None:
        self.points = {*probes_of(k), k.confirm.__name__}
        self.threads = Threads()
        self.world = Machine(k, v.table).world(v.flows[0].ct.orig.protonum, v.rover)
        self.at = [
            self.threads.start(setup_and_confirm(k, flow.ct, flow.range, flow.manip))
            for flow in v.flows
        ]
        # What each flow draws, in order; what a vector calls random, by flow and function.
        self.draws = [
            {
                name: [x for f, n, x in v.did.random if (f, n) == (flow, name) and x is not None]
                for name in (k.rng, k.rng_below)
            }
            for flow in "AB"
        ]
        self.started: set[int] = set()
        self.steps = 0

    def stands_at_a_switch_point(self, cpu: int) -> bool:
        """Has it come to a rover access, or entered a probe or confirm and done nothing there?"""
        if isinstance(self.threads.pending[self.at[cpu]], ops.RoverLoad | ops.RoverStore):
            return True
        logs = [(body.__name__, log) for body, _, log in self.threads.stack[self.at[cpu]]]
        inside = [n for n, (name, _) in enumerate(logs) if name in self.points]
        return bool(inside) and not any(log for _, log in logs[inside[0] :])

    def step(self, cpu: int) -> None:
        op = self.threads.pending[self.at[cpu]]
        assert op is not None
        if isinstance(op, ops.RandomU16):
            reply = u16(self.draws[cpu][op.fn].pop(0))
        else:
            (answer,) = answers(self.world, op, lambda world, draw: [(self.below(cpu, draw), ONE)])
            reply, self.world = answer.reply, answer.world
        self.at[cpu] = self.threads.after(self.at[cpu], reply)
        self.steps += 1

    def below(self, cpu: int, draw: Draw) -> int:
        assert isinstance(draw, ops.RandomBelow)
        return self.draws[cpu][draw.fn][0]

    def resume(self, cpu: int) -> None:
        """To the next switch point, or to the end."""
        # A flow that has done nothing yet may stand at one already, and then stops there.
        if cpu in self.started or not self.stands_at_a_switch_point(cpu):
            self.step(cpu)
        self.started.add(cpu)
        while not self.done(cpu) and not self.stands_at_a_switch_point(cpu):
            self.step(cpu)

    def done(self, cpu: int) -> bool:
        return self.threads.pending[self.at[cpu]] is None


@pytest.mark.parametrize("name", [name for name in FILES if ".sharp" not in name])
def test_switching_only_at_those_points_the_finer_steps_end_alike(name: str) -> None:
    steps = turns = 0
    for line in of_kind(name, "schedule"):
        recorded = read_vector(line, name)
        v, k = recorded.vector, RELEASES[recorded.release]
        assert isinstance(v, Interleave)
        fine, stage = Stepper(k, v), Stage(k, v)
        actors = act(stage, v)
        for flow in v.schedule:
            cpu = "AB".index(flow)
            fine.resume(1 - cpu if fine.done(cpu) else cpu)
        results: list[Confirmed | None] = [fine.threads.result[at] for at in fine.at]
        assert results == [actor.done for actor in actors]
        background = stage.world.background
        assert attrs.evolve(fine.world, background=background) == stage.world
        steps, turns = steps + fine.steps, turns + len(v.schedule)
    assert steps > turns  # or there would be nothing to show
