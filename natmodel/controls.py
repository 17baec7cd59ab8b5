# SPDX-License-Identifier: GPL-2.0-or-later
"""Releases that never were, to show what a fact depends on.

They are real rows with one thing changed, and are no part of the releases table.
"""

from __future__ import annotations

import attrs

from natmodel.ops import atomic, path
from natmodel.paths.packet import nat_and_confirm
from natmodel.release import Fate, Packet, Release


@path
async def nat_and_confirm_locked(k: Release, p: Packet) -> Fate:
    """Choosing and confirming as one step, as if one lock were held from the first probe on."""
    return await atomic(nat_and_confirm(k, p))


def locked(k: Release) -> Release:
    """`k`, but nobody else can act between a packet's choice and its confirm."""
    return attrs.evolve(k, name=f"{k.name}, locked", new_connection=nat_and_confirm_locked)
