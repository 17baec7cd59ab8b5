# SPDX-License-Identifier: GPL-2.0-or-later
"""Choosing again at confirm: whose port was taken meanwhile chooses another, `tries` times."""

from __future__ import annotations

import attrs

from natmodel.ops import BysourceDel, Call, Node, atomic, path
from natmodel.paths.nf_conntrack_confirm import merge_or_insert_reply_only
from natmodel.paths.packet import finish, init_conntrack, null_binding
from natmodel.release import Confirmed, Fate, Packet, Release
from natmodel.releases import V6_12_117
from natmodel.values import IP_CT_DIR_ORIGINAL, IP_CT_DIR_REPLY, NF_ACCEPT, Conn, Manip


@path(blind=True)
async def let_choose_again(k: Release, loser: Conn, h: Node) -> Confirmed | Call[Confirmed]:
    """Another port helps if it is an answer's key that was taken.  What is not NF_DROP is no drop."""
    if h.direction == IP_CT_DIR_REPLY:
        return Confirmed(NF_ACCEPT, loser, loser.id, False, "clash", h.ct)
    return merge_or_insert_reply_only(k, loser, h)


@path(blind=True)
async def choose(k: Release, p: Packet, ct: Conn, tries: int, locked: bool) -> Fate | Call[Fate]:
    """`ct` has its destination and no source yet.  With no try left, confirm is the kernel's."""
    chosen = await k.setup_info(k, ct, p.src or null_binding(ct, Manip.SRC), Manip.SRC)
    row = k if tries else V6_12_117
    done = await row.confirm(row, chosen, IP_CT_DIR_ORIGINAL)
    if tries and done.cause == "clash":
        await BysourceDel(chosen)
        again = choose(k, p, ct, tries - 1, locked)
        return await atomic(again) if locked else again
    return finish(k, p, done)


def choosing_again(tries: int, *, locked: bool = False) -> Release:
    """6.12.117, if a clash let the packet choose again, `tries` times.

    `locked`: from the second choice on while no other CPU can act, as if the whole table were locked.
    """

    @path(blind=True)
    async def until_inserted(k: Release, p: Packet) -> Fate | Call[Fate]:
        """Confirm is not told the rule's range; so the loop is around both."""
        ct = init_conntrack(p)
        ct = await k.setup_info(k, ct, p.dst or null_binding(ct, Manip.DST), Manip.DST)
        return choose(k, p, ct, tries, locked)

    name = f"6.12.117, choosing up to {tries + 1} times{', locked' * locked}"
    return attrs.evolve(
        V6_12_117, name=name, new_connection=until_inserted, resolve_clash=let_choose_again
    )
