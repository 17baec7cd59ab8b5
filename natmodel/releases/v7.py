# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows of Linux 7.x.  natmodel/release.py says what a field is; see natmodel/releases/__init__.py."""

from __future__ import annotations

from typing import Final

from natmodel.hashes import (
    find_best_ips,
    hash_by_src_siphash,
    hash_conntrack_raw_siphash_39,
    reciprocal_scale,
    secure_port_reshuffled,
)
from natmodel.ops import (
    LockBuckets,
)
from natmodel.paths.get_unique_tuple import (
    find_appropriate_src,
    get_unique_tuple,
)
from natmodel.paths.nf_conntrack_confirm import (
    confirm_publishing_at_once,
    confirm_publishing_at_once_with_genid,
    merge_if_same,
    merge_or_insert_reply_only,
    resolve_clash_harder,
    resolve_within_chain_limit,
    resolve_within_chain_limit_with_genid,
)
from natmodel.paths.nf_conntrack_extend import ext_add_without_genid, nf_ct_ext_add
from natmodel.paths.nf_conntrack_find import (
    find,
    find_get_per_zone_id,
    taken_unless_same_origin_and_zone,
)
from natmodel.paths.nf_hooks import refresh, reinject
from natmodel.paths.nf_nat_l4proto_unique_tuple import (
    bounded_rounds,
    port_window,
)
from natmodel.paths.nf_nat_used_tuple import (
    nf_nat_used_tuple,
    nf_nat_used_tuple_harder,
    nf_nat_used_tuple_new,
)
from natmodel.paths.packet import (
    bysource_zone_id,
    nat_and_confirm,
    nf_nat_setup_info,
)
from natmodel.release import (
    Release,
    absent,
)
from natmodel.releases.l4proto import (
    PORTS_6_16,
    PORTS_7_1,
    TRACKERS_6_16,
    TRACKERS_7_1,
    allow_all_but_tcp_sctp,
)
from natmodel.releases.range_flags import (
    FLAGS_4_18,
)
from natmodel.values import (
    nf_ct_zone_id,
)

V7_0_0: Final = Release(
    name="7.0.0",
    covers="7.0 (READ: 7.0.0)",
    # look-ups
    find_get=find_get_per_zone_id,
    find=find,
    tuple_taken=taken_unless_same_origin_and_zone,
    timer_per_entry=False,
    table_per_net=False,
    hash_zone_id=nf_ct_zone_id,
    hash_conntrack_raw=hash_conntrack_raw_siphash_39,
    hash_bucket=reciprocal_scale,
    # extensions
    ext_add=nf_ct_ext_add,
    # confirm
    confirm=confirm_publishing_at_once_with_genid,
    lock=LockBuckets,
    test_keys=resolve_within_chain_limit_with_genid,
    clash=absent,
    resolve_clash=merge_or_insert_reply_only,
    merge=merge_if_same,
    resolve_clash_harder=resolve_clash_harder,
    udp_refresh_unreplied=refresh,
    chain_limit=(50, 30),
    rng_below="get_random_u32_below",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_4_18,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple_new,
    used_tuple_harder=nf_nat_used_tuple_harder,
    l4proto_unique_tuple=bounded_rounds,
    port_window=port_window,
    rng="get_random_u16",
    max_attempts=128,
    secure_port=secure_port_reshuffled,
    # the by-source hash
    find_appropriate_src=find_appropriate_src,
    bysource_zone_id=bysource_zone_id,
    hash_by_src=hash_by_src_siphash,
    setup_info=nf_nat_setup_info,
    # protocols
    trackers=TRACKERS_6_16,
    port_protocols=PORTS_6_16,
    allow_clash=allow_all_but_tcp_sctp,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject,
)
"""f7becf0dad8f: allow_clash for ICMP and ICMPv6."""

V7_3_4: Final = Release(
    name="7.3.4",
    covers="7.1 to 7.3 (READ: 7.1.5, 7.2.13, 7.3.4)",
    # look-ups
    find_get=find_get_per_zone_id,
    find=find,
    tuple_taken=taken_unless_same_origin_and_zone,
    timer_per_entry=False,
    table_per_net=False,
    hash_zone_id=nf_ct_zone_id,
    hash_conntrack_raw=hash_conntrack_raw_siphash_39,
    hash_bucket=reciprocal_scale,
    # extensions
    ext_add=ext_add_without_genid,
    # confirm
    confirm=confirm_publishing_at_once,
    lock=LockBuckets,
    test_keys=resolve_within_chain_limit,
    clash=absent,
    resolve_clash=merge_or_insert_reply_only,
    merge=merge_if_same,
    resolve_clash_harder=resolve_clash_harder,
    udp_refresh_unreplied=refresh,
    chain_limit=(50, 30),
    rng_below="get_random_u32_below",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_4_18,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple_new,
    used_tuple_harder=nf_nat_used_tuple_harder,
    l4proto_unique_tuple=bounded_rounds,
    port_window=port_window,
    rng="get_random_u16",
    max_attempts=128,
    secure_port=secure_port_reshuffled,
    # the by-source hash
    find_appropriate_src=find_appropriate_src,
    bysource_zone_id=bysource_zone_id,
    hash_by_src=hash_by_src_siphash,
    setup_info=nf_nat_setup_info,
    # protocols
    trackers=TRACKERS_7_1,
    port_protocols=PORTS_7_1,
    allow_clash=allow_all_but_tcp_sctp,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject,
)
"""UDPLITE has no tracker any more."""
