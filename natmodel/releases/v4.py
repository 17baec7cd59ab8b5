# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows of Linux 4.x.  natmodel/release.py says what a field is; see natmodel/releases/__init__.py."""

from __future__ import annotations

from typing import Final

from natmodel.hashes import (
    find_best_ips,
    hash_by_src_jhash,
    hash_by_src_jhash_tuple,
    hash_conntrack_raw_jhash,
    hash_conntrack_raw_jhash_tuple,
    reciprocal_scale,
    secure_port_fixed,
    secure_port_md5,
    secure_port_reshuffled,
    secure_port_reshuffled_u32,
)
from natmodel.ops import (
    LockBuckets,
)
from natmodel.paths.get_unique_tuple import (
    find_appropriate_src,
    find_appropriate_src_by_chance,
    find_first_appropriate_src,
    get_unique_tuple,
    get_unique_tuple_forcing_port_remap,
)
from natmodel.paths.nf_conntrack_confirm import (
    clash,
    clash_in_zone_of_direction,
    confirm_linking_one_by_one,
    drop_the_confirmed_or_resolve,
    drop_the_dying,
    merge_or_drop,
    merge_or_insert_reply_only,
    merge_referenced_counting_a_resolve,
    merge_unless_nat,
    merge_unless_translated,
    resolve,
    resolve_and_count_inserts,
    resolve_and_warn_of_the_confirmed,
    resolve_clash_harder,
    warn_of_the_confirmed_and_count_apart,
)
from natmodel.paths.nf_conntrack_extend import ext_add_without_genid
from natmodel.paths.nf_conntrack_find import (
    find_get_once,
    find_in_direction_unless_dying,
    find_in_one_table_unless_dying,
    find_skipping_dying,
    no_zone,
    taken_if_confirmed,
    taken_in_zone_of_direction,
    taken_unless_expired,
    taken_unless_same_origin,
    taken_unless_same_origin_and_zone,
)
from natmodel.paths.nf_hooks import refresh, reinject, reinject_to_an_entry
from natmodel.paths.nf_nat_l4proto_unique_tuple import (
    bounded_rounds_always_random,
    bounded_rounds_from_a_hash,
    port_window,
    port_window_as_given,
    rover_walk,
)
from natmodel.paths.nf_nat_used_tuple import (
    nf_nat_used_tuple,
    not_harder,
)
from natmodel.paths.packet import (
    bysource_no_zone,
    nat_and_confirm,
    nf_nat_setup_info,
    nf_nat_setup_info_with_extension,
)
from natmodel.release import (
    Release,
    absent,
)
from natmodel.releases.l4proto import (
    PORTS,
    TRACKERS,
    allow_none,
    allow_udp,
)
from natmodel.releases.range_flags import (
    FLAGS_3_14,
    FLAGS_4_18,
)

V4_4_0: Final = Release(
    name="4.4.0",
    covers="4.4, 4.6 (READ: 4.4.0, 4.4.111, 4.6.2)",
    # look-ups
    find_get=find_get_once,
    find=find_in_direction_unless_dying,
    tuple_taken=taken_in_zone_of_direction,
    timer_per_entry=True,
    table_per_net=True,
    hash_zone_id=no_zone,
    hash_conntrack_raw=hash_conntrack_raw_jhash_tuple,
    hash_bucket=reciprocal_scale,
    # extensions
    ext_add=ext_add_without_genid,
    # confirm
    confirm=confirm_linking_one_by_one,
    lock=LockBuckets,
    test_keys=drop_the_dying,
    clash=clash_in_zone_of_direction,
    resolve_clash=absent,
    merge=absent,
    resolve_clash_harder=absent,
    udp_refresh_unreplied=refresh,
    chain_limit=None,
    rng_below="",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_3_14,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=rover_walk,
    port_window=port_window_as_given,
    rng="prandom_u32",
    max_attempts=None,
    secure_port=secure_port_md5,
    # the by-source hash
    find_appropriate_src=find_appropriate_src,
    bysource_zone_id=bysource_no_zone,
    hash_by_src=hash_by_src_jhash_tuple,
    setup_info=nf_nat_setup_info_with_extension,
    # protocols
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_none,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject,
)
"""Zones have directions, and are not hashed."""

