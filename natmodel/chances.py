# SPDX-License-Identifier: GPL-2.0-or-later
"""Do counts fit exact probabilities?  Binomial tails as fractions, and one false-alarm rate for all.

A test is two-sided: a count is too rare if twice its smaller tail is below the test's share.  Every test
has the same share of the whole (Bonferroni), so whatever depends on what, some test raises a false alarm
with at most the whole probability.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import comb
from typing import Final

import attrs

# The probability that a model that is right is blamed by some test at all.
FALSE_ALARM: Final = Fraction(1, 10**6)


@attrs.frozen
class Hits:
    """`hits` in `tries`; each is one with a probability from `low` to `high`, the same for all."""

    what: str
    tries: int
    hits: int
    low: Fraction
    high: Fraction

    def is_decided(self) -> bool:
        """Nothing is left to chance, so it is no test."""
        return self.low == self.high and self.low in (0, 1)

    def is_impossible(self) -> bool:
        return (self.high == 0 and self.hits > 0) or (self.low == 1 and self.hits < self.tries)

    def tail(self) -> Fraction:
        """Twice the smaller tail, under the probability that suits the count best."""
        below = at_most(self.tries, self.hits, self.low)
        above = at_most(self.tries, self.tries - self.hits, 1 - self.high)
        return min(Fraction(1), 2 * min(below, above))


def at_most(n: int, x: int, p: Fraction) -> Fraction:
    """P(X <= x) where X counts hits in n tries of probability p."""
    a, b = p.numerator, p.denominator
    ways = sum(comb(n, i) * a**i * (b - a) ** (n - i) for i in range(x + 1))
    return Fraction(ways, b**n)


def counts_of(
    what: str, tries: int, seen: Mapping[str, int], odds: Mapping[str, Fraction]
) -> list[Hits]:
    """The tests of a variable: one for each value that is left to chance; of two, one is enough."""
    open_values = [value for value, p in odds.items() if 0 < p < 1]
    tested = open_values[1:] if len(open_values) == 2 else open_values
    return [
        Hits(f"{what} {value}", tries, seen.get(value, 0), odds[value], odds[value])
        for value in tested
    ]


def share(tests: int) -> Fraction:
    """Each test's part of FALSE_ALARM."""
    return FALSE_ALARM / max(tests, 1)


def false_alarm(test: Hits, each: Fraction) -> Fraction:
    """The greatest probability with which a right model is rejected by this test at this share.

    Under a probability between `low` and `high`, each tail is at most what it is at its own end.
    """
    return sum(
        (
            rejected(test.tries, p, each)
            for p in (test.low, 1 - test.high)  # few hits, and few misses
        ),
        Fraction(0),
    )


def rejected(n: int, p: Fraction, each: Fraction) -> Fraction:
    """P(X <= x) for the greatest x whose tail, twice, is below `each`; X as in at_most."""
    a, b = p.numerator, p.denominator
    below, whole = 0, b**n
    for i in range(n + 1):
        more = below + comb(n, i) * a**i * (b - a) ** (n - i)
        if 2 * more >= each * whole:
            break
        below = more
    return Fraction(below, whole)
