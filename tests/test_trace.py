# SPDX-License-Identifier: GPL-2.0-or-later
"""A trace tells what each step did, and never claims a race where there was none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natmodel.controls import locked
from natmodel.releases import RELEASES
from natmodel.scenario import Scenario
from natmodel.testing import with_release
from natmodel.trace import Cause, Ending, Kind, Trace, What
from tests.kernels import each_kernel
from tests.tracing import FOUR_PORTS, POD, SCENARIOS, trace_by, walked, witness_of


def cause_of(trace: Trace) -> Cause:
    (cause,) = trace.causes
    return cause


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("default", Kind.RACE),
        ("rover", Kind.RACE),
        ("random", Kind.RACE),
        ("gre", Kind.RACE),
        ("icmp", Kind.RACE),
        ("eviction", Kind.RACE),
        ("tcp, same ORIGINAL", Kind.SAME_ORIGINAL),
        ("one port", Kind.EXHAUSTED),
        ("one port, unseen", Kind.UNSEEN),
        ("full", Kind.EXHAUSTED),
        ("full, rover", Kind.UNSEEN),
        ("zones", Kind.PASSED_OVER),
        ("own reverse", Kind.LET_PASS),
        ("long chain", Kind.CHAIN_TOO_LONG),
    ],
)
def test_the_shortest_drop_has_this_cause(name: str, kind: Kind) -> None:
    assert cause_of(witness_of(name)).kind is kind


def test_the_default_race_is_look_then_confirm_then_confirm() -> None:
    trace = witness_of("default")
    cause = cause_of(trace)
    assert (cause.cpu, cause.packet, cause.winner) == (0, 0, 1)
    assert cause.steps == (4, 11, 12)
    assert [row.step for row in trace.rows if row.in_cause] == [4, 11, 12]
    assert cause.key is not None
    assert cause.key.dport == 32769


def test_the_key_is_linked_a_step_after_confirm_where_confirm_is_two_steps() -> None:
    trace = witness_of("four cpus")
    assert [trace.rows[n - 1].what for n in cause_of(trace).steps] == [
        What.TAKEN,
        What.LINK,
        What.CONFIRM,
    ]


def test_eviction_is_told_from_a_look_up() -> None:
    assert cause_of(witness_of("eviction")).evicted
    assert not cause_of(witness_of("default")).evicted


def test_what_was_there_from_the_start_was_linked_at_no_step() -> None:
    for name in ("full", "full, rover", "own reverse"):
        cause = cause_of(witness_of(name))
        assert (cause.taken, cause.winner) == (None, None)


def test_the_original_tuple_of_an_answering_entry_is_no_race_for_a_port() -> None:
    scenario = Scenario.from_arguments(
        nat=["none"], packet=[POD, "tcp 198.51.100.7:80 > 172.16.1.8:32769"], kernel="4.19.66"
    )
    cause = cause_of(trace_by(scenario, "0000 1111 00 1"))
    assert cause.kind is Kind.ORIGINAL_TAKEN
    assert (cause.looked, cause.taken) == (5, 10)


@each_kernel(*RELEASES)
def test_choosing_and_confirming_at_once_is_no_race(kernel: str) -> None:
    scenario = Scenario.from_arguments(kernel=kernel, nat=["snat to 203.0.113.1:4000"])
    trace = trace_by(with_release(scenario, locked(RELEASES[kernel])), "00 11")
    cause = cause_of(trace)
    assert cause.kind is Kind.AT_ONCE
    assert (cause.looked, cause.taken, cause.step) == (None, 2, 4)


def holds(trace: Trace, cause: Cause) -> None:
    """What a cause says can be seen in the rows."""
    drop = trace.rows[cause.step - 1]
    assert drop.drops
    assert (drop.cpu, drop.packet) == (cause.cpu, cause.packet)
    if cause.looked is not None:
        look = trace.rows[cause.looked - 1]
        assert look.packet == cause.packet
        assert look.step < drop.step
        if not cause.evicted:
            assert look.is_look_up
            assert look.key == cause.key
    if cause.taken is not None:
        winner = trace.rows[cause.taken - 1]
        assert any(node.t == cause.key for node in winner.added)
        assert winner.step < drop.step
    if cause.kind is Kind.RACE:
        assert cause.looked is not None
        assert cause.taken is not None
        assert cause.looked < cause.taken
        assert cause.evicted or trace.rows[cause.looked - 1].answer is False
        assert trace.rows[cause.taken - 1].cpu != cause.cpu
    if cause.kind is Kind.EXHAUSTED:
        assert cause.looked is not None
        assert trace.rows[cause.looked - 1].answer is True


@given(st.sampled_from(list(SCENARIOS)), st.lists(st.integers(0, 999), max_size=60))
def test_what_a_trace_says_can_be_seen_in_it(name: str, choices: list[int]) -> None:
    trace = walked(name, choices)
    assert len(trace.causes) == trace.dropped == sum(row.drops for row in trace.rows)
    for cause in trace.causes:
        holds(trace, cause)
    assert json.loads(json.dumps(trace.to_data()))["schema"] == "natmodel.trace/1"


def test_packets_end_as_they_do() -> None:
    trace = witness_of("two packets on each cpu")
    assert [end.ending for end in trace.ends] == [
        Ending.DROPPED,
        Ending.ACCEPTED,
        Ending.NOT_BEGUN,
        Ending.NOT_BEGUN,
    ]
    assert not trace.finished
    accepted = trace.ends[1].ct
    assert accepted is not None
    assert accepted.reply.dport == 32769
    assert [end.ending for end in trace_by(Scenario.default(), "0").ends] == [
        Ending.UNDER_WAY,
        Ending.NOT_BEGUN,
    ]


def test_a_walk_to_the_end_is_finished() -> None:
    trace = walked("default", [0] * 100)
    assert trace.finished
    assert trace.dropped == 0


def test_counters_are_kept_for_each_cpu() -> None:
    counters = witness_of("icmp").counters
    assert dict(counters[0]) == {"found": 1, "drop": 1, "insert_failed": 1}
    assert dict(counters[1]) == {"found": 1}


def test_the_rover_is_seen_to_change() -> None:
    rows = witness_of("rover").rows
    assert [(row.step, row.hints) for row in rows if row.hints] == [(7, ((6, 1),))]


def test_rows_name_the_kernels_functions() -> None:
    named = {row.what: row.function for row in witness_of("default").rows}
    assert named == {
        What.FIND: "__nf_conntrack_find_get",
        What.TAKEN: "nf_conntrack_tuple_taken",
        What.BYSOURCE: "find_appropriate_src",
        What.BYSOURCE_ADD: "nf_nat_setup_info",
        What.CONFIRM: "__nf_conntrack_confirm",
    }


def test_an_empty_schedule_is_a_trace() -> None:
    trace = trace_by(Scenario.from_arguments(nat=FOUR_PORTS), "")
    assert (trace.rows, trace.causes, trace.dropped) == ((), (), 0)