V4_4_155: Final = Release(
    name="4.4.155",
    covers="late 4.4.y (READ: 4.4.155, 4.4.166, 4.4.220)",
    # look-ups
    find_get=find_get_once,
    find=find_in_direction_unless_dying,
    tuple_taken=taken_in_zone_of_direction,
    timer_per_entry=True,
    table_per_net=True,
    hash_zone_id=no_zone,
    hash_conntrack_raw=hash_conntrack_raw_jhash_tuple,
    hash_bucket=reciprocal_scale,
    # extensions
    ext_add=ext_add_without_genid,
    # confirm
    confirm=confirm_linking_one_by_one,
    lock=LockBuckets,
    test_keys=drop_the_dying,
    clash=clash_in_zone_of_direction,
    resolve_clash=absent,
    merge=absent,
    resolve_clash_harder=absent,
    udp_refresh_unreplied=refresh,
    chain_limit=None,
    rng_below="",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_3_14,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=rover_walk,
    port_window=port_window,
    rng="prandom_u32",
    max_attempts=None,
    secure_port=secure_port_md5,
    # the by-source hash
    find_appropriate_src=find_appropriate_src,
    bysource_zone_id=bysource_no_zone,
    hash_by_src=hash_by_src_jhash_tuple,
    setup_info=nf_nat_setup_info_with_extension,
    # protocols
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_none,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject,
)
"""A reversed range is swapped."""

V4_7_4: Final = Release(
    name="4.7.4",
    covers="4.7, 4.8 (READ: 4.7.4, 4.8.17)",
    # look-ups
    find_get=find_get_once,
    find=find_in_one_table_unless_dying,
    tuple_taken=taken_if_confirmed,
    timer_per_entry=True,
    table_per_net=False,
    hash_zone_id=no_zone,
    hash_conntrack_raw=hash_conntrack_raw_jhash,
    hash_bucket=reciprocal_scale,
    # extensions
    ext_add=ext_add_without_genid,
    # confirm
    confirm=confirm_linking_one_by_one,
    lock=LockBuckets,
    test_keys=resolve_and_count_inserts,
    clash=clash,
    resolve_clash=merge_or_drop,
    merge=merge_unless_nat,
    resolve_clash_harder=absent,
    udp_refresh_unreplied=refresh,
    chain_limit=None,
    rng_below="",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_3_14,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=rover_walk,
    port_window=port_window_as_given,
    rng="prandom_u32",
    max_attempts=None,
    secure_port=secure_port_md5,
    # the by-source hash
    find_appropriate_src=find_appropriate_src,
    bysource_zone_id=bysource_no_zone,
    hash_by_src=hash_by_src_jhash,
    setup_info=nf_nat_setup_info_with_extension,
    # protocols
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_udp,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject,
)
"""One table for all namespaces; every look-up asks for CONFIRMED.

71d8c47fc653 "conntrack: introduce clash resolution on insertion race": UDP, and only with an entry that
NAT has no part in.
"""

V4_9_0: Final = Release(
    name="4.9.0",
    covers="4.9, 4.10 (READ: 4.9.0, 4.9.22, 4.10.1, 4.10.17)",
    # look-ups
    find_get=find_get_once,
    find=find_skipping_dying,
    tuple_taken=taken_unless_expired,
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
    test_keys=resolve,
    clash=clash,
    resolve_clash=merge_or_drop,
    merge=merge_unless_nat,
    resolve_clash_harder=absent,
    udp_refresh_unreplied=refresh,
    chain_limit=None,
    rng_below="",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_3_14,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=rover_walk,
    port_window=port_window_as_given,
    rng="prandom_u32",
    max_attempts=None,
    secure_port=secure_port_md5,
    # the by-source hash
    find_appropriate_src=find_first_appropriate_src,
    bysource_zone_id=bysource_no_zone,
    hash_by_src=hash_by_src_jhash,
    setup_info=nf_nat_setup_info_with_extension,
    # protocols
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_udp,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject,
)
"""Look-ups reap expired entries; successful inserts are not counted any more.

The by-source hash is an rhltable: its look-up finds a source by chance only, and then looks at the newest
connection of it alone.
"""

