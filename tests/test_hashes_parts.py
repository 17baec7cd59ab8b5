# SPDX-License-Identifier: GPL-2.0-or-later
"""What the hashes are made of, against its authors, the standard library and compiled kernel code."""

from __future__ import annotations

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natmodel.hashes import (
    half_md4_transform,
    jhash2,
    jhash2_lookup2,
    jhash_2words,
    jhash_2words_lookup2,
    jhash_3words,
    jhash_3words_lookup2,
    md5_transform,
    modulo,
    sip_key,
    siphash24,
    u32_key,
)

U32_MAX = 0xFFFFFFFF
# A and B of RFC 1321 and RFC 1320, which start alike
INITIAL = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
WORDS = (0x01234567, 0x89ABCDEF, 0xDEADBEEF, 0x0BADCAFE, 0xFFFFFFFF, 3)

u32s = st.integers(0, U32_MAX)


# ── what the authors published ──────────────────────────────────────────────────────────────────


def test_siphash24_of_the_paper() -> None:
    # Aumasson and Bernstein, "SipHash: a fast short-input PRF", appendix A.
    assert siphash24(bytes(range(15)), sip_key(bytes(range(16)))) == 0xA129CA6149BE45E5


def test_siphash24_of_the_authors_table() -> None:
    # First and second entries of vectors_sip64 in the authors' reference code, read as u64.
    key = sip_key(bytes(range(16)))
    assert siphash24(b"", key) == 0x726FDB47DD0E0E31
    assert siphash24(b"\x00", key) == 0x74F839C593DC67FD


def test_jhash2_of_lookup3() -> None:
    # driver5 of lookup3.c.  Its text has 30 bytes: padded to 8 words, it counts two too many.
    text = b"Four score and seven years ago".ljust(32, b"\x00")
    words = [int.from_bytes(text[at : at + 4], "little") for at in range(0, 32, 4)]
    assert jhash2(words, -2 & U32_MAX) == 0x17770551
    assert jhash2(words, -1 & U32_MAX) == 0xCD628161
    assert jhash2([], 0) == 0xDEADBEEF
    assert jhash2([], 0xDEADBEEF) == 0xBD5B7DDE


@given(st.binary(max_size=55))
def test_md5_of_one_block(message: bytes) -> None:
    padded = (message + b"\x80").ljust(56, b"\x00") + struct.pack("<Q", 8 * len(message))
    digest = struct.pack("<4I", *md5_transform(INITIAL, struct.unpack("<16I", padded)))
    assert digest == hashlib.md5(message, usedforsecurity=False).digest()


# ── what compiled kernel code said ──────────────────────────────────────────────────────────────

# By the number of WORDS; the seed is 0xFEEDFACE.
LOOKUP2 = (0x83C1659C, 0xAC1D6D78, 0x1DCA8750, 0xB3D79A7E, 0x6F56DEE5, 0xE5C82C3D, 0xF6B11842)
LOOKUP3 = (0xDD9BB9BD, 0xD6A39CE0, 0xC09EB875, 0x1A3C2DAE, 0x5ECA06C5, 0x48DCE369, 0xCE8951AD)


@pytest.mark.parametrize("n", range(7))
def test_jhash2_of_both_kinds(n: int) -> None:
    """jhash2 of 2.6.35.6 and of 3.4.113."""
    assert jhash2_lookup2(WORDS[:n], 0xFEEDFACE) == LOOKUP2[n]
    assert jhash2(WORDS[:n], 0xFEEDFACE) == LOOKUP3[n]


def test_jhash_of_two_and_three_words() -> None:
    """jhash_2words and jhash_3words of 2.6.35.6 and of 3.4.113."""
    a, b, c, initval = WORDS[:4]
    assert jhash_2words_lookup2(a, b, initval) == 0x62614FEC
    assert jhash_3words_lookup2(a, b, c, initval) == 0xF94A753D
    assert jhash_2words(a, b, initval) == 0xF1AA01F9
    assert jhash_3words(a, b, c, initval) == 0x406CB9D3


def test_half_md4_transform() -> None:
    """half_md4_transform of 2.6.35.6."""
    block = [0x01010101 * n + 0xF0000000 & U32_MAX for n in range(8)]
    assert half_md4_transform(INITIAL, block) == 0x6321A31E


# ── properties ──────────────────────────────────────────────────────────────────────────────────


@given(st.lists(u32s, max_size=13), u32s)
def test_jhash2_is_u32(words: list[int], initval: int) -> None:
    assert 0 <= jhash2(words, initval) <= U32_MAX
    assert 0 <= jhash2_lookup2(words, initval) <= U32_MAX


@given(u32s, st.integers(1, U32_MAX))
def test_modulo_stays_below(val: int, size: int) -> None:
    assert 0 <= modulo(val, size) < size
    assert (val - modulo(val, size)) % size == 0


def test_modulo_of_no_buckets_is_refused() -> None:
    with pytest.raises(ZeroDivisionError):
        modulo(1, 0)


def test_u32_key_is_the_first_four_bytes() -> None:
    assert u32_key(bytes(range(1, 17))) == 0x04030201
    with pytest.raises(struct.error):
        u32_key(bytes(3))
