# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows of Linux 5.x.  natmodel/release.py says what a field is; see natmodel/releases/__init__.py."""

from __future__ import annotations

from typing import Final

from natmodel.hashes import (
    find_best_ips,
    hash_by_src_jhash,
    hash_by_src_siphash,
    hash_conntrack_raw_jhash,
    hash_conntrack_raw_siphash_48,
    reciprocal_scale,
    secure_port_fixed,
    secure_port_reshuffled,
)
from natmodel.ops import (
    LockBuckets,
)
from natmodel.paths.get_unique_tuple import (
    find_appropriate_src,
    get_unique_tuple,
    get_unique_tuple_forcing_port_remap,
)
from natmodel.paths.nf_conntrack_confirm import (
    clash,
    confirm_linking_one_by_one,
    confirm_linking_one_by_one_with_genid,
    drop_the_confirmed_or_resolve,
    merge_counting_a_failure,
    merge_counting_a_resolve,
    merge_or_drop,
    merge_or_insert_reply_only,
    merge_unless_translated,
    resolve_and_warn_of_the_confirmed,
    resolve_clash_harder,
    resolve_clash_harder_uncounted,
    resolve_counting_apart,
    resolve_within_chain_limit,
    resolve_within_chain_limit_marked_first,
)
from natmodel.paths.nf_conntrack_extend import ext_add_without_genid, nf_ct_ext_add
from natmodel.paths.nf_conntrack_find import (
    find,
    find_get_once,
    find_get_per_zone_id,
    find_skipping_dying,
    no_zone,
    taken_unless_same_origin,
    taken_unless_same_origin_and_zone,
)
from natmodel.paths.nf_hooks import (
    refresh,
    refresh_but_for_a_reply_only_entry,
    reinject_to_an_entry,
)
from natmodel.paths.nf_nat_l4proto_unique_tuple import (
    bounded_rounds_always_random,
    bounded_rounds_with_swapped_ids,
    port_window,
)
from natmodel.paths.nf_nat_used_tuple import (
    nf_nat_used_tuple,
    not_harder,
)
from natmodel.paths.packet import (
    bysource_no_zone,
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
    TRACKERS,
    allow_udp,
    allow_udp_generic,
)
from natmodel.releases.range_flags import (
    FLAGS_4_18,
)
from natmodel.values import (
    nf_ct_zone_id,
)

