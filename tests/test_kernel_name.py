# SPDX-License-Identifier: GPL-2.0-or-later
"""Names of kernels as people have them, and what may be answered: never more than they tell."""

from __future__ import annotations

from itertools import combinations, pairwise
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from natmodel import lines
from natmodel.errors import BadInput
from natmodel.kernel_name import Candidates, Tells, answer_text, candidates, kernel_rows, parse
from natmodel.lines import CHANGES, EL8, ROW_NAMES, SERIES, TREES, Change, Has, Version
from natmodel.release import Release
from natmodel.release_text import differing
from natmodel.releases import RELEASES

SEEN = (Path(__file__).parent / "kernel_names.txt").read_text(encoding="utf-8")


def seen() -> list[tuple[str, str, int | None, tuple[str, ...], bool]]:
    kept = [line for line in SEEN.strip().splitlines() if not line.startswith("==")]
    cases = []
    for name, expected in zip(kept[::2], kept[1::2], strict=True):
        flavour, level, *rows = expected.split()
        whole = rows[-1:] != ["~"]
        known = None if level == "None" else int(level)
        cases.append((name, flavour, known, tuple(rows if whole else rows[:-1]), whole))
    return cases


@pytest.mark.parametrize(("name", "flavour", "level", "rows", "whole"), seen())
def test_names_that_were_seen(
    name: str, flavour: str, level: int | None, rows: tuple[str, ...], whole: bool
) -> None:
    answer = kernel_rows(name)
    assert (answer.kernel.flavour.name, answer.kernel.level) == (flavour, level)
    assert answer.rows == rows
    assert answer.certain == (whole and len(rows) == 1)
    if answer.standing is not None and answer.kernel.flavour.vanilla:
        assert answer.standing.complete == whole


def test_there_are_many() -> None:
    assert len(seen()) >= 80
    assert len({flavour for _, flavour, *_ in seen()}) >= 25


# ── what a name does not tell ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("rest", ["", ".0-56", ".0-56-amd64", ".0-91-generic"])
def test_a_name_without_level_never_picks_one(rest: str) -> None:
    for series in (series for series in SERIES if len(series) == 2):
        answer = kernel_rows(lines.dotted(series) + rest)
        assert answer.kernel.level is None
        assert not answer.certain
        there = {row for tree, row in TREES.items() if tree.series == series and tree.rc is None}
        assert there <= set(answer.rows)
        assert "to know the level" in words(answer_text(answer))


def words(text: str) -> str:
    """On one line, in small letters."""
    return " ".join(text.lower().split())


def test_the_answer_says_how_the_rows_differ() -> None:
    text = answer_text(kernel_rows("6.1.0-56-amd64"))
    assert "`uname -v`" in text
    for level in ("6.1.20", "6.1.147", "6.1.165"):
        assert level in text
    text = answer_text(kernel_rows("4.19.230"))
    assert "lies between the rows 4.19.222 and 4.19.304, and is neither" in words(text)
    assert "/proc/version_signature" in answer_text(kernel_rows("5.15.0-91-generic"))
    assert "unknown" in answer_text(kernel_rows("5.14.0-427.13.1.el9_4.x86_64"))


@pytest.mark.parametrize(
    "name", ["4.18.0-394.1.1.el8.x86_64", "4.18.0-3940.el8", "4.18.0-394.el8_7", "4.18.0-394.el80"]
)
def test_only_the_kernel_that_was_read_is_its_row(name: str) -> None:
    assert not kernel_rows(name).certain


def test_covers_stand_beside_their_rows() -> None:
    text = answer_text(kernel_rows("6.12.3"), covers={"6.12.0": "6.12.0 to 6.12.33"})
    assert "  6.12.0  6.12.0 to 6.12.33\n" in text


def test_pasted_lines_are_joined() -> None:
    pasted = (
        "$ uname -r; uname -v\n6.1.0-25-amd64\n#1 SMP PREEMPT_DYNAMIC Debian 6.1.106-3 (2024-08-26)"
    )
    assert kernel_rows(pasted).kernel.level == 106


