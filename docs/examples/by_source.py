# SPDX-License-Identifier: GPL-2.0-or-later
"""Hashing by source: the walk starts where a keyed hash of the inside address and port says."""

from __future__ import annotations

import attrs

from natmodel.hashes import jhash_2words, reciprocal_scale
from natmodel.ops import Call, path
from natmodel.paths.nf_nat_l4proto_unique_tuple import (
    bounded_probe,
    bounded_rounds,
    first_round,
    id_or_port_window,
)
from natmodel.release import Release
from natmodel.releases import V6_12_117
from natmodel.values import Conn, CtTuple, Manip, NatRange


def start_of(src: int, sport: int, secret: int, size: int) -> int:
    """0..size-1: the offset at which an IPv4 source's walk starts."""
    return reciprocal_scale(jhash_2words(src, sport, secret), size)


def hashing_by_source(secret: int) -> Release:
    """6.12.117, if sources were hashed instead of drawing a start."""

    @path
    async def from_a_hash(
        k: Release, t: CtTuple, r: NatRange, manip: Manip, ct: Conn
    ) -> CtTuple | Call[CtTuple]:
        """Not blind: it computes with the source address.  It draws nothing."""
        window = id_or_port_window(k, t, r, manip, ct)
        if manip is not Manip.SRC or window is None:
            return bounded_rounds(k, t, r, manip, ct)
        w = first_round(k, t, *window)
        off = start_of(ct.orig.src, ct.orig.sport, secret, w.size)
        return bounded_probe(k, w, ct, off, 0, t)

    name = "6.12.117, hashing by source"
    return attrs.evolve(V6_12_117, name=name, l4proto_unique_tuple=from_a_hash)