V4_9_154: Final = Release(
    name="4.9.154",
    covers="4.9.y with the clash rule of 4.12, before the same-origin skip (READ: 4.9.130, 4.9.154)",
    # look-ups
    find_get=find_get_once,
    find=find_skipping_dying,
    tuple_taken=taken_unless_expired,
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
    test_keys=resolve,
    clash=clash,
    resolve_clash=merge_or_drop,
    merge=merge_unless_nat,
    resolve_clash_harder=absent,
    udp_refresh_unreplied=refresh,
    chain_limit=None,
    rng_below="",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_3_14,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=rover_walk,
    port_window=port_window,
    rng="prandom_u32",
    max_attempts=None,
    secure_port=secure_port_md5,
    # the by-source hash
    find_appropriate_src=find_appropriate_src,
    bysource_zone_id=bysource_no_zone,
    hash_by_src=hash_by_src_jhash,
    setup_info=nf_nat_setup_info_with_extension,
    # protocols
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_udp,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject,
)
"""Back to lists in the by-source hash; a reversed range is swapped.

Clash resolution asks for NAT_DONE.
"""

V4_9_229: Final = Release(
    name="4.9.229",
    covers="middle 4.9.y (READ: 4.9.214, 4.9.227, 4.9.229)",
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
    test_keys=resolve,
    clash=clash,
    resolve_clash=merge_or_drop,
    merge=merge_unless_nat,
    resolve_clash_harder=absent,
    udp_refresh_unreplied=refresh,
    chain_limit=None,
    rng_below="",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_3_14,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=rover_walk,
    port_window=port_window,
    rng="prandom_u32",
    max_attempts=None,
    secure_port=secure_port_md5,
    # the by-source hash
    find_appropriate_src=find_appropriate_src,
    bysource_zone_id=bysource_no_zone,
    hash_by_src=hash_by_src_jhash,
    setup_info=nf_nat_setup_info_with_extension,
    # protocols
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_udp,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject,
)
"""The same-origin skip: a backport.  A clash of one connection with itself is dropped all the same, for
NAT has set up the entry.
"""

V4_9_273: Final = Release(
    name="4.9.273",
    covers="4.9.y before 4.9.300 (READ: 4.9.273)",
    # look-ups
    find_get=find_get_once,
    find=find_skipping_dying,
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
    test_keys=resolve,
    clash=clash,
    resolve_clash=merge_or_drop,
    merge=merge_unless_nat,
    resolve_clash_harder=absent,
    udp_refresh_unreplied=refresh,
    chain_limit=None,
    rng_below="",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_3_14,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=rover_walk,
    port_window=port_window,
    rng="prandom_u32",
    max_attempts=None,
    secure_port=secure_port_md5,
    # the by-source hash
    find_appropriate_src=find_appropriate_src,
    bysource_zone_id=bysource_no_zone,
    hash_by_src=hash_by_src_jhash,
    setup_info=nf_nat_setup_info_with_extension,
    # protocols
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_udp,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject,
)
"""The same-origin skip asks for the zone, too: a backport."""

V4_9_337: Final = Release(
    name="4.9.337",
    covers="4.9.y from 4.9.300 on (READ: 4.9.337)",
    # look-ups
    find_get=find_get_once,
    find=find_skipping_dying,
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
    test_keys=resolve,
    clash=clash,
    resolve_clash=merge_or_drop,
    merge=merge_unless_nat,
    resolve_clash_harder=absent,
    udp_refresh_unreplied=refresh,
    chain_limit=None,
    rng_below="",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_3_14,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=bounded_rounds_from_a_hash,
    port_window=port_window,
    rng="prandom_u32",
    max_attempts=128,
    secure_port=secure_port_md5,
    # the by-source hash
    find_appropriate_src=find_appropriate_src,
    bysource_zone_id=bysource_no_zone,
    hash_by_src=hash_by_src_jhash,
    setup_info=nf_nat_setup_info_with_extension,
    # protocols
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_udp,
    nat_ipv6=True,
    null_binding_id=True,
    zones="directed",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject,
)
"""Backport: bounded rounds, of which only RANDOM's first starts at the keyed hash.  Unlike 4.14.280, the
hash is MD5, and only an entry that NAT had no part in is merged with.
"""

