# SPDX-License-Identifier: GPL-2.0-or-later
"""The shortcuts of tests/tails.py decide as the sums do."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from natmodel.chances import Hits
from tests.tails import fits


@given(st.integers(1, 60), st.data())
def test_a_count_fits_if_its_tail_is_no_less_than_the_share(
    tries: int, data: st.DataObject
) -> None:
    hits = data.draw(st.integers(0, tries))
    p = data.draw(st.fractions(Fraction(1, 50), Fraction(49, 50), max_denominator=50))
    test = Hits("a count", tries, hits, p, p)
    tail = test.tail()
    shares = (Fraction(1, 10**6), Fraction(1, 20), Fraction(1, 2), tail, tail * Fraction(99, 100))
    for share in shares:
        assert fits(test, share) == (tail >= share)
    if tail < Fraction(99, 100):  # it is never more than 1
        assert not fits(test, tail * Fraction(101, 100))
