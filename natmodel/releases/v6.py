# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows of Linux 6.x.  natmodel/release.py says what a field is; see natmodel/releases/__init__.py."""

from __future__ import annotations

from typing import Final

from natmodel.hashes import (
    find_best_ips,
    hash_by_src_siphash,
    hash_conntrack_raw_siphash_4u64,
    hash_conntrack_raw_siphash_39,
    hash_conntrack_raw_siphash_48,
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
    confirm_linking_one_by_one_with_genid,
    confirm_publishing_at_once,
    confirm_publishing_at_once_with_genid,
    merge_counting_a_resolve,
    merge_if_same,
    merge_or_insert_reply_only,
    resolve_clash_harder,
    resolve_within_chain_limit,
    resolve_within_chain_limit_marked_first,
    resolve_within_chain_limit_with_genid,
)
from natmodel.paths.nf_conntrack_extend import ext_add_without_genid, nf_ct_ext_add
from natmodel.paths.nf_conntrack_find import (
    find,
    find_get_per_zone_id,
    taken_unless_same_origin_and_zone,
)
from natmodel.paths.nf_hooks import refresh, reinject, reinject_to_an_entry
from natmodel.paths.nf_nat_l4proto_unique_tuple import (
    bounded_rounds,
    bounded_rounds_always_random,
    port_window,
)
from natmodel.paths.nf_nat_used_tuple import (
    nf_nat_used_tuple,
    nf_nat_used_tuple_harder,
    nf_nat_used_tuple_new,
    nf_nat_used_tuple_new_minding_the_wrong_bits,
    nf_nat_used_tuple_new_of_replies,
    not_harder,
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
    PORTS,
    PORTS_6_16,
    TRACKERS,
    TRACKERS_6_16,
    allow_udp,
    allow_udp_generic,
    allow_udp_gre,
    allow_udp_gre_generic,
    allow_udp_gre_generic_6_16,
)
from natmodel.releases.range_flags import (
    FLAGS_4_18,
)
from natmodel.values import (
    nf_ct_zone_id,
)

V6_1_0_RC7: Final = Release(
    name="6.1.0-rc7",
    covers="6.1.y before 6.1.20 (READ: 6.1.0-rc7)",
    # look-ups
    find_get=find_get_per_zone_id,
    find=find,
    tuple_taken=taken_unless_same_origin_and_zone,
    timer_per_entry=False,
    table_per_net=False,
    hash_zone_id=nf_ct_zone_id,
    hash_conntrack_raw=hash_conntrack_raw_siphash_48,
    hash_bucket=reciprocal_scale,
    # extensions
    ext_add=nf_ct_ext_add,
    # confirm
    confirm=confirm_linking_one_by_one_with_genid,
    lock=LockBuckets,
    test_keys=resolve_within_chain_limit_marked_first,
    clash=absent,
    resolve_clash=merge_or_insert_reply_only,
    merge=merge_counting_a_resolve,
    resolve_clash_harder=resolve_clash_harder,
    udp_refresh_unreplied=refresh,
    chain_limit=(8, 24),
    rng_below="prandom_u32_max",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_4_18,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=bounded_rounds_always_random,
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
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_udp,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject_to_an_entry,
)
"""As 5.19, with another generator."""

V6_1_119: Final = Release(
    name="6.1.119",
    covers="6.1.y from 6.1.20 to 6.1.146 (READ: 6.1.55, 6.1.119, 6.1.141)",
    # look-ups
    find_get=find_get_per_zone_id,
    find=find,
    tuple_taken=taken_unless_same_origin_and_zone,
    timer_per_entry=False,
    table_per_net=False,
    hash_zone_id=nf_ct_zone_id,
    hash_conntrack_raw=hash_conntrack_raw_siphash_48,
    hash_bucket=reciprocal_scale,
    # extensions
    ext_add=nf_ct_ext_add,
    # confirm
    confirm=confirm_linking_one_by_one_with_genid,
    lock=LockBuckets,
    test_keys=resolve_within_chain_limit_marked_first,
    clash=absent,
    resolve_clash=merge_or_insert_reply_only,
    merge=merge_counting_a_resolve,
    resolve_clash_harder=resolve_clash_harder,
    udp_refresh_unreplied=refresh,
    chain_limit=(50, 30),
    rng_below="prandom_u32_max",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_4_18,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=bounded_rounds_always_random,
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
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_udp,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject_to_an_entry,
)
"""Chains may have 50 to 79 nodes: a backport."""