V4_12_0: Final = Release(
    name="4.12.0",
    covers="4.12 (READ: 4.12.0)",
    # look-ups
    find_get=find_get_once,
    find=find_skipping_dying,
    tuple_taken=taken_unless_expired,
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
    test_keys=resolve,
    clash=clash,
    resolve_clash=merge_or_drop,
    merge=merge_unless_nat,
    resolve_clash_harder=absent,
    udp_refresh_unreplied=refresh,
    chain_limit=None,
    rng_below="",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_3_14,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=rover_walk,
    port_window=port_window_as_given,
    rng="prandom_u32",
    max_attempts=None,
    secure_port=secure_port_fixed,
    # the by-source hash
    find_appropriate_src=find_first_appropriate_src,
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
    nf_reinject=reinject,
)
"""The keyed hash is SipHash: 7cd23e5300c1.  Clash resolution asks for NAT_DONE."""

V4_13_9: Final = Release(
    name="4.13.9",
    covers="4.13 (READ: 4.13.9)",
    # look-ups
    find_get=find_get_once,
    find=find_skipping_dying,
    tuple_taken=taken_unless_expired,
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
    test_keys=resolve,
    clash=clash,
    resolve_clash=merge_or_drop,
    merge=merge_unless_nat,
    resolve_clash_harder=absent,
    udp_refresh_unreplied=refresh,
    chain_limit=None,
    rng_below="",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_3_14,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=rover_walk,
    port_window=port_window_as_given,
    rng="prandom_u32",
    max_attempts=None,
    secure_port=secure_port_fixed,
    # the by-source hash
    find_appropriate_src=find_appropriate_src_by_chance,
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
    nf_reinject=reinject,
)
"""Every connection of a source is looked at again, if the source is found."""

V4_14_177: Final = Release(
    name="4.14.177",
    covers="4.14.y with the same-origin skip, before 4.14.222 (READ: 4.14.177)",
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
    range_flags=FLAGS_3_14,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=rover_walk,
    port_window=port_window,
    rng="prandom_u32",
    max_attempts=None,
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
    nf_reinject=reinject,
)
"""4e35c1cb9460 "nf_nat: skip nat clash resolution for same-origin entries", without the zone.

ed07d9a021df: the very same connection is merged, NAT or not.  A reversed range is swapped.
"""

V4_14_241: Final = Release(
    name="4.14.241",
    covers="4.14.y from 4.14.222 to at least 4.14.241 (READ: 4.14.241)",
    # look-ups
    find_get=find_get_once,
    find=find_skipping_dying,
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
    range_flags=FLAGS_3_14,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=rover_walk,
    port_window=port_window,
    rng="prandom_u32",
    max_attempts=None,
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
    nf_reinject=reinject,
)
"""The same-origin skip asks for the zone, too: a backport."""

V4_14_280: Final = Release(
    name="4.14.280",
    covers="late 4.14.y (READ: 4.14.280)",
    # look-ups
    find_get=find_get_once,
    find=find_skipping_dying,
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
    range_flags=FLAGS_3_14,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=bounded_rounds_from_a_hash,
    port_window=port_window,
    rng="prandom_u32",
    max_attempts=128,
    secure_port=secure_port_reshuffled_u32,
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
    nf_reinject=reinject,
)
"""Backports: bounded rounds, of which only RANDOM's first starts at the keyed hash, which changes every
10 s; the same-origin skip asks for the zone.  ICMP and GRE keep their counters.
"""

V4_15_0: Final = Release(
    name="4.15.0",
    covers="4.15, before 4.15.15 (READ: 4.15.0)",
    # look-ups
    find_get=find_get_once,
    find=find_skipping_dying,
    tuple_taken=taken_unless_expired,
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
    merge=merge_unless_nat,
    resolve_clash_harder=absent,
    udp_refresh_unreplied=refresh,
    chain_limit=None,
    rng_below="",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_3_14,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=rover_walk,
    port_window=port_window_as_given,
    rng="prandom_u32",
    max_attempts=None,
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
    nf_reinject=reinject,
)
"""Lists in the by-source hash, as in 4.14.  Confirm warns of a connection that is confirmed already."""

