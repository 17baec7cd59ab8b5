# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's hashes, bit for bit: the same secrets and tuple give the same bucket and port.

The host is little-endian; `natmodel.hashes.memory` says what it has in memory.

The functions of a family (`hash_conntrack_raw_*`, `hash_by_src_*`, `secure_port_*`) have one
signature, so that a release row can hold any of them; an argument that a variant has no use for is
ignored.  Nothing here is drawn at random: the secrets of one boot are a `HashKeys`.
"""

from natmodel.hashes.best_ips import best_ips_hash, find_best_ips
from natmodel.hashes.bucket import HashBucket, modulo, reciprocal_scale
from natmodel.hashes.by_source import HashBySrc, hash_by_src_jhash, hash_by_src_siphash
from natmodel.hashes.conntrack import (
    HashConntrackRaw,
    hash_conntrack_raw_jhash,
    hash_conntrack_raw_siphash_39,
)
from natmodel.hashes.jhash import (
    jhash2,
    jhash2_lookup2,
    jhash_2words,
    jhash_2words_lookup2,
    jhash_3words,
    jhash_3words_lookup2,
)
from natmodel.hashes.md import half_md4_transform, md5_transform
from natmodel.hashes.memory import (
    HashKeys,
    address_bytes,
    manip_bytes,
    native16,
    native32,
    tuple_bytes,
)
from natmodel.hashes.secure_port import (
    EPHEMERAL_PORT_SHUFFLE_PERIOD,
    HZ,
    SecurePortEphemeral,
    secure_port_fixed,
    secure_port_reshuffled,
)
from natmodel.hashes.siphash import SipKey, sip_key, siphash24

__all__ = [
    "EPHEMERAL_PORT_SHUFFLE_PERIOD",
    "HZ",
    "HashBucket",
    "HashBySrc",
    "HashConntrackRaw",
    "HashKeys",
    "SecurePortEphemeral",
    "SipKey",
    "address_bytes",
    "best_ips_hash",
    "find_best_ips",
    "half_md4_transform",
    "hash_by_src_jhash",
    "hash_by_src_siphash",
    "hash_conntrack_raw_jhash",
    "hash_conntrack_raw_siphash_39",
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
    "secure_port_reshuffled",
    "sip_key",
    "siphash24",
    "tuple_bytes",
]
