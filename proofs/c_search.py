# SPDX-License-Identifier: GPL-2.0-or-later
"""Facts of one path alone: how many ports a search looks at."""

from __future__ import annotations

from typing import Any

from natmodel import ops
from natmodel.paths.packet import init_conntrack
from natmodel.release import Release
from natmodel.run import follow
from natmodel.values import Manip, NatRange, nf_ct_invert_tuple
from natmodel.world import Returned
from proofs.theorem import Quantifier, pods, theorem

ASKING = frozenset({"nf_nat_used_tuple", "nf_nat_used_tuple_harder"})


def probes(k: Release, size: int, off: int) -> int:
    """How many candidates the search looks at when all `size` of them are occupied."""
    last = 1023 + size
    s = pods(k, f"masquerade to :1024-{last} random-fully", (80,), occupied=(f"1024-{last}",))
    packet = s.threads()[0].args[1][0]
    r: NatRange = packet.src
    orig = packet.t.with_src(r.min_addr)
    ct = init_conntrack(packet)
    assert ct.reply == nf_ct_invert_tuple(packet.t)
    asked = 0

    def listen(op: ops.Op[Any] | Returned, reply: Any) -> None:
        nonlocal asked
        asked += isinstance(op, ops.Call)

    call = k.l4proto_unique_tuple(k, orig, r, Manip.SRC, ct)
    follow(call, s.world(), lambda _: off, listen, ASKING)
    return asked


@theorem(
    Quantifier.ALWAYS, "1 to 199, 255, 256, 257, 600 and 64,512 ports, all occupied", ("6.12.117",)
)
def a_search_looks_at_248_ports_at_most(k: Release) -> str:
    most = 0
    for size in (*range(1, 200), 255, 256, 257, 600, 64512):
        asked = probes(k, size, 7)
        assert asked == (size if size <= 128 else 248)
        most = max(most, asked)
    return f"{most} probes"


@theorem(Quantifier.ALWAYS, "ranges of 1 to 100 ports and 5,000, all occupied", ("4.19.66",))
def a_search_looks_at_all_ports_but_the_last_candidate(k: Release) -> str:
    for size in (*range(1, 101), 5000):
        assert probes(k, size, 65535) == size - 1
    return "4,999 probes of 5,000 ports"