# ── boundaries ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("release", "rows", "certain"),
    [
        ("6.12.33", "6.12.0", True),
        ("6.12.34", "6.12.34", True),
        ("6.12.74", "6.12.64", True),
        ("6.12.75", "6.12.94", True),
        ("6.12.118", "6.12.117", False),
        ("5.10.100", "5.10.7 5.11.0", False),
        ("5.15.59", "5.15.0", True),
        ("5.15.59-generic-of-mine", "5.15.0", False),
        ("6.6.56", "6.6.9 6.6.63", False),
        ("6.6.57", "6.6.9 6.6.63", False),
        ("6.11.0", "6.8.0 6.11.11", False),
        ("6.11.4", "6.8.0 6.11.11", False),
        ("6.1.0-rpi7-rpi-v8", "6.1.0-rc7 6.1.119 6.1.158 6.1.192", False),
        ("5.10.16", "5.10.7 5.11.0", False),
        ("5.10.17", "5.10.7 5.11.0", False),
        ("5.10.252", "5.11.0 5.10.262", False),
        ("4.19.222", "4.19.222", True),
        ("4.19.227", "4.19.222 4.19.304", False),
        ("4.19.228", "4.19.222 4.19.304", False),
        ("4.19.243", "4.19.222 4.19.304", False),
        ("4.19.244", "4.19.222 4.19.304", False),
        ("4.9.154", "4.9.154", True),
        ("4.9.180", "4.9.154 4.9.229", False),
        ("4.9.220", "4.9.229", True),
        ("4.9.240", "4.9.229 4.9.273", False),
        ("4.9.299", "4.9.273 4.9.337", False),
        ("4.9.300", "4.9.273 4.9.337", False),
        ("4.9.337", "4.9.337", True),
        ("5.8.1", "5.8.1", True),
        ("5.8.7", "5.8.1 5.9.1", False),
        ("5.8.8", "5.8.1 5.9.1", False),
        ("6.12.96", "6.12.94 6.12.117", False),
        ("6.12.97", "6.12.94 6.12.117", False),
        ("6.1.19", "6.1.0-rc7 6.1.119", False),
        ("6.1.20", "6.1.0-rc7 6.1.119", False),
        ("6.1.165", "6.1.158 6.1.192", False),
        ("6.4.5", "6.4.4 6.6.9", False),
        ("5.17.0-rc3", "5.15.0 5.17.0-rc5", False),
        ("5.17.0", "5.15.0 5.19.0", False),
        ("2.6.30", "2.6.24 2.6.35.6", False),
        ("4.3.0", "3.18.20 4.4.0", False),
        ("4.11.0", "4.9.0 4.12.0", False),
        ("5.13.0", "5.11.0", True),
        ("5.1.0", "5.0.1 5.2.1", False),
        ("6.19.0", "6.17.0 6.19.9", False),
    ],
)
def test_boundaries(release: str, rows: str, certain: bool) -> None:
    answer = kernel_rows(release)
    assert (" ".join(answer.rows), answer.certain) == (rows, certain)


@given(st.sampled_from(SERIES), st.integers(0, 400))
def test_only_a_tree_that_was_read_or_lies_between_two_of_its_row_is_certain(
    series: tuple[int, ...], level: int
) -> None:
    version = Version(series, level)
    standing = lines.standing(version)
    if not standing.certain or standing.read:
        return
    (row,) = standing.rows
    of_row = [(t.series, t.level) for t, its in TREES.items() if its == row]
    others = [(t.series, t.level) for t, its in TREES.items() if its != row and t.series == series]
    assert min(of_row) <= (series, level) <= max(of_row)
    before = max(t for t in of_row if t <= (series, level))
    after = min(t for t in of_row if t >= (series, level))
    assert not any(before < other < after for other in others)


def test_every_tree_that_was_read_is_its_row() -> None:
    for tree, row in TREES.items():
        standing = lines.standing(tree)
        assert (standing.rows, standing.certain, standing.read) == ((row,), True, True)
        # the changes alone say the same
        assert lines.state(tree) == lines.state(Version.of(row))
        assert Has.MAYBE not in lines.state(tree)