V6_1_158: Final = Release(
    name="6.1.158",
    covers="6.1.y from 6.1.147 to 6.1.164 (READ: 6.1.158)",
    # look-ups
    find_get=find_get_per_zone_id,
    find=find,
    tuple_taken=taken_unless_same_origin_and_zone,
    timer_per_entry=False,
    table_per_net=False,
    hash_zone_id=nf_ct_zone_id,
    hash_conntrack_raw=hash_conntrack_raw_siphash_48,
    hash_bucket=reciprocal_scale,
    # extensions
    ext_add=nf_ct_ext_add,
    # confirm
    confirm=confirm_publishing_at_once_with_genid,
    lock=LockBuckets,
    test_keys=resolve_within_chain_limit_with_genid,
    clash=absent,
    resolve_clash=merge_or_insert_reply_only,
    merge=merge_counting_a_resolve,
    resolve_clash_harder=resolve_clash_harder,
    udp_refresh_unreplied=refresh,
    chain_limit=(50, 30),
    rng_below="prandom_u32_max",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_4_18,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=bounded_rounds_always_random,
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
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_udp,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject_to_an_entry,
)
"""2d72afb34065 (6.1.147): CONFIRMED is set when both nodes are linked."""

V6_1_192: Final = Release(
    name="6.1.192",
    covers="6.1.y from 6.1.165 on (READ: 6.1.192)",
    # look-ups
    find_get=find_get_per_zone_id,
    find=find,
    tuple_taken=taken_unless_same_origin_and_zone,
    timer_per_entry=False,
    table_per_net=False,
    hash_zone_id=nf_ct_zone_id,
    hash_conntrack_raw=hash_conntrack_raw_siphash_48,
    hash_bucket=reciprocal_scale,
    # extensions
    ext_add=nf_ct_ext_add,
    # confirm
    confirm=confirm_publishing_at_once_with_genid,
    lock=LockBuckets,
    test_keys=resolve_within_chain_limit_with_genid,
    clash=absent,
    resolve_clash=merge_or_insert_reply_only,
    merge=merge_counting_a_resolve,
    resolve_clash_harder=resolve_clash_harder,
    udp_refresh_unreplied=refresh,
    chain_limit=(50, 30),
    rng_below="prandom_u32_max",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_4_18,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=bounded_rounds_always_random,
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
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_udp_generic,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject_to_an_entry,
)
"""8a49fc8d8a3e (6.1.165): allow_clash for protocols without a tracker."""

V6_2_1: Final = Release(
    name="6.2.1",
    covers="early 6.2.y (READ: 6.2.1)",
    # look-ups
    find_get=find_get_per_zone_id,
    find=find,
    tuple_taken=taken_unless_same_origin_and_zone,
    timer_per_entry=False,
    table_per_net=False,
    hash_zone_id=nf_ct_zone_id,
    hash_conntrack_raw=hash_conntrack_raw_siphash_4u64,
    hash_bucket=reciprocal_scale,
    # extensions
    ext_add=nf_ct_ext_add,
    # confirm
    confirm=confirm_linking_one_by_one_with_genid,
    lock=LockBuckets,
    test_keys=resolve_within_chain_limit_marked_first,
    clash=absent,
    resolve_clash=merge_or_insert_reply_only,
    merge=merge_counting_a_resolve,
    resolve_clash_harder=resolve_clash_harder,
    udp_refresh_unreplied=refresh,
    chain_limit=(8, 24),
    rng_below="get_random_u32_below",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_4_18,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=bounded_rounds_always_random,
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
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_udp,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject_to_an_entry,
)
"""Another hash of the conntrack table."""

