# SPDX-License-Identifier: GPL-2.0-or-later
"""The flags of struct nf_nat_range that tuple selection looks at, as they came.

NETMAP (5.8) is not among them: only nft_nat looks at it.
"""

from __future__ import annotations

from typing import Final

from natmodel.values import (
    NF_NAT_RANGE_MAP_IPS,
    NF_NAT_RANGE_PERSISTENT,
    NF_NAT_RANGE_PROTO_OFFSET,
    NF_NAT_RANGE_PROTO_RANDOM,
    NF_NAT_RANGE_PROTO_RANDOM_FULLY,
    NF_NAT_RANGE_PROTO_SPECIFIED,
)

FLAGS_2_6_24: Final = (
    NF_NAT_RANGE_MAP_IPS | NF_NAT_RANGE_PROTO_SPECIFIED | NF_NAT_RANGE_PROTO_RANDOM
)
FLAGS_2_6_35: Final = FLAGS_2_6_24 | NF_NAT_RANGE_PERSISTENT
FLAGS_3_14: Final = FLAGS_2_6_35 | NF_NAT_RANGE_PROTO_RANDOM_FULLY
FLAGS_4_18: Final = FLAGS_3_14 | NF_NAT_RANGE_PROTO_OFFSET