V5_0_1: Final = Release(
    name="5.0.1",
    covers="5.0 (READ: 5.0.1)",
    # look-ups
    find_get=find_get_once,
    find=find_skipping_dying,
    tuple_taken=taken_unless_same_origin,
    timer_per_entry=False,
    table_per_net=False,
    hash_zone_id=no_zone,
    hash_conntrack_raw=hash_conntrack_raw_jhash,
    hash_bucket=reciprocal_scale,
    # extensions
    ext_add=ext_add_without_genid,
    # confirm
    confirm=confirm_linking_one_by_one,
    lock=LockBuckets,
    test_keys=resolve_and_warn_of_the_confirmed,
    clash=clash,
    resolve_clash=merge_or_drop,
    merge=merge_unless_translated,
    resolve_clash_harder=absent,
    udp_refresh_unreplied=refresh,
    chain_limit=None,
    rng_below="",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_4_18,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=bounded_rounds_with_swapped_ids,
    port_window=port_window,
    rng="prandom_u32",
    max_attempts=128,
    secure_port=secure_port_fixed,
    # the by-source hash
    find_appropriate_src=find_appropriate_src,
    bysource_zone_id=bysource_no_zone,
    hash_by_src=hash_by_src_jhash,
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
"""Rovers are gone (6ed5943f8735): every search has a random start and a bound.

ICMP ids come from a range whose first id has its bytes swapped, whether or not a range was given.
"""

V5_2_1: Final = Release(
    name="5.2.1",
    covers="5.2 (READ: 5.2.1)",
    # look-ups
    find_get=find_get_once,
    find=find_skipping_dying,
    tuple_taken=taken_unless_same_origin,
    timer_per_entry=False,
    table_per_net=False,
    hash_zone_id=no_zone,
    hash_conntrack_raw=hash_conntrack_raw_jhash,
    hash_bucket=reciprocal_scale,
    # extensions
    ext_add=ext_add_without_genid,
    # confirm
    confirm=confirm_linking_one_by_one,
    lock=LockBuckets,
    test_keys=drop_the_confirmed_or_resolve,
    clash=clash,
    resolve_clash=merge_or_drop,
    merge=merge_unless_translated,
    resolve_clash_harder=absent,
    udp_refresh_unreplied=refresh,
    chain_limit=None,
    rng_below="",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_4_18,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=bounded_rounds_always_random,
    port_window=port_window,
    rng="prandom_u32",
    max_attempts=128,
    secure_port=secure_port_fixed,
    # the by-source hash
    find_appropriate_src=find_appropriate_src,
    bysource_zone_id=bysource_no_zone,
    hash_by_src=hash_by_src_jhash,
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
"""The ICMP fault of 5.0 is mended; a confirmed connection is dropped at confirm."""

V5_3_1: Final = Release(
    name="5.3.1",
    covers="5.3 (READ: 5.3.1)",
    # look-ups
    find_get=find_get_once,
    find=find,
    tuple_taken=taken_unless_same_origin,
    timer_per_entry=False,
    table_per_net=False,
    hash_zone_id=no_zone,
    hash_conntrack_raw=hash_conntrack_raw_jhash,
    hash_bucket=reciprocal_scale,
    # extensions
    ext_add=ext_add_without_genid,
    # confirm
    confirm=confirm_linking_one_by_one,
    lock=LockBuckets,
    test_keys=drop_the_confirmed_or_resolve,
    clash=clash,
    resolve_clash=merge_or_drop,
    merge=merge_unless_translated,
    resolve_clash_harder=absent,
    udp_refresh_unreplied=refresh,
    chain_limit=None,
    rng_below="",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_4_18,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=bounded_rounds_always_random,
    port_window=port_window,
    rng="prandom_u32",
    max_attempts=128,
    secure_port=secure_port_fixed,
    # the by-source hash
    find_appropriate_src=find_appropriate_src,
    bysource_zone_id=bysource_no_zone,
    hash_by_src=hash_by_src_jhash,
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
"""The look-up of a packet does not pass over dying entries any more."""

V5_4_286: Final = Release(
    name="5.4.286",
    covers="late 5.4.y (READ: 5.4.195, 5.4.273, 5.4.286)",
    # look-ups
    find_get=find_get_once,
    find=find,
    tuple_taken=taken_unless_same_origin_and_zone,
    timer_per_entry=False,
    table_per_net=False,
    hash_zone_id=no_zone,
    hash_conntrack_raw=hash_conntrack_raw_jhash,
    hash_bucket=reciprocal_scale,
    # extensions
    ext_add=ext_add_without_genid,
    # confirm
    confirm=confirm_linking_one_by_one,
    lock=LockBuckets,
    test_keys=drop_the_confirmed_or_resolve,
    clash=clash,
    resolve_clash=merge_or_drop,
    merge=merge_unless_translated,
    resolve_clash_harder=absent,
    udp_refresh_unreplied=refresh,
    chain_limit=None,
    rng_below="",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_4_18,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=bounded_rounds_always_random,
    port_window=port_window,
    rng="prandom_u32",
    max_attempts=128,
    secure_port=secure_port_reshuffled,
    # the by-source hash
    find_appropriate_src=find_appropriate_src,
    bysource_zone_id=bysource_no_zone,
    hash_by_src=hash_by_src_jhash,
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
"""The same-origin skip asks for the zone, too: a backport."""

V5_8_1: Final = Release(
    name="5.8.1",
    covers="5.6, 5.7, 5.8.y before 5.8.8 (READ: 5.6.4, 5.7.6, 5.7.14, 5.8.1)",
    # look-ups
    find_get=find_get_once,
    find=find,
    tuple_taken=taken_unless_same_origin,
    timer_per_entry=False,
    table_per_net=False,
    hash_zone_id=no_zone,
    hash_conntrack_raw=hash_conntrack_raw_jhash,
    hash_bucket=reciprocal_scale,
    # extensions
    ext_add=ext_add_without_genid,
    # confirm
    confirm=confirm_linking_one_by_one,
    lock=LockBuckets,
    test_keys=resolve_counting_apart,
    clash=clash,
    resolve_clash=merge_or_insert_reply_only,
    merge=merge_counting_a_failure,
    resolve_clash_harder=resolve_clash_harder_uncounted,
    udp_refresh_unreplied=refresh_but_for_a_reply_only_entry,
    chain_limit=None,
    rng_below="",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_4_18,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=bounded_rounds_always_random,
    port_window=port_window,
    rng="prandom_u32",
    max_attempts=128,
    secure_port=secure_port_fixed,
    # the by-source hash
    find_appropriate_src=find_appropriate_src,
    bysource_zone_id=bysource_no_zone,
    hash_by_src=hash_by_src_jhash,
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
"""6a757c07e51f: where a clash cannot be merged, a free REPLY key is enough for an entry of one second.

A clash that is merged counts as insert_failed. The first reply deletes that entry.
"""

V5_9_1: Final = Release(
    name="5.9.1",
    covers="5.8.y from 5.8.8 on, 5.9 (READ: 5.8.18, 5.9.1)",
    # look-ups
    find_get=find_get_once,
    find=find,
    tuple_taken=taken_unless_same_origin,
    timer_per_entry=False,
    table_per_net=False,
    hash_zone_id=no_zone,
    hash_conntrack_raw=hash_conntrack_raw_jhash,
    hash_bucket=reciprocal_scale,
    # extensions
    ext_add=ext_add_without_genid,
    # confirm
    confirm=confirm_linking_one_by_one,
    lock=LockBuckets,
    test_keys=resolve_counting_apart,
    clash=clash,
    resolve_clash=merge_or_insert_reply_only,
    merge=merge_counting_a_failure,
    resolve_clash_harder=resolve_clash_harder_uncounted,
    udp_refresh_unreplied=refresh,
    chain_limit=None,
    rng_below="",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_4_18,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=bounded_rounds_always_random,
    port_window=port_window,
    rng="prandom_u32",
    max_attempts=128,
    secure_port=secure_port_fixed,
    # the by-source hash
    find_appropriate_src=find_appropriate_src,
    bysource_zone_id=bysource_no_zone,
    hash_by_src=hash_by_src_jhash,
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
"""c46172147ebb: an entry for replies lives for its second, however many come."""

V5_10_7: Final = Release(
    name="5.10.7",
    covers="5.10.y before 5.10.17 (READ: 5.10.7)",
    # look-ups
    find_get=find_get_once,
    find=find,
    tuple_taken=taken_unless_same_origin,
    timer_per_entry=False,
    table_per_net=False,
    hash_zone_id=no_zone,
    hash_conntrack_raw=hash_conntrack_raw_jhash,
    hash_bucket=reciprocal_scale,
    # extensions
    ext_add=ext_add_without_genid,
    # confirm
    confirm=confirm_linking_one_by_one,
    lock=LockBuckets,
    test_keys=resolve_counting_apart,
    clash=clash,
    resolve_clash=merge_or_insert_reply_only,
    merge=merge_counting_a_resolve,
    resolve_clash_harder=resolve_clash_harder,
    udp_refresh_unreplied=refresh,
    chain_limit=None,
    rng_below="",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_4_18,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=bounded_rounds_always_random,
    port_window=port_window,
    rng="prandom_u32",
    max_attempts=128,
    secure_port=secure_port_fixed,
    # the by-source hash
    find_appropriate_src=find_appropriate_src,
    bysource_zone_id=bysource_no_zone,
    hash_by_src=hash_by_src_jhash,
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
"""clash_resolve is a counter of its own."""

V5_10_262: Final = Release(
    name="5.10.262",
    covers="late 5.10.y (READ: 5.10.262)",
    # look-ups
    find_get=find_get_once,
    find=find,
    tuple_taken=taken_unless_same_origin_and_zone,
    timer_per_entry=False,
    table_per_net=False,
    hash_zone_id=no_zone,
    hash_conntrack_raw=hash_conntrack_raw_jhash,
    hash_bucket=reciprocal_scale,
    # extensions
    ext_add=ext_add_without_genid,
    # confirm
    confirm=confirm_linking_one_by_one,
    lock=LockBuckets,
    test_keys=resolve_counting_apart,
    clash=clash,
    resolve_clash=merge_or_insert_reply_only,
    merge=merge_counting_a_resolve,
    resolve_clash_harder=resolve_clash_harder,
    udp_refresh_unreplied=refresh,
    chain_limit=None,
    rng_below="",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_4_18,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=bounded_rounds_always_random,
    port_window=port_window,
    rng="prandom_u32",
    max_attempts=128,
    secure_port=secure_port_reshuffled,
    # the by-source hash
    find_appropriate_src=find_appropriate_src,
    bysource_zone_id=bysource_no_zone,
    hash_by_src=hash_by_src_jhash,
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
"""Backports: the same-origin skip asks for the zone (5.10.17); 8a49fc8d8a3e (5.10.252): allow_clash for
protocols without a tracker.
"""

V5_11_0: Final = Release(
    name="5.11.0",
    covers="5.11 to 5.14 (READ: 5.11.0, 5.11.14, 5.14.0-rc5, 5.10.198)",
    # look-ups
    find_get=find_get_once,
    find=find,
    tuple_taken=taken_unless_same_origin_and_zone,
    timer_per_entry=False,
    table_per_net=False,
    hash_zone_id=no_zone,
    hash_conntrack_raw=hash_conntrack_raw_jhash,
    hash_bucket=reciprocal_scale,
    # extensions
    ext_add=ext_add_without_genid,
    # confirm
    confirm=confirm_linking_one_by_one,
    lock=LockBuckets,
    test_keys=resolve_counting_apart,
    clash=clash,
    resolve_clash=merge_or_insert_reply_only,
    merge=merge_counting_a_resolve,
    resolve_clash_harder=resolve_clash_harder,
    udp_refresh_unreplied=refresh,
    chain_limit=None,
    rng_below="",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_4_18,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=bounded_rounds_always_random,
    port_window=port_window,
    rng="prandom_u32",
    max_attempts=128,
    secure_port=secure_port_fixed,
    # the by-source hash
    find_appropriate_src=find_appropriate_src,
    bysource_zone_id=bysource_no_zone,
    hash_by_src=hash_by_src_jhash,
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
"""The same-origin skip asks for the zone, too."""

V5_15_0: Final = Release(
    name="5.15.0",
    covers="5.15.y before 5.15.103 (READ: 5.15.0, 5.15.16, 5.15.100, 5.15.102)",
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
    ext_add=ext_add_without_genid,
    # confirm
    confirm=confirm_linking_one_by_one,
    lock=LockBuckets,
    test_keys=resolve_within_chain_limit,
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
    rng="prandom_u32",
    max_attempts=128,
    secure_port=secure_port_fixed,
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
"""Chains have a limit, drawn anew for each confirm: 8 to 31 nodes.

dd6d2910c5e0, b16ac3c4c886: tables are hashed with SipHash, and zones are hashed again.
"""

V5_15_148: Final = Release(
    name="5.15.148",
    covers="5.15.y from 5.15.103 to 5.15.201 (READ: 5.15.103, 5.15.148, 5.15.201)",
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
    ext_add=ext_add_without_genid,
    # confirm
    confirm=confirm_linking_one_by_one,
    lock=LockBuckets,
    test_keys=resolve_within_chain_limit,
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
    rng="prandom_u32",
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
"""c77737b736ce "adopt safer max chain length": 50 to 79."""

V5_15_215: Final = Release(
    name="5.15.215",
    covers="5.15.y from 5.15.202 on (READ: 5.15.202, 5.15.215)",
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
    ext_add=ext_add_without_genid,
    # confirm
    confirm=confirm_linking_one_by_one,
    lock=LockBuckets,
    test_keys=resolve_within_chain_limit,
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
    rng="prandom_u32",
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
"""Clashes of protocols without a tracker are resolved: a backport."""

V5_17_0_RC5: Final = Release(
    name="5.17.0-rc5",
    covers="5.17-rc1 to -rc7, never released (READ: 5.17.0-rc5)",
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
    ext_add=ext_add_without_genid,
    # confirm
    confirm=confirm_linking_one_by_one,
    lock=LockBuckets,
    test_keys=resolve_within_chain_limit,
    clash=absent,
    resolve_clash=merge_or_insert_reply_only,
    merge=merge_counting_a_resolve,
    resolve_clash_harder=resolve_clash_harder,
    udp_refresh_unreplied=refresh,
    chain_limit=(8, 24),
    rng_below="prandom_u32_max",
    # the choice
    get_unique_tuple=get_unique_tuple_forcing_port_remap,
    range_flags=FLAGS_4_18,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=bounded_rounds_always_random,
    port_window=port_window,
    rng="prandom_u32",
    max_attempts=128,
    secure_port=secure_port_fixed,
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
"""878aed8db324, 4a6fbdd801e8: a forwarded packet's well-known port is never kept.  Both were reverted for
5.17 (a82c25c366b0, ee0a4dc9f317).
"""

V5_19_0: Final = Release(
    name="5.19.0",
    covers="5.19, 6.0 (READ: 5.19.0, 6.0.1)",
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
    rng="prandom_u32",
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
"""CONFIRMED is set before confirm's tests, and a loser keeps it."""