V6_4_4: Final = Release(
    name="6.4.4",
    covers="late 6.2.y; 6.3; 6.4.y before 6.4.5 (READ: 6.2.12, 6.4.4)",
    # look-ups
    find_get=find_get_per_zone_id,
    find=find,
    tuple_taken=taken_unless_same_origin_and_zone,
    timer_per_entry=False,
    table_per_net=False,
    hash_zone_id=nf_ct_zone_id,
    hash_conntrack_raw=hash_conntrack_raw_siphash_4u64,
    hash_bucket=reciprocal_scale,
    # extensions
    ext_add=nf_ct_ext_add,
    # confirm
    confirm=confirm_linking_one_by_one_with_genid,
    lock=LockBuckets,
    test_keys=resolve_within_chain_limit_marked_first,
    clash=absent,
    resolve_clash=merge_or_insert_reply_only,
    merge=merge_counting_a_resolve,
    resolve_clash_harder=resolve_clash_harder,
    udp_refresh_unreplied=refresh,
    chain_limit=(50, 30),
    rng_below="get_random_u32_below",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_4_18,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=bounded_rounds_always_random,
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
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_udp,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject_to_an_entry,
)
"""Chains of 50 to 79."""

V6_6_9: Final = Release(
    name="6.6.9",
    covers="6.5, 6.7; 6.6.y before 6.6.57 (READ: 6.5.0, 6.6.9, 6.6.31, 6.7.3)",
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
    confirm=confirm_linking_one_by_one_with_genid,
    lock=LockBuckets,
    test_keys=resolve_within_chain_limit_marked_first,
    clash=absent,
    resolve_clash=merge_or_insert_reply_only,
    merge=merge_counting_a_resolve,
    resolve_clash_harder=resolve_clash_harder,
    udp_refresh_unreplied=refresh,
    chain_limit=(50, 30),
    rng_below="get_random_u32_below",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_4_18,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=nf_nat_used_tuple_harder,
    l4proto_unique_tuple=bounded_rounds_always_random,
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
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_udp_gre,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject_to_an_entry,
)
"""458972550287: near the end of a round, a SYN may evict a closing connection (6.5).

d671fd82eaa9: allow_clash for GRE (6.5).  eaf9e7192ec9: the third and present hash of the conntrack table.
"""

V6_6_63: Final = Release(
    name="6.6.63",
    covers="6.6.y from 6.6.57 on (READ: 6.6.63, 6.6.87, 6.6.93)",
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
    confirm=confirm_linking_one_by_one_with_genid,
    lock=LockBuckets,
    test_keys=resolve_within_chain_limit_marked_first,
    clash=absent,
    resolve_clash=merge_or_insert_reply_only,
    merge=merge_counting_a_resolve,
    resolve_clash_harder=resolve_clash_harder,
    udp_refresh_unreplied=refresh,
    chain_limit=(50, 30),
    rng_below="get_random_u32_below",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_4_18,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple_new_minding_the_wrong_bits,
    used_tuple_harder=nf_nat_used_tuple_harder,
    l4proto_unique_tuple=bounded_rounds_always_random,
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
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_udp_gre,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject_to_an_entry,
)
"""d8f84a9bc7c4 without a4e6a1031e77: a null binding keeps its port in a reverse clash, and confirm then
drops it.
"""

V6_8_0: Final = Release(
    name="6.8.0",
    covers="6.8, 6.9 (READ: 6.8.0, 6.9.0)",
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
    confirm=confirm_linking_one_by_one_with_genid,
    lock=LockBuckets,
    test_keys=resolve_within_chain_limit_marked_first,
    clash=absent,
    resolve_clash=merge_or_insert_reply_only,
    merge=merge_counting_a_resolve,
    resolve_clash_harder=resolve_clash_harder,
    udp_refresh_unreplied=refresh,
    chain_limit=(50, 30),
    rng_below="get_random_u32_below",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_4_18,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
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
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_udp_gre,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject_to_an_entry,
)
"""0f1ae2821fa4 "nat: restore default DNAT behavior": plain DNAT starts at the first port."""