V4_16_13: Final = Release(
    name="4.16.13",
    covers="4.16; late 4.15.y (READ: 4.15.15, 4.16.13)",
    # look-ups
    find_get=find_get_once,
    find=find_skipping_dying,
    tuple_taken=taken_unless_expired,
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
    merge=merge_unless_nat,
    resolve_clash_harder=absent,
    udp_refresh_unreplied=refresh,
    chain_limit=None,
    rng_below="",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_3_14,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=rover_walk,
    port_window=port_window,
    rng="prandom_u32",
    max_attempts=None,
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
    nf_reinject=reinject,
)
"""A reversed range is swapped."""

V4_18_0: Final = Release(
    name="4.18.0",
    covers="4.18 (READ: 4.18.0)",
    # look-ups
    find_get=find_get_once,
    find=find_skipping_dying,
    tuple_taken=taken_unless_expired,
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
    merge=merge_unless_nat,
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
    l4proto_unique_tuple=rover_walk,
    port_window=port_window,
    rng="prandom_u32",
    max_attempts=None,
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
"""PROTO_OFFSET: 2eb0f624b709 "add NAT support for shifted portmap ranges"."""

V4_18_0_394_EL8: Final = Release(
    name="4.18.0-394.el8",
    covers="RHEL 8's 4.18.0-394.el8 (READ: 4.18.0-394.el8)",
    # look-ups
    find_get=find_get_once,
    find=find_skipping_dying,
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
    test_keys=warn_of_the_confirmed_and_count_apart,
    clash=clash,
    resolve_clash=merge_or_insert_reply_only,
    merge=merge_referenced_counting_a_resolve,
    resolve_clash_harder=resolve_clash_harder,
    udp_refresh_unreplied=refresh,
    chain_limit=None,
    rng_below="",
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
"""Not 4.18: most of 5.x, and the forced remap of well-known ports that 5.17 took back."""

V4_19_1: Final = Release(
    name="4.19.1",
    covers="4.20; early 4.19.y (READ: 4.19.1, 4.19.13, 4.20.0)",
    # look-ups
    find_get=find_get_once,
    find=find_skipping_dying,
    tuple_taken=taken_unless_expired,
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
    l4proto_unique_tuple=rover_walk,
    port_window=port_window,
    rng="prandom_u32",
    max_attempts=None,
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
"""ed07d9a021df: the very same connection is merged, NAT or not."""

V4_19_66: Final = Release(
    name="4.19.66",
    covers="4.19.y with the same-origin skip (READ: 4.19.66, 4.19.78, 4.19.95)",
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
    l4proto_unique_tuple=rover_walk,
    port_window=port_window,
    rng="prandom_u32",
    max_attempts=None,
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
"""Rover; RANDOM is a keyed hash; a walk probes all but the last port of its window.

4e35c1cb9460 "netfilter: nf_nat: skip nat clash resolution for same-origin entries" is in this stable
level and not in 4.19.1 or 4.19.13.
"""

V4_19_222: Final = Release(
    name="4.19.222",
    covers="4.19.y whose skip asks for the zone, before 4.19.228 (READ: 4.19.222)",
    # look-ups
    find_get=find_get_once,
    find=find_skipping_dying,
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
    l4proto_unique_tuple=rover_walk,
    port_window=port_window,
    rng="prandom_u32",
    max_attempts=None,
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

V4_19_304: Final = Release(
    name="4.19.304",
    covers="4.19.y from 4.19.244 on (READ: 4.19.304)",
    # look-ups
    find_get=find_get_once,
    find=find_skipping_dying,
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
    l4proto_unique_tuple=bounded_rounds_from_a_hash,
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
"""Backports: bounded rounds, of which only RANDOM's first starts at the keyed hash, which changes every
10 s from 4.19.244 on.  ICMP and GRE keep their counters.
"""
