# SPDX-License-Identifier: GPL-2.0-or-later
"""A trace fits its width, reads the same every time, and pastes back into a shell.

NATMODEL_UPDATE_GOLDEN=1 writes the files in tests/golden anew.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natmodel import render
from natmodel.controls import locked
from natmodel.releases import RELEASES
from natmodel.scenario import Scenario
from natmodel.schedule import Schedule
from natmodel.testing import with_release
from tests.tracing import SCENARIOS, names_with_a_drop, trace_by, verdict_of, walked, witness_of

GOLDEN = Path(__file__).parent / "golden"

names = st.sampled_from(list(SCENARIOS))
widths = st.integers(render.MIN_WIDTH, 140)


def checked(name: str, width: int = 80) -> str:
    """What `natmodel check` prints."""
    verdict = verdict_of(name)
    trace = None if verdict.witness is None else witness_of(name)
    return render.plain(render.verdict_lines(verdict, trace, width))


def fits(text: str, width: int) -> None:
    assert [line for line in text.splitlines() if len(line) > width] == []
    assert [line for line in text.splitlines() if line != line.rstrip()] == []


# ── golden texts ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("file", "name", "width"),
    [
        ("default", "default", 80),
        ("default-wide", "default", 100),
        ("rover", "rover", 80),
        ("four-cpus-4.19.66", "four cpus", 80),
        ("four-cpus-ipv6", "four cpus, IPv6", 80),
        ("five-cpus", "five cpus", 80),
        ("same-original", "tcp, same ORIGINAL", 80),
        ("full", "full, rover", 80),
        ("eviction", "eviction", 80),
        ("no-drop", "dnat", 80),
    ],
)
def test_the_text_is_as_it_was(file: str, name: str, width: int) -> None:
    golden = GOLDEN / f"{file}.txt"
    text = checked(name, width)
    if os.environ.get("NATMODEL_UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


# ── width ───────────────────────────────────────────────────────────────────────────────────────


@given(names, widths)
def test_no_line_of_a_verdict_is_too_wide(name: str, width: int) -> None:
    fits(checked(name, width), width)


@given(names, st.lists(st.integers(0, 999), max_size=60), widths)
def test_no_line_of_a_trace_is_too_wide(name: str, choices: list[int], width: int) -> None:
    trace = walked(name, choices)
    text = render.text(trace, width, ascii=True)
    fits(text, width)
    assert text.isascii()


@pytest.mark.parametrize("name", ["four cpus", "four cpus, IPv6", "three cpus", "default"])
def test_up_to_four_cpus_have_lanes_at_80_columns(name: str) -> None:
    cpus = verdict_of(name).scenario.cpus
    header = next(line for line in checked(name).splitlines() if line.endswith("conntrack"))
    assert header.count("cpu ") == cpus


def test_a_wide_terminal_shows_the_path() -> None:
    wide = checked("default", 100)
    assert "find_appropriate_src" in wide
    assert "find_appropriate_src" not in checked("default", 99)


def test_a_long_walk_is_shortened() -> None:
    text = checked("full, rover")
    assert "⋮ 17 more" in text
    assert "tuple_taken 4001 " not in text


def test_a_very_long_walk_is_still_a_short_text() -> None:
    scenario = Scenario.from_arguments(
        kernel="4.19.66", packet=["tcp 10.0.0.1:1024 > 192.0.2.1:80"], occupied=["1024-2999"]
    )
    text = render.text(trace_by(scenario, "0*1980"))
    fits(text, 80)
    assert "1973 more" in text
    assert len(text.splitlines()) < 30


# ── what is said ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "default",
            "cpu 0 saw 32769 free at step 4; cpu 1 confirmed it at step 11; "
            "at step 12 cpu 0's confirm found it taken: dropped.",
        ),
        (
            "rover",
            "cpu 0 saw 4001 free at step 6; cpu 1 linked it at step 17; "
            "at step 18 cpu 0's confirm found it taken: dropped.",
        ),
        (
            "eviction",
            "cpu 0 evicted the entry that held 4000 at step 6; cpu 1 confirmed it at step 15; "
            "at step 16 cpu 0's confirm found it taken: dropped.",
        ),
        (
            "tcp, same ORIGINAL",
            "cpu 0 found no entry with its ORIGINAL tuple at step 1; "
            "cpu 1 confirmed one at step 11; at step 12 cpu 0's confirm found it: dropped.",
        ),
        (
            "one port",
            "cpu 1 saw 4000 taken at step 12, and has no other port; "
            "at step 14 cpu 1's confirm found it taken: dropped.",
        ),
        (
            "full, rover",
            "cpu 0 took 4019, the last it tried, without a look; an entry holds it from the "
            "start; at step 26 cpu 0's confirm found it taken: dropped.",
        ),
        (
            "full",
            "cpu 0 saw 4019 taken at step 24, and had nothing left to try; "
            "at step 26 cpu 0's confirm found it taken: dropped.",
        ),
        (
            "zones",
            "the look-up of 32769 at step 11 passed over the entry that held it: it has the same "
            "ORIGINAL tuple; at step 13 cpu 1's confirm found it taken: dropped.",
        ),
        ("long chain", "at step 6 cpu 0's confirm found a chain longer than its limit: dropped."),
    ],
)
def test_the_cause_is_one_sentence(name: str, sentence: str) -> None:
    trace = witness_of(name)
    (cause,) = trace.causes
    assert render.sentence(trace, cause) == sentence
    assert sentence in " ".join(checked(name).split())


def test_every_drop_has_its_sentence_in_the_text() -> None:
    for name in names_with_a_drop():
        assert ": dropped." in checked(name)


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("", "no packet is dropped so far"),
        ("000000 1", "no packet is dropped so far"),
        ("00000 111111 0", "a packet is dropped"),
        ("000000 11", "no packet is dropped so far"),
    ],
)
def test_the_first_words_say_how_it_ended(schedule: str, words: str) -> None:
    text = render.text(trace_by(Scenario.default(), schedule))
    assert text.split("  ")[0] == words


def test_a_finished_schedule_is_not_so_far() -> None:
    trace = walked("default", [0] * 100)
    assert render.text(trace).split("  ")[0] == "no packet is dropped"


def test_keys_of_several_families_have_a_letter() -> None:
    scenario = Scenario.from_arguments(
        packet=["tcp 10.0.0.1:1024 > 192.0.2.1:80", "tcp 10.0.0.2:1024 > 192.0.2.2:80"]
    )
    text = render.text(trace_by(scenario, "000000 111111"))
    assert "A:PORT  reply tuple tcp 192.0.2.1:80 > 203.0.113.1:PORT" in text
    assert "B:PORT  reply tuple tcp 192.0.2.2:80 > 203.0.113.1:PORT" in text
    assert "tuple_taken A:1024     no" in text
    assert "+B:1024" in text


def test_a_kernel_that_never_was_gets_no_command() -> None:
    row = locked(RELEASES["6.12.117"])
    text = render.text(trace_by(with_release(Scenario.default(), row), "00 1"))
    assert row.name in text
    assert "choose+confirm 32769" in text
    assert "again" not in text


# ── the command ─────────────────────────────────────────────────────────────────────────────────


def command(text: str) -> str:
    """What is to be pasted."""
    return text.partition("    again      ")[2]


def words_in_a_shell(commands: list[str]) -> list[list[str]]:
    """The words that sh makes of each command, line breaks inside them as blanks."""
    script = "natmodel() { printf '%s\\0' \"$@\"; printf '\\0'; }\n" + "".join(commands)
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True)
    texts = done.stdout.decode().split("\0\0")[:-1]
    return [[" ".join(word.split()) for word in text.split("\0")] for text in texts]


def test_every_printed_command_pastes_into_a_shell() -> None:
    traces = [witness_of(name) for name in names_with_a_drop()]
    for width in (60, 80, 133):
        commands = [command(render.text(trace, width)) for trace in traces]
        for trace, words in zip(traces, words_in_a_shell(commands), strict=True):
            arguments = trace.scenario.arguments()
            assert words == ["replay", *arguments, "--schedule", str(trace.schedule)]
            assert Schedule.parse(words[-1]) == trace.schedule


def test_awkward_file_names_paste_into_a_shell() -> None:
    trace = witness_of("default")
    sources = [
        "x.toml",
        "it's here/a b.toml",
        "/" + "very-long/" * 30 + "s.toml",
        "'" * 99,
        "$(x)`",
    ]
    texts = [
        render.plain(render.trace_lines(trace, 60, source=source, title=None)) for source in sources
    ]
    for text in texts:
        fits(text, 60)
    words = words_in_a_shell([command(text) for text in texts])
    assert [word[1] for word in words] == sources
