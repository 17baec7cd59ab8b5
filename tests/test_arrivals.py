# SPDX-License-Identifier: GPL-2.0-or-later
"""The timing model against formulas that know nothing of its cells, and against drawn arrivals."""

from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction
from itertools import pairwise, product
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natmodel import chances
from natmodel.arrivals import MOST_PACKETS, Pattern, overlap, overlap_apart, patterns
from natmodel.errors import BadInput
from tests.tails import fits

shares = st.fractions(min_value=0, max_value=1, max_denominator=10**6)


def patterns_on_a_grid(packets: int, share: Fraction) -> dict[Pattern, Fraction]:
    """The second formula: time is cut into `share.denominator` slots of the window, whatever c is.

    Of two packets whose places within their slots are known to be in order, slots alone tell whether they
    are c apart.  So all ways to choose slots are counted, for packets in the order of these places.
    """
    c, slots = share.numerator, share.denominator
    ways: Counter[Pattern] = Counter()
    for chosen in product(range(slots), repeat=packets):
        arrivals = sorted(zip(chosen, range(packets), strict=True))
        commits = [(slot + c, place) for slot, place in arrivals]
        ways[tuple(sum(commit < at for commit in commits) for at in arrivals)] += 1
    return {pattern: Fraction(n, slots**packets) for pattern, n in ways.items()}


@pytest.mark.parametrize(
    ("packets", "share"),
    [(1, "1/3"), (2, "3/10"), (2, "1/7"), (3, "1/2"), (3, "2/3"), (3, "3/20"), (4, "1"), (4, "2/7"),
     (4, "3/5"), (4, "1/9"), (5, "2/5"), (5, "1/6"), (5, "3/4"), (6, "2/5"), (6, "1/5")],
)  # fmt: skip
def test_two_ways_to_cut_time_give_the_same_odds(packets: int, share: str) -> None:
    assert patterns(packets, Fraction(share)) == patterns_on_a_grid(packets, Fraction(share))


@given(st.integers(1, 5), shares)
def test_all_patterns_sum_to_one_and_are_possible(packets: int, share: Fraction) -> None:
    found = patterns(packets, share)
    assert sum(found.values()) == 1
    for pattern, odds in found.items():
        assert 0 < odds <= 1
        assert all(a <= b for a, b in pairwise(pattern))
        assert all(0 <= seen <= n for n, seen in enumerate(pattern))


@given(st.integers(1, 5), shares)
def test_full_overlap_and_none_have_textbook_odds(packets: int, share: Fraction) -> None:
    """The range of n uniform points is below c; no two of them are less than c apart."""
    found = patterns(packets, share)
    every = packets * share ** (packets - 1) - (packets - 1) * share**packets
    assert found.get((0,) * packets, 0) == every
    none = max(1 - (packets - 1) * share, Fraction(0)) ** packets
    assert found.get(tuple(range(packets)), 0) == none


@given(st.integers(2, 5), shares)
def test_any_two_packets_overlap_as_two_alone_do(packets: int, share: Fraction) -> None:
    """Of `packets` in the order of arrival, the k-th overlaps those that it does not see."""
    overlapping = sum(
        odds * sum(n - seen for n, seen in enumerate(pattern))
        for pattern, odds in patterns(packets, share).items()
    )
    assert overlapping == comb(packets, 2) * overlap(share)


@given(shares)
def test_three_packets_by_hand(share: Fraction) -> None:
    """(0, 0, 1): the third sees the first, and only that; integrated by hand for c at most half of W.

    With gaps a and b between them: a < c, b < c, a + b >= c, and 1 - a - b is where the first may be.
    """
    c = share
    if 2 * c <= 1:
        # the integral over that triangle of 3! * (1 - a - b): area c^2/2, mean of a + b is 4c/3
        assert patterns(3, c).get((0, 0, 1), 0) == 6 * c**2 / 2 * (1 - 4 * c / 3)


@pytest.mark.parametrize("packets", range(1, 7))
def test_the_ends(packets: int) -> None:
    assert patterns(packets, 0) == {tuple(range(packets)): 1}
    assert patterns(packets, 1) == {(0,) * packets: 1}


def test_six_packets_have_132_patterns() -> None:
    """As many as there are ways to arrange six arrivals and six commits: the Catalan number."""
    found = patterns(6, Fraction(1, 100))
    assert len(found) == comb(12, 6) // 7
    assert sum(found.values()) == 1


@pytest.mark.parametrize(("packets", "share"), [(3, "3/10"), (4, "1/7"), (6, "1/3")])
def test_drawn_arrivals_fit(packets: int, share: str) -> None:
    c, tries, dice = float(Fraction(share)), 20_000, random.Random(1)
    seen: Counter[str] = Counter()
    for _ in range(tries):
        at = sorted(dice.random() for _ in range(packets))
        seen[str(tuple(sum(u + c <= v for u in at) for v in at))] += 1
    odds = {str(pattern): p for pattern, p in patterns(packets, Fraction(share)).items()}
    assert seen.keys() <= odds.keys()
    tests = chances.counts_of("pattern", tries, seen, odds)
    assert all(fits(test, chances.share(len(tests))) for test in tests)


# ── two packets ─────────────────────────────────────────────────────────────────────────────────


@given(shares)
def test_two_packets_have_one_formula(share: Fraction) -> None:
    assert patterns(2, share).get((0, 0), 0) == overlap(share) == overlap_apart(share, 0)


@pytest.mark.parametrize(
    ("share", "apart"), [("1/4", "1/4"), ("3/4", "-1/2"), ("5/4", "1"), ("1/2", "1")]
)
def test_windows_apart_by_counting_slots(share: str, apart: str) -> None:
    """Four slots: places within them are in either order with equal odds."""
    c, by = (int(4 * Fraction(text)) for text in (share, apart))
    ways = Fraction(0)
    for first, second in product(range(4), repeat=2):
        slots = second + by - first  # apart by this many slots, and by up to one more or one less
        ways += Fraction((-c <= slots < c) + (-c < slots <= c), 2)
    assert overlap_apart(Fraction(share), Fraction(apart)) == ways / 16


@given(shares, st.fractions(-3, 3))
def test_which_window_is_first_does_not_matter(share: Fraction, apart: Fraction) -> None:
    odds = overlap_apart(share, apart)
    assert odds == overlap_apart(share, -apart)
    assert 0 <= odds <= overlap(share)
    if abs(apart) >= 1 + share:
        assert odds == 0


# ── what is refused ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("share", [Fraction(-1, 2), Fraction(3, 2), -1, 2])
def test_a_share_is_part_of_a_whole(share: Fraction | int) -> None:
    for call in (lambda: overlap(share), lambda: patterns(2, share)):
        with pytest.raises(BadInput) as caught:
            call()
        assert str(caught.value) == (
            f"share {share}: the time from choosing to committing is 0 to 1 of the window"
        )


def test_less_than_no_time_is_refused() -> None:
    with pytest.raises(
        BadInput, match="share -1: the time from choosing to committing is at least 0"
    ):
        overlap_apart(-1, 0)


@pytest.mark.parametrize("packets", [0, -1, MOST_PACKETS + 1])
def test_how_many_packets_go(packets: int) -> None:
    with pytest.raises(BadInput, match=rf"^{packets} packets: computed for 1 to {MOST_PACKETS}$"):
        patterns(packets, Fraction(1, 2))
