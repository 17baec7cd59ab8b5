# SPDX-License-Identifier: GPL-2.0-or-later
"""The model against what live kernels did, and the comparison against spoiled observations."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterable, Iterator
from copy import deepcopy
from fractions import Fraction
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from natmodel import live_fill, live_outcomes, ops
from natmodel.chances import FALSE_ALARM, Hits, at_most, counts_of, false_alarm, share
from natmodel.conform import conform_files
from natmodel.draws import Classes, every_walk, neighbourhoods
from natmodel.errors import BadInput
from natmodel.live import LIVE_ROWS, LiveScenario, read_fill, read_scenarios
from natmodel.live_conform import Observation, compare, is_live, observe, outcomes
from natmodel.live_conform import _blank as blank
from natmodel.live_outcomes import Outcomes, Play
from natmodel.releases import RELEASES
from natmodel.router import Router
from natmodel.values import Manip, nf_ct_invert_tuple
from natmodel.world import Answer, Draw, Entry, World, answers
from tests.spoiling import spoiled

LIVE = Path(__file__).parent / "vectors" / "live"
FILLS = sorted(path.name for path in LIVE.glob("fill-*.xz"))
# The rows from 6.1 on: those that the laboratory's kernels could be taken for.
NEW_ROWS = list(RELEASES)[list(RELEASES).index("6.1.0-rc7") :]


@cache
def text(name: str) -> str:
    with lzma.open(LIVE / name, "rt", encoding="utf-8") as file:
        return file.read()


def document(name: str) -> dict[str, Any]:
    return dict(json.loads(text(name)))


def scenarios(*names: str) -> dict[str, Any]:
    every = document("scenarios.json.xz")
    return {name: every[name] for name in names}


def named(name: str) -> LiveScenario:
    (scenario,) = read_scenarios(scenarios(name), "here")
    return scenario


def observed(*documents: dict[str, Any]) -> list[Observation]:
    return observe((one, "here") for one in documents)[0]


@cache
def every_observation() -> tuple[Observation, ...]:
    return tuple(observed(document("scenarios.json.xz"), *map(document, FILLS)))


def wrong(observations: Iterable[Observation]) -> set[tuple[str, str]]:
    """(kind, check) of what differs."""
    return {(o.kind, wrong.check) for o in observations for wrong in o.wrong}


# ── the model does what the kernels did ─────────────────────────────────────────────────────────


def test_every_observation_agrees() -> None:
    assert {o.outcome for o in every_observation()} == {"agree"}


def test_none_is_lost() -> None:
    """95 scenarios with 303 steps on three kernels, one of them played as two rows; 24 experiments."""
    kinds = [o.kind for o in every_observation()]
    assert kinds.count("step") == 4 * 303
    assert kinds.count("endpoints") == 4 * 95
    assert len(kinds) == 4 * (303 + 95 + 24)


def test_the_command_takes_these_files() -> None:
    report = conform_files([LIVE / FILLS[0], LIVE / FILLS[1]])
    assert report.exit_code == 0
    *_, alarm, empty, last = report.text().splitlines()
    assert alarm.startswith("live counts: 24 exact two-sided binomial tests, each at 1/24000000")
    assert (empty, last) == ("", "48 vectors: 48 agree, 0 differ, 0 refused")


def test_live_rows_are_those_of_the_names_in_the_fill_files() -> None:
    rows = [read_fill(document(name), name).rows for name in FILLS]
    assert sorted(rows) == sorted(LIVE_ROWS.values())


def agreeing(kernel: str, row: str) -> bool:
    """Could the scenarios have come from this row?"""
    for scenario in read_scenarios(document("scenarios.json.xz"), "here"):
        told = outcomes(row, attrs.evolve(scenario, seen=(), where=""))
        seen = dict(scenario.seen)[kernel]
        if any(o.wrong for o in compare(blank(scenario, kernel, row, seen), seen, told)):
            return False
    return True


@pytest.mark.exhaustive
def test_what_the_scenarios_can_tell() -> None:
    """Nothing parts the rows before 6.6, nor those from 6.12 on; the names in the files do."""
    found = {kernel: [row for row in NEW_ROWS if agreeing(kernel, row)] for kernel in LIVE_ROWS}
    first, then = NEW_ROWS.index("6.6.9"), NEW_ROWS.index("6.12.0")
    assert found == {
        "6.1": NEW_ROWS[:first],
        "6.12": NEW_ROWS[then:],
        "6.18": NEW_ROWS[then:],
    }


# ── spoiled observations are noticed ────────────────────────────────────────────────────────────


def step_of(doc: dict[str, Any], name: str, n: int, kernel: str = "6.12") -> dict[str, Any]:
    step: dict[str, Any] = doc[name]["kernels"][kernel]["steps"][n]
    return step


def test_another_class_is_noticed() -> None:
    doc = scenarios("masq_diff_dst")
    step_of(doc, "masq_diff_dst", 1)["class"] = {"kept": 4, "DROP": 1}
    assert wrong(observed(doc)) == {("step", "class")}


def test_another_count_is_noticed() -> None:
    doc = scenarios("q_race_snat2")
    step_of(doc, "q_race_snat2", 4).update(
        {"class": {"DROP": 150, "in[1000-1001]": 50}, "stats": {"drop": 150, "insert_failed": 150}}
    )
    assert wrong(observed(doc)) == {("step", "count")}


def test_another_count_of_patterns_is_noticed() -> None:
    doc = scenarios("q_race_snat2")
    doc["q_race_snat2"]["kernels"]["6.1"]["endpoints"] = {"A-": 50, "AB": 150}
    assert wrong(observed(doc)) == {("endpoints", "count")}


def test_another_pattern_is_noticed() -> None:
    doc = scenarios("masq_collide_300")
    doc["masq_collide_300"]["kernels"]["6.18"]["endpoints"] = {"AA": 30}
    assert wrong(observed(doc)) == {("endpoints", "pattern")}


@pytest.mark.parametrize("counters", [{}, {"drop": 5}, {"drop": 5, "insert_failed": 4}])
def test_another_counter_is_noticed(counters: dict[str, int]) -> None:
    doc = scenarios("q_race_masq_tcp")
    step_of(doc, "q_race_masq_tcp", 4)["stats"] = counters
    assert wrong(observed(doc)) == {("step", "counter")}


def test_a_counter_more_is_noticed() -> None:
    doc = scenarios("masq_diff_dst")
    step_of(doc, "masq_diff_dst", 1)["stats"] = {"early_drop": 1}
    assert wrong(observed(doc)) == {("step", "counter")}


@pytest.mark.parametrize(
    ("name", "n", "port"),
    [
        ("masq_collide_300", 1, 300),  # held
        ("masq_collide_300", 1, 512),  # of another class
        ("masq_collide_1024", 1, 1023),
        ("snat4_in_range", 3, 1000),  # held for certain
        ("snat_src_reuse_range", 2, 2000),  # outside of the range
        ("q_race_udp_frandom_reply", 8, 81),  # the server's
    ],
)
def test_another_port_is_noticed(name: str, n: int, port: int) -> None:
    doc = scenarios(name)
    step_of(doc, name, n)["ports"].append(port)
    assert ("step", "port") in wrong(observed(doc))


def test_ports_stand_for_one_another() -> None:
    """Each of four ports may be the first to be drawn, and the last."""
    told = outcomes("6.12.117", attrs.evolve(named("udp_snat4_six"), seen=(), where=""))
    for n, port in product(range(4), range(1000, 1004)):
        assert told.steps[n].allows(port, told.steps[n].ports)
    assert not told.steps[4].ports


def test_another_destination_port_and_address_are_noticed() -> None:
    doc = scenarios("dnat_range", "snat_iprange_persistent")
    remarks = doc["dnat_range"]["kernels"]["6.12"]["extra"]
    assert remarks[0] == "destination ports per step: [[8000], [8000], [8000], [8000]]"
    remarks[0] = "destination ports per step: [[8000], [8000], [8001], [8000]]"
    assert wrong(observed(doc)) == {("step", "port")}
    remarks = doc["snat_iprange_persistent"]["kernels"]["6.1"]["extra"]
    remarks[0] = "distinct source addresses per run: [2]"
    assert wrong(observed(doc)) == {("step", "port"), ("endpoints", "pattern")}


@pytest.mark.parametrize(
    ("n", "changes"),
    [
        (0, {"found": 199, "stats": {"drop": 1, "insert_failed": 1}}),  # certain
        (5, {"found": 100, "stats": {"drop": 100, "insert_failed": 100}}),  # too often
        (5, {"found": 5, "stats": {"drop": 195, "insert_failed": 195}}),  # not often enough
        (5, {"stats": {}}),
        (8, {"found": 5, "stats": {"drop": 195, "insert_failed": 195}}),
        (8, {"distinct_ports": 11}),
        (14, {"evicted": 199}),
        (18, {"evicted": 100}),
        (20, {"delivered": 512, "distinct": 512, "drops": 188}),
        (20, {"max": 512, "max_remapped": 512}),
        (20, {"stats": {"drop": 189}}),
        (23, {"stats": {"drop": 1}}),  # all of them got through
    ],
)
def test_another_fill_is_noticed(n: int, changes: dict[str, Any]) -> None:
    doc = document("fill-6.12.117+deb12-cloud-amd64.json.xz")
    doc["fill"][n].update(changes)
    assert [o.name for o in observed(doc) if o.wrong] == [f"fill[{n}]"]


def test_a_differing_step_is_shown(tmp_path: Path) -> None:
    doc = scenarios("masq_diff_dst")
    step_of(doc, "masq_diff_dst", 1)["class"] = {"DROP": 5}
    file = tmp_path / "spoiled.json"
    file.write_text(json.dumps(doc))
    report = conform_files([file])
    assert report.exit_code == 1
    assert "masq_diff_dst, step 1 differs on 6.12 as 6.12.117" in report.text()
    assert report.text().splitlines()[-1] == "12 vectors: 11 agree, 1 differ, 0 refused"


# ── files that are not as they should be ────────────────────────────────────────────────────────


def test_what_cannot_be_played_is_refused(tmp_path: Path) -> None:
    doc = scenarios("masq_diff_dst")
    doc["masq_diff_dst"]["steps"][0]["op"] = "teleport"
    file = tmp_path / "odd.json"
    file.write_text(json.dumps(doc))
    report = conform_files([file])
    assert report.exit_code == 3
    assert "masq_diff_dst.steps[0].op: teleport is unknown here" in report.text()
    assert report.text().splitlines()[-1] == "12 vectors: 0 agree, 0 differ, 12 refused"


@pytest.mark.parametrize(
    "change",
    [
        {"op": "local", "dst": "10.200.0.2"},  # TCP to the router itself
        {"dst": "192.0.2.1"},  # no route
    ],
)
def test_what_is_not_modelled_is_refused(change: dict[str, Any]) -> None:
    doc = scenarios("masq_diff_dst")
    doc["masq_diff_dst"]["steps"][1].update(change)
    assert {o.outcome for o in observed(doc)} == {"refused"}


def complaint(doc: dict[str, Any]) -> str:
    """What is said of a document that is not as it should be."""
    try:
        known: object = doc
        return "" if is_live(known) and observed(doc) is not None else "here: not live"
    except BadInput as error:
        return str(error)


@given(spoiled(scenarios("q_fwd_udp_same_socket")))
def test_bad_scenarios_have_one_clear_line(doc: dict[str, Any]) -> None:
    told = complaint(doc)
    assert not told or (told.startswith("here: ") and told.isprintable())


@given(spoiled({**document(FILLS[0]), "fill": document(FILLS[0])["fill"][::5]}))
def test_bad_fill_files_have_one_clear_line(doc: dict[str, Any]) -> None:
    told = complaint(doc)
    assert not told or (told.startswith("here: ") and told.isprintable())


@pytest.mark.parametrize("change", [{"min": 2}, {"max": 510}])
def test_the_span_of_all_ports_is_that_of_the_remapped_and_the_first(
    change: dict[str, int],
) -> None:
    doc = document(FILLS[0])
    doc["fill"][20].update(change)
    assert complaint(doc) == "here: fill[20].min: not the least and the greatest of the ports"


# ── odds ────────────────────────────────────────────────────────────────────────────────────────


def test_the_false_alarm_rate_is_bounded() -> None:
    """What each test would reject, added up."""
    tests = [test for o in every_observation() for test in o.tests]
    assert len(tests) > 100
    each = share(len(tests))
    distinct = {(t.tries, t.low, t.high): t for t in tests}
    alarms = {key: false_alarm(test, each) for key, test in distinct.items()}
    assert 0 < sum(alarms[t.tries, t.low, t.high] for t in tests) <= FALSE_ALARM


@given(st.integers(1, 12), st.integers(1, 15), st.integers(2, 9))
def test_a_tests_false_alarm_is_what_it_rejects(tries: int, odds: int, each: int) -> None:
    p, share_ = Fraction(odds, 16), Fraction(1, 2**each)
    pmf = [
        at_most(tries, x, p) - (at_most(tries, x - 1, p) if x else Fraction(0))
        for x in range(tries + 1)
    ]
    rejecting = [x for x in range(tries + 1) if Hits("", tries, x, p, p).tail() < share_]
    assert sum((pmf[x] for x in rejecting), Fraction(0)) == false_alarm(
        Hits("", tries, 0, p, p), share_
    )


def test_of_two_values_one_is_tested_and_certain_ones_are_not() -> None:
    half = Fraction(1, 2)
    assert len(counts_of("", 4, {"a": 4}, {"a": half, "b": half})) == 1
    assert not counts_of("", 4, {"a": 4}, {"a": Fraction(1), "b": Fraction(0)})
    third = Fraction(1, 3)
    assert [c.hits for c in counts_of("", 4, {"a": 4}, dict.fromkeys("abc", third))] == [4, 0, 0]


class SlowRouter(Router):
    """Every start of a walk by itself: no draws are taken together."""

    def _chooser(self, drawn: list[Any]) -> Any:
        def choose(world: World, op: Draw) -> Classes:
            assert isinstance(op, ops.RandomU16)
            return every_walk(op.window.size, op.window.attempts)

        return choose


def odds_of(told: Outcomes) -> tuple[Any, ...]:
    return [dict(step.classes) for step in told.steps], told.patterns, told.addresses


def with_ports(first: int, size: int, *sports: int) -> LiveScenario:
    """Pods with these source ports, through a range of `size` ports; each is held, then released."""
    doc = scenarios("q_race_snat2")["q_race_snat2"]
    doc["range"] = [first, first + size - 1]
    doc["nat"]["rules"][0].update(min_proto=first, max_proto=first + size - 1)
    open_queue, hold, *_ = doc["steps"]
    doc["steps"] = [open_queue]
    doc["steps"] += [hold | {"sport": s, "pod": n % 2} for n, s in enumerate(sports)]
    doc["steps"] += [{"op": "release", "which": n} for n in reversed(range(len(sports)))]
    doc["kernels"] = {}
    (scenario,) = read_scenarios({"made": doc}, "here")
    return scenario


@pytest.mark.parametrize(
    ("size", "sports"),
    [(2, (1, 2)), (3, (1, 2, 3)), (5, (1, 2, 1002)), (7, (1, 2)), (100, (1, 1050))],
)
def test_odds_are_those_of_all_starts(
    size: int, sports: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = with_ports(1000, size, *sports)
    for row in ("6.1.192", "6.12.117"):
        quick = odds_of(Play(RELEASES[row], scenario).outcomes())
        with monkeypatch.context() as patch:
            patch.setattr(live_outcomes, "Router", SlowRouter)
            assert odds_of(Play(RELEASES[row], scenario).outcomes()) == quick


def test_two_free_choices_meet_as_often_as_the_u16_says() -> None:
    """64,512 ports, of which 1,024 are twice as likely (natmodel/draws.py)."""
    told = outcomes("6.12.117", attrs.evolve(named("masq_fully_random_2dst"), seen=(), where=""))
    assert told.patterns["AA"] == Fraction(1024 * 4 + 63488, 2**32)


def test_classes_of_a_full_window_have_their_exact_odds() -> None:
    """An ICMP id is drawn of all 65,536, over the borders of classes."""
    told = outcomes("6.12.117", attrs.evolve(named("icmp_id_collide"), seen=(), where=""))
    assert told.steps[1].classes == {
        "remap[0-0]": Fraction(1, 65536),
        "remap[1-511]": Fraction(511, 65536),  # 77 is held, so 78 is twice as likely
        "remap[512-599]": Fraction(88, 65536),
        "remap[600-1023]": Fraction(424, 65536),
        "remap[1024-65535]": Fraction(64512, 65536),
    }


def test_cuts_part_what_looks_alike() -> None:
    whole = neighbourhoods(1000, 128, 1, frozenset())
    cut = neighbourhoods(1000, 128, 1, frozenset(), (300, 700))
    assert sum(odds for _, odds in cut) == sum(odds for _, odds in whole) == 1
    parts = [
        sum(odds for off, odds in cut if low <= off % 1000 < high)
        for low, high in ((0, 300), (300, 700), (700, 1000))
    ]
    starts = [
        sum(low <= off % 1000 < high for off in range(65536))
        for low, high in ((0, 300), (300, 700), (700, 1000))
    ]
    assert parts == [Fraction(n, 65536) for n in starts]


# ── nearly full windows ─────────────────────────────────────────────────────────────────────────


def ways(size: int, hole: int) -> Iterator[tuple[Answer, bool]]:
    """Every way that the path itself finds, or does not find, the one free key."""
    k = RELEASES["6.12.117"]
    first = 1000
    held = live_fill._held(6, first, 1)
    entries: list[Any] = [
        Entry(attrs.evolve(held, id=2000 + n, reply=held.reply.with_dport(first + n)))
        for n in range(size)
        if n != hole
    ]
    world = live_fill.world_of(k, entries)
    r = live_fill.port_range(size, 0)
    orig = nf_ct_invert_tuple(held.reply).with_src(5).with_sport(50000)
    ct = attrs.evolve(held, id=1, orig=orig, reply=nf_ct_invert_tuple(orig), status=0)

    def choose(world: World, op: Draw) -> Classes:
        assert isinstance(op, ops.RandomU16)
        return every_walk(op.window.size, op.window.attempts)

    call = k.l4proto_unique_tuple(k, orig.with_src(r.min_addr), r, Manip.SRC, ct)
    for answer in answers(world, ops.Atomic(call), choose):
        yield answer, answer.reply.sport == first + hole


@pytest.mark.parametrize(("size", "hole"), [(5, 0), (16, 15), (100, 36), (116, 112), (116, 0)])
def test_odds_of_the_last_key_are_those_of_all_starts(size: int, hole: int) -> None:
    k = RELEASES["6.12.117"]
    odds = sum((answer.odds for answer, there in ways(size, hole) if there), Fraction(0))
    probes = (True,) * size
    assert 1 - live_fill.missing(size, hole, probes) == odds
    window = ops.Window(
        nf_ct_invert_tuple(live_fill._held(6, 1000, 1).reply), True, 1000, size, size
    )
    low, high = live_fill.found(k, [window], None)
    assert low <= odds <= high


def test_a_free_key_that_the_walk_cannot_see() -> None:
    """Measured on 6.18: of 65,536 starts 112 miss index 112 of 116, 36 miss index 36 of 100."""
    for size, residue, missed in ((116, 112, 112), (100, 36, 36), (116, 0, 0), (128, 5, 0)):
        assert live_fill.missing(size, residue, (True,) * size) == Fraction(missed, 65536)


def test_the_walk_of_a_full_window_has_five_rounds() -> None:
    fill = read_fill(document(FILLS[0]), "here")
    trials = next(t for t in fill.trials if (t.size, t.free) == (1000, 1))
    whole = live_fill.full(RELEASES["6.12.117"], trials)
    assert [w.attempts for w in whole.windows] == [128, 64, 32, 16, 8]
    assert whole.counted.count("drop") == whole.counted.count("insert_failed") == 1


def test_only_the_last_probes_evict() -> None:
    k = RELEASES["6.12.117"]
    held = live_fill._held(6, 1000, 7)
    window = ops.Window(nf_ct_invert_tuple(held.reply), True, 1000, 256, 128)
    assert live_fill.opens(k, window, held) == (False,) * 96 + (True,) * 32
    assert not any(live_fill.opens(RELEASES["6.1.192"], window, held))


def test_documents_are_not_changed_by_reading() -> None:
    doc = scenarios("dnat_range")
    before = deepcopy(doc)
    observed(doc)
    assert doc == before
