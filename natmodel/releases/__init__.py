# SPDX-License-Identifier: GPL-2.0-or-later
"""The releases: one fully written row per behaviour generation, in the order of their versions.

Read a row alone; read a column as history.  A row is named for the tree that it was held against; what
else it covers stands in the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from natmodel.release import Release
from natmodel.releases import v2, v3, v4, v5, v6, v7
from natmodel.releases.v2 import (
    V2_6_24,
    V2_6_35_6,
)
from natmodel.releases.v3 import (
    V3_4_113,
    V3_10_4,
    V3_14_1,
    V3_15_5,
    V3_18_20,
)
from natmodel.releases.v4 import (
    V4_4_0,
    V4_4_155,
    V4_7_4,
    V4_9_0,
    V4_9_154,
    V4_9_229,
    V4_9_273,
    V4_9_337,
    V4_12_0,
    V4_13_9,
    V4_14_177,
    V4_14_280,
    V4_15_0,
    V4_16_13,
    V4_18_0,
    V4_18_0_394_EL8,
    V4_19_1,
    V4_19_66,
    V4_19_222,
    V4_19_304,
)
from natmodel.releases.v5 import (
    V5_0_1,
    V5_2_1,
    V5_3_1,
    V5_4_286,
    V5_8_1,
    V5_9_1,
    V5_10_7,
    V5_10_262,
    V5_11_0,
    V5_15_0,
    V5_15_148,
    V5_17_0_RC5,
    V5_19_0,
)
from natmodel.releases.v6 import (
    V6_1_0_RC7,
    V6_1_192,
    V6_2_1,
    V6_4_4,
    V6_6_9,
    V6_6_63,
    V6_8_0,
    V6_11_11,
    V6_12_0,
    V6_12_117,
    V6_17_0,
    V6_19_9,
)
from natmodel.releases.v7 import (
    V7_0_0,
    V7_3_4,
)

__all__ = [
    "MODULES",
    "RELEASES",
    "V2_6_24",
    "V2_6_35_6",
    "V3_4_113",
    "V3_10_4",
    "V3_14_1",
    "V3_15_5",
    "V3_18_20",
    "V4_4_0",
    "V4_4_155",
    "V4_7_4",
    "V4_9_0",
    "V4_9_154",
    "V4_9_229",
    "V4_9_273",
    "V4_9_337",
    "V4_12_0",
    "V4_13_9",
    "V4_14_177",
    "V4_14_280",
    "V4_15_0",
    "V4_16_13",
    "V4_18_0",
    "V4_18_0_394_EL8",
    "V4_19_1",
    "V4_19_66",
    "V4_19_222",
    "V4_19_304",
    "V5_0_1",
    "V5_2_1",
    "V5_3_1",
    "V5_4_286",
    "V5_8_1",
    "V5_9_1",
    "V5_10_7",
    "V5_10_262",
    "V5_11_0",
    "V5_15_0",
    "V5_15_148",
    "V5_17_0_RC5",
    "V5_19_0",
    "V6_1_0_RC7",
    "V6_1_192",
    "V6_2_1",
    "V6_4_4",
    "V6_6_9",
    "V6_6_63",
    "V6_8_0",
    "V6_11_11",
    "V6_12_0",
    "V6_12_117",
    "V6_17_0",
    "V6_19_9",
    "V7_0_0",
    "V7_3_4",
]

MODULES: Final = (v2, v3, v4, v5, v6, v7)

RELEASES: Final[Mapping[str, Release]] = MappingProxyType(
    {
        k.name: k
        for k in (
            V2_6_24,
            V2_6_35_6,
            V3_4_113,
            V3_10_4,
            V3_14_1,
            V3_15_5,
            V3_18_20,
            V4_4_0,
            V4_4_155,
            V4_7_4,
            V4_9_0,
            V4_9_154,
            V4_9_229,
            V4_9_273,
            V4_9_337,
            V4_12_0,
            V4_13_9,
            V4_14_177,
            V4_14_280,
            V4_15_0,
            V4_16_13,
            V4_18_0,
            V4_18_0_394_EL8,
            V4_19_1,
            V4_19_66,
            V4_19_222,
            V4_19_304,
            V5_0_1,
            V5_2_1,
            V5_3_1,
            V5_4_286,
            V5_8_1,
            V5_9_1,
            V5_10_7,
            V5_10_262,
            V5_11_0,
            V5_15_0,
            V5_15_148,
            V5_17_0_RC5,
            V5_19_0,
            V6_1_0_RC7,
            V6_1_192,
            V6_2_1,
            V6_4_4,
            V6_6_9,
            V6_6_63,
            V6_8_0,
            V6_11_11,
            V6_12_0,
            V6_12_117,
            V6_17_0,
            V6_19_9,
            V7_0_0,
            V7_3_4,
        )
    }
)
