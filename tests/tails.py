# SPDX-License-Identifier: GPL-2.0-or-later
"""Does a count of tens of thousands of tries fit exact odds?  As natmodel.chances, without its sums."""

from __future__ import annotations

from fractions import Fraction
from math import comb

from natmodel.chances import Hits


def fits(test: Hits, share: Fraction) -> bool:
    """Is test.tail() >= share?  Exact.

    A tail is at least its first term, and at most a geometric series from there, as each term is a
    smaller part of the one before.  Only where these two do not decide is the tail summed up.
    """
    n, x, p = test.tries, test.hits, test.low
    assert test.low == test.high
    if x < n * p:
        x, p = n - x, 1 - p
    a, b = p.numerator, p.denominator - p.numerator
    first = 2 * comb(n, x) * a**x * b ** (n - x)  # twice the first term, in units of whole
    whole = p.denominator**n
    if first * share.denominator >= share.numerator * whole:
        return True
    below, over = (n - x) * a, (x + 1) * b  # the next term is below/over of the first
    if below < over and first * over * share.denominator < share.numerator * whole * (over - below):
        return False
    return test.tail() >= share