V6_11_11: Final = Release(
    name="6.11.11",
    covers="6.11.y from 6.11.4 on (READ: 6.11.11)",
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
    confirm=confirm_linking_one_by_one_with_genid,
    lock=LockBuckets,
    test_keys=resolve_within_chain_limit_marked_first,
    clash=absent,
    resolve_clash=merge_or_insert_reply_only,
    merge=merge_counting_a_resolve,
    resolve_clash_harder=resolve_clash_harder,
    udp_refresh_unreplied=refresh,
    chain_limit=(50, 30),
    rng_below="get_random_u32_below",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_4_18,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple_new_minding_the_wrong_bits,
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
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_udp_gre,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject_to_an_entry,
)
"""d8f84a9bc7c4 (6.11.4) without a4e6a1031e77, as in 6.6.63: a null binding keeps its port in a reverse
clash, and confirm then drops it.
"""

V6_12_0: Final = Release(
    name="6.12.0",
    covers="6.12 to 6.14; 6.12.y before 6.12.34 "
    "(READ: 6.12.0, 6.12.10, 6.12.19, 6.12.33, 6.13.7, 6.14.0)",
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
    confirm=confirm_linking_one_by_one_with_genid,
    lock=LockBuckets,
    test_keys=resolve_within_chain_limit_marked_first,
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
    used_tuple_new=nf_nat_used_tuple_new_minding_the_wrong_bits,
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
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_udp_gre,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject,
)
"""d8f84a9bc7c4, a4e6a1031e77: reverse clashes are let pass and merged.  The former takes a bit's
number for its mask.
"""

V6_12_34: Final = Release(
    name="6.12.34",
    covers="6.12.y from 6.12.34 to 6.12.39 (READ: 6.12.34, 6.12.39)",
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
    confirm=confirm_linking_one_by_one_with_genid,
    lock=LockBuckets,
    test_keys=resolve_within_chain_limit_marked_first,
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
    used_tuple_new=nf_nat_used_tuple_new_of_replies,
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
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_udp_gre,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject,
)
"""Backport: the fast path looks for the entry in reverse too, and minds the right bits."""

V6_12_49: Final = Release(
    name="6.12.49",
    covers="6.12.y from 6.12.40 to 6.12.63 (READ: 6.12.40, 6.12.49, 6.12.62, 6.12.63)",
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
    used_tuple_new=nf_nat_used_tuple_new_of_replies,
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
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_udp_gre,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject,
)
"""Backport: both keys of an entry appear at one instant."""

V6_12_64: Final = Release(
    name="6.12.64",
    covers="6.12.y from 6.12.64 to 6.12.74 (READ: 6.12.64, 6.12.74)",
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
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_udp_gre,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject,
)
"""Backport: the direction in which the fast path finds an entry does not matter."""

V6_12_94: Final = Release(
    name="6.12.94",
    covers="6.12.y from 6.12.75 to 6.12.96 (READ: 6.12.75, 6.12.78, 6.12.83, 6.12.92, 6.12.94)",
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
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_udp_gre_generic,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject,
)
"""Backport: clashes of protocols without a tracker are resolved."""

V6_12_117: Final = Release(
    name="6.12.117",
    covers="6.12.y from 6.12.97 on (READ: 6.12.101, 6.12.117)",
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
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_udp_gre_generic,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject,
)
"""Backport: confirm does not mind how old extensions are (6.12.97)."""

V6_17_0: Final = Release(
    name="6.17.0",
    covers="6.16 to 6.18 (READ: 6.17.0, 6.18.0-rc1, 6.18.2)",
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
    used_tuple_new=nf_nat_used_tuple_new_of_replies,
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
    allow_clash=allow_udp_gre,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject,
)
"""fd72f265bb00: DCCP has no tracker any more.  50d9ce9679dd; 2d72afb34065: CONFIRMED is set when both
nodes are linked.
"""

V6_19_9: Final = Release(
    name="6.19.9",
    covers="6.19 (READ: 6.19.9)",
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
    allow_clash=allow_udp_gre_generic_6_16,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject,
)
"""5ec8ca26fe93 "remove bogus direction check"; 8a49fc8d8a3e: allow_clash for protocols without
a tracker.
"""
