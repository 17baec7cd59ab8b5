# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's hashes, bit for bit: the same secrets and tuple give the same bucket and port.

The host is little-endian; `natmodel.hashes.memory` says what it has in memory.

The functions of a family (`hash_conntrack_raw_*`, `hash_by_src_*`, `secure_port_*`, `find_best_ips*`,
and `reciprocal_scale` with `modulo`) have one signature, so that a release row can hold any of them; an
argument that a variant has no use for is ignored.  A family's module tells what its functions share;
within it they stand from old to new.  tests/test_hashes.py lists which release uses which.
Nothing here is drawn at random: the secrets of one boot are a `HashKeys`.
"""

from natmodel.hashes.best_ips import (
    FindBestIps,
    best_ips_hash,
    find_best_ips,
    find_best_ips_jhash_2words,
    find_best_ips_lookup2,
    find_best_ips_lookup2_modulo,
)
from natmodel.hashes.bucket import (
    HashBucket,
    modulo,
    reciprocal_scale,
)
from natmodel.hashes.by_source import (
    HashBySrc,
    hash_by_src_jhash,
    hash_by_src_jhash_3words,
    hash_by_src_jhash_tuple,
    hash_by_src_jhash_zone,
    hash_by_src_lookup2,
    hash_by_src_lookup2_modulo,
    hash_by_src_siphash,
)
from natmodel.hashes.conntrack import (
    HashConntrackRaw,
    hash_conntrack_raw_jhash,
    hash_conntrack_raw_jhash_tuple,
    hash_conntrack_raw_jhash_zone,
    hash_conntrack_raw_lookup2,
    hash_conntrack_raw_lookup2_halves,
    hash_conntrack_raw_siphash_4u64,
    hash_conntrack_raw_siphash_39,
    hash_conntrack_raw_siphash_48,
)
from natmodel.hashes.jhash import (
    jhash2,
    jhash2_lookup2,
    jhash_2words,
    jhash_2words_lookup2,
    jhash_3words,
    jhash_3words_lookup2,
)
from natmodel.hashes.md import (
    half_md4_transform,
    md5_transform,
)
from natmodel.hashes.memory import (
    HashKeys,
    address_bytes,
    manip_bytes,
    native16,
    native32,
    tuple_bytes,
    u32_key,
)
from natmodel.hashes.secure_port import (
    EPHEMERAL_PORT_SHUFFLE_PERIOD,
    HZ,
    SecurePortEphemeral,
    secure_port_fixed,
    secure_port_half_md4,
    secure_port_md5,
    secure_port_reshuffled,
    secure_port_reshuffled_u32,
)
from natmodel.hashes.siphash import (
    SipKey,
    sip_key,
    siphash24,
)

__all__ = [
    "EPHEMERAL_PORT_SHUFFLE_PERIOD",
    "HZ",
    "FindBestIps",
    "HashBucket",
    "HashBySrc",
    "HashConntrackRaw",
    "HashKeys",
    "SecurePortEphemeral",
    "SipKey",
    "address_bytes",
    "best_ips_hash",
    "find_best_ips",
    "find_best_ips_jhash_2words",
    "find_best_ips_lookup2",
    "find_best_ips_lookup2_modulo",
    "half_md4_transform",
    "hash_by_src_jhash",
    "hash_by_src_jhash_3words",
    "hash_by_src_jhash_tuple",
    "hash_by_src_jhash_zone",
    "hash_by_src_lookup2",
    "hash_by_src_lookup2_modulo",
    "hash_by_src_siphash",
    "hash_conntrack_raw_jhash",
    "hash_conntrack_raw_jhash_tuple",
    "hash_conntrack_raw_jhash_zone",
    "hash_conntrack_raw_lookup2",
    "hash_conntrack_raw_lookup2_halves",
    "hash_conntrack_raw_siphash_4u64",
    "hash_conntrack_raw_siphash_39",
    "hash_conntrack_raw_siphash_48",
    "jhash2",
    "jhash2_lookup2",
    "jhash_2words",
    "jhash_2words_lookup2",
    "jhash_3words",
    "jhash_3words_lookup2",
    "manip_bytes",
    "md5_transform",
    "modulo",
    "native16",
    "native32",
    "reciprocal_scale",
    "secure_port_fixed",
    "secure_port_half_md4",
    "secure_port_md5",
    "secure_port_reshuffled",
    "secure_port_reshuffled_u32",
    "sip_key",
    "siphash24",
    "tuple_bytes",
    "u32_key",
]