def test_rows_differ_and_every_change_parts_two_of_them() -> None:
    rows = [row for row in ROW_NAMES if row != EL8]
    states = {row: lines.state(Version.of(row)) for row in rows}
    assert len(set(states.values())) == len(rows)
    for n, change in enumerate(CHANGES):
        assert len({state[n] for state in states.values()}) == 2, change.what


def test_what_a_stable_series_has_it_keeps() -> None:
    order = [Has.NO, Has.MAYBE, Has.YES]
    for series in SERIES:
        states = [lines.state(Version(series, level)) for level in range(330)]
        for earlier, later in pairwise(states):
            for a, b in zip(earlier, later, strict=True):
                assert order.index(a) <= order.index(b)


def test_evidence_names_the_levels_it_gives() -> None:
    for change in (*CHANGES, *lines.ASIDE):
        for series, (low, known) in change.stable.items():
            if known is not None:
                assert f"{lines.dotted(series)}.{known}" in change.evidence, change.what
            assert known is None or low <= known


# ── every difference of rows is a change that is told ───────────────────────────────────────────

# The beginning of a change's text -> the fields of rows that it changes
FIELDS = {
    "RANDOM skips the by-source": "find tuple_taken timer_per_entry table_per_net hash_zone_id "
    "hash_conntrack_raw hash_bucket confirm lock test_keys clash get_unique_tuple range_flags "
    "find_best_ips l4proto_unique_tuple rng secure_port find_appropriate_src bysource_zone_id "
    "hash_by_src setup_info trackers port_protocols zones",
    "the tuple is tried as it is first": "find find_best_ips get_unique_tuple hash_by_src "
    "hash_conntrack_raw l4proto_unique_tuple null_binding_id secure_port setup_info",
    "one address choice": "find_best_ips hash_by_src nat_ipv6 find_appropriate_src trackers",
    "a packet's look-up does not ask": "find",
    "RANDOM_FULLY exists": "range_flags rng",
    "a packet's look-up asks for CONFIRMED": "find",
    "confirm takes two of 1024": "lock",
    "confirm drops a dying": "test_keys",
    "a null binding says": "null_binding_id",
    "zones have directions": "zones hash_zone_id hash_conntrack_raw hash_by_src bysource_zone_id "
    "tuple_taken find clash find_appropriate_src",
    "one table for all": "table_per_net find tuple_taken clash allow_clash merge resolve_clash test_keys "
    "hash_conntrack_raw hash_by_src",
    "a look-up that ends": "",  # a drift to another chain is left out
    "expired entries": "find tuple_taken timer_per_entry test_keys",
    "the by-source search looks at the first": "find_appropriate_src",
    "secure_port is SipHash": "secure_port",
    "clashes are merged where the entry has no NAT_DONE": "",  # no NAT extension: no NAT_DONE bit
    "a connection that is confirmed is not set up": "setup_info",
    "the by-source search looks at every match of its rhlist": "find_appropriate_src",
    "the by-source search looks at every match in lists": "find_appropriate_src",
    "confirm warns": "test_keys",
    "a reversed port range is swapped": "port_window",
    "PROTO_OFFSET exists": "range_flags",
    "a queued packet is looked up again": "nf_reinject",
    "equal connections are merged": "merge",
    "an entry of the same origin does not count": "tuple_taken",
    "walks are bounded": "l4proto_unique_tuple max_attempts",
    "RANDOM starts at random too": "l4proto_unique_tuple secure_port",
    "secure_port changes every 10": "secure_port",
    "ICMP ids come from the whole": "l4proto_unique_tuple",
    "confirm drops a connection that is confirmed": "test_keys",
    "look-ups do not skip dying": "find",
    "a clash with a free REPLY key": "merge resolve_clash resolve_clash_harder test_keys "
    "udp_refresh_unreplied",
    "the first reply leaves": "udp_refresh_unreplied",
    "resolved clashes count": "merge resolve_clash_harder",
    "an entry of the same origin counts": "tuple_taken",
    "hashes are SipHash": "hash_conntrack_raw hash_by_src hash_zone_id bysource_zone_id chain_limit "
    "rng_below test_keys clash find_get",
    "a packet from a low to a high": "get_unique_tuple",
    "confirm sets CONFIRMED before": "confirm test_keys ext_add",
    "random ports come from": "rng",
    "the conntrack hash is siphash_4u64": "hash_conntrack_raw rng_below",
    "chains may have 50": "chain_limit",
    "the conntrack hash is SipHash over 39": "hash_conntrack_raw",
    "a walk may evict": "used_tuple_harder allow_clash",
    "DNAT walks start": "l4proto_unique_tuple",
    "the fast path keeps": "used_tuple_new",
    "confirm merges reverse": "merge",
    "a queued packet is not looked up": "nf_reinject",
    "the fast path looks for": "used_tuple_new",
    "both keys of an entry": "confirm test_keys",
    "DCCP is unknown": "trackers port_protocols allow_clash",
    "the fast path does not mind": "used_tuple_new",
    "clashes of unknown": "allow_clash",
    "ICMP clashes": "allow_clash",
    "confirm does not mind": "ext_add confirm test_keys",
    "UDPLITE is unknown": "trackers port_protocols allow_clash",
}


