# SPDX-License-Identifier: GPL-2.0-or-later
"""Extensions of a connection, as far as confirm minds how old they are.

A module that leaves may have left pointers in the extensions of connections that no table has yet.  From
5.19 to 7.0 each generation of extensions has a number, and confirm drops what is not of the current one.
"""

from __future__ import annotations

import attrs

from natmodel.ops import ExtGenidIncrement, ExtGenidLoad, path
from natmodel.release import Release
from natmodel.values import Conn


@path
async def nf_ct_ext_add(k: Release, ct: Conn) -> Conn:
    """The first extension notes of which generation it is.

    kernel: nf_ct_ext_add (5.19 .. 7.0)
    """
    return attrs.evolve(ct, ext_genid=await ExtGenidLoad())


@path
async def ext_add_without_genid(k: Release, ct: Conn) -> Conn:
    """kernel: nf_ct_ext_add (2.6.24 .. 5.18; 7.1 .. 7.3.4)"""
    return ct


@path
async def nf_ct_ext_valid(ct: Conn) -> bool:
    """Has ct no extension, or one of the current generation?

    kernel: nf_ct_ext_valid_pre, nf_ct_ext_valid_post (5.19 .. 7.0)
    """
    return ct.ext_genid == 0 or ct.ext_genid == await ExtGenidLoad()


@path
async def nf_ct_ext_bump_genid(k: Release) -> None:
    """What a module with extensions does first when it leaves.

    kernel: nf_ct_iterate_destroy, nf_ct_ext_bump_genid (5.19 .. 7.0)
    """
    await ExtGenidIncrement()
