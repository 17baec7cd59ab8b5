# SPDX-License-Identifier: GPL-2.0-or-later
"""Per-CPU port partitions: of `cpus` CPUs, each looks for ports in its own slice of the window only."""

from __future__ import annotations

import attrs

from natmodel.ops import Call, path
from natmodel.paths.get_unique_tuple import get_unique_tuple
from natmodel.release import Release
from natmodel.releases import V6_12_117
from natmodel.values import NF_NAT_RANGE_PROTO_SPECIFIED, Conn, CtTuple, Manip, NatRange


def partitioned(cpus: int) -> Release:
    """6.12.117, if CPU i had only the i-th of `cpus` slices of the window."""

    @path
    async def in_own_slice(
        k: Release, orig: CtTuple, r: NatRange, ct: Conn, manip: Manip
    ) -> CtTuple | Call[CtTuple]:
        """Not blind: which CPU it runs on, it tells by the connection's id."""
        window = k.port_window(orig, r, manip)
        if manip is Manip.SRC and window is not None:
            first, size = window
            cpu = ct.id % cpus  # packet i makes connection i, and runs on CPU i mod cpus
            low, high = (first + size * n // cpus for n in (cpu, cpu + 1))
            flags = r.flags | NF_NAT_RANGE_PROTO_SPECIFIED
            r = attrs.evolve(r, flags=flags, min_proto=low, max_proto=high - 1)
        return get_unique_tuple(k, orig, r, ct, manip)

    return attrs.evolve(V6_12_117, name="6.12.117, partitioned", get_unique_tuple=in_own_slice)