def fields_of(change: Change) -> set[str]:
    (fields,) = (fields for begins, fields in FIELDS.items() if change.what.startswith(begins))
    return set(fields.split())


@pytest.mark.parametrize("series", SERIES, ids=lines.dotted)
def test_a_series_lists_no_row_that_what_is_known_excludes(series: tuple[int, ...]) -> None:
    """Each row that is listed fits some level, or bounds one that lies between rows."""
    levels = [Version(series, level) for level in range(400)]
    standings = [lines.standing(version) for version in levels]
    bounds = {row for one in standings if one.between or one.open for row in one.rows}
    for row in lines.standing_of_series(series).rows:
        of_row = lines.state(Version.of(row))
        fits = (
            all(has in (Has.MAYBE, its) for has, its in zip(state, of_row, strict=True))
            for state in map(lines.state, levels)
        )
        assert row in bounds or any(fits)


@pytest.mark.parametrize(
    ("series", "rows"),
    [
        ("4.10", ("4.9.0",)),
        ("4.17", ("4.16.13",)),
        ("5.16", ("5.15.0",)),
        ("5.18", ("5.15.0",)),
        ("6.10", ("6.8.0",)),
        ("6.13", ("6.12.0",)),
        ("7.1", ("7.3.4",)),
        ("4.11", ("4.9.0", "4.12.0")),
    ],
)
def test_what_a_series_can_be(series: str, rows: tuple[str, ...]) -> None:
    answer = kernel_rows(series)
    assert (answer.rows, answer.certain) == (rows, False)


def test_every_difference_of_two_rows_is_told() -> None:
    """Where two rows differ in a field, a change that parts them says so."""
    rows = [row for row in ROW_NAMES if row != EL8]
    for a, b in combinations(rows, 2):
        found = set(differing(RELEASES[a], RELEASES[b]))
        states = lines.state(Version.of(a)), lines.state(Version.of(b))
        parting = [c for c, x, y in zip(CHANGES, *states, strict=True) if x is not y]
        told = set[str]().union(*map(fields_of, parting))
        if {a, b} == {"4.14.280", "4.19.304"}:
            found.remove("secure_port")  # a u32 or a u64, of which NAT keeps 16 bits
        assert found <= told, (a, b, found - told)
    fields = {field.name for field in attrs.fields(Release)}
    assert all(fields_of(change) <= fields for change in CHANGES)


# ── what is refused ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no name"),
        ("   \n", "no name"),
        ("hello", "no version"),
        ("#101-Ubuntu SMP Tue Nov 14 13:30:08 UTC 2023", "give `uname -r` too"),
        ("#1 SMP PREEMPT_DYNAMIC Tue May 9 05:49:00 EDT 2023", "give `uname -r` too"),
        ("2.4.37", "older than 2.6.24"),
        ("2.6.18-8.1.15.el5xen", None),
        ("2.6.23", "older than 2.6.24"),
        ("7.4.1", "newer than 7.3"),
        ("8.0", "newer than 7.3"),
        ("4.21.3", "there was no Linux 4.21"),
        ("3.20", "there was no Linux 3.20"),
        ("6.1.5-rc2", "there was no Linux 6.1.5-rc2"),
        ("4.4.0-18362-Microsoft", "WSL 1"),
        ("5.10.0-1-amd64 #1 SMP Debian 6.1.106-3 (2024-08-26)", "5.10 by its `uname -r`"),
        ("Ubuntu 5.15.0-72.79-generic 6.2.98", "names two series"),
        ("6" * 5000, "too long"),
    ],
)
def test_bad_names(text: str, says: str | None) -> None:
    if says is None:
        assert kernel_rows(text).rows == ()
        return
    with pytest.raises(BadInput) as refused:
        kernel_rows(text)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 160


# ── any text at all ─────────────────────────────────────────────────────────────────────────────

PIECES = st.sampled_from(
    [
        *(
            "6.1.0",
            "5.15",
            "4.18.0",
            "2.6.35.6",
            "7.9",
            ".",
            "-",
            "+",
            "~",
            " ",
            "\n",
            "(",
            ")",
            "#1",
        ),
        *("-rc1", "-56", "-amd64", "-generic", ".el8", ".el8uek", "-default", "SMP", "Linux "),
        *("Debian 6.1.192-2", "Ubuntu 5.15.0-72.79-generic 5.15.98", "Linux version ", "+deb12"),
        *("PMX 6.8.4-2", "-150500.1", ".amzn2", "99999", "999999", "٣", "\x00", "-microsoft"),
    ]
)


@given(st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=8).map("".join)))
def test_nothing_but_bad_input(text: str) -> None:
    refused: BadInput | None = None
    try:
        answer = kernel_rows(text)
    except BadInput as error:
        refused = error
    else:
        check_answer(answer)
    assert refused is None or len(str(refused).splitlines()) == 1


def check_answer(answer: Candidates) -> None:
    assert set(answer.rows) <= set(ROW_NAMES)
    assert len(set(answer.rows)) == len(answer.rows)
    written = answer_text(answer)
    assert all(len(line) <= 80 for line in written.splitlines())
    assert all(row in written for row in answer.rows)


@given(
    st.sampled_from(sorted(TREES, key=str)),
    st.sampled_from(
        [
            "{v}",
            "{v}+",
            "Linux host {v}-arch1-1 #1 SMP PREEMPT x86_64 GNU/Linux",
            "Linux version {v}-1.amzn2.x86_64 (mockbuild@ip) (gcc version 7.3.1) #1 SMP",
            "{v}-0-lts #1-Alpine SMP",
            "{s}.0-9-amd64",
            "{s}.0-9-amd64 #1 SMP Debian {v}-1 (2020-01-01)",
            "{s}.0-9-generic #9-Ubuntu SMP",
            "Ubuntu {s}.0-9.10-generic {v}",
            "{s}",
            "{v}-something.of.mine",
        ]
    ),
)
def test_the_truth_is_among_the_answers(tree: Version, form: str) -> None:
    if tree.series[:2] == (2, 6) or tree.rc is not None:
        form = "{v}"
    answer = kernel_rows(form.format(v=tree, s=lines.dotted(tree.series)))
    assert TREES[tree] in answer.rows
    if answer.certain:
        assert answer.rows == (TREES[tree],)


@given(st.sampled_from(SERIES), st.integers(0, 400), st.integers(0, 400))
def test_a_level_tells_no_less_than_its_series(
    series: tuple[int, ...], level: int, other: int
) -> None:
    whole = set(lines.standing_of_series(series).rows)
    one = lines.standing(Version(series, level))
    assert one.rows
    assert {one.likely} <= whole if one.likely else set(one.rows) <= whole
    if one.certain and lines.state(Version(series, level)) == lines.state(Version(series, other)):
        two = lines.standing(Version(series, other))
        assert two.rows == one.rows


def test_a_vendor_has_no_version() -> None:
    kernel = parse("5.14.0-427.13.1.el9_4.x86_64")
    assert kernel.flavour.tells is Tells.VENDOR
    assert kernel.version is None
    assert candidates(kernel).rows == ()
    assert attrs.evolve(kernel, row=EL8).recognised.endswith(EL8)
