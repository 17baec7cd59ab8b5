# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows of Linux 3.x.  natmodel/release.py says what a field is; see natmodel/releases/__init__.py."""

from __future__ import annotations

from typing import Final

from natmodel.hashes import (
    find_best_ips,
    find_best_ips_jhash_2words,
    hash_by_src_jhash_3words,
    hash_by_src_jhash_zone,
    hash_conntrack_raw_jhash_zone,
    reciprocal_scale,
    secure_port_md5,
)
from natmodel.ops import (
    LockBuckets,
    LockTable,
)
from natmodel.paths.get_unique_tuple import (
    find_appropriate_src_in_zone,
    get_unique_tuple,
)
from natmodel.paths.nf_conntrack_confirm import (
    accept_the_dying,
    clash_in_zone,
    confirm_linking_one_by_one,
    drop_the_dying,
)
from natmodel.paths.nf_conntrack_extend import ext_add_without_genid
from natmodel.paths.nf_conntrack_find import (
    find_confirmed_unless_dying,
    find_get_once,
    find_unless_dying,
    taken_in_zone,
    zone_of_both_directions,
)
from natmodel.paths.nf_hooks import refresh, reinject
from natmodel.paths.nf_nat_l4proto_unique_tuple import (
    port_window_as_given,
    rover_walk,
)
from natmodel.paths.nf_nat_used_tuple import (
    nf_nat_used_tuple,
    not_harder,
)
from natmodel.paths.packet import (
    bysource_whole_zone,
    nat_and_confirm,
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
)
from natmodel.releases.range_flags import (
    FLAGS_2_6_35,
    FLAGS_3_14,
)

V3_4_113: Final = Release(
    name="3.4.113",
    covers="3.4.y (READ: 3.4.113)",
    # look-ups
    find_get=find_get_once,
    find=find_confirmed_unless_dying,
    tuple_taken=taken_in_zone,
    timer_per_entry=True,
    table_per_net=True,
    hash_zone_id=zone_of_both_directions,
    hash_conntrack_raw=hash_conntrack_raw_jhash_zone,
    hash_bucket=reciprocal_scale,
    # extensions
    ext_add=ext_add_without_genid,
    # confirm
    confirm=confirm_linking_one_by_one,
    lock=LockTable,
    test_keys=accept_the_dying,
    clash=clash_in_zone,
    resolve_clash=absent,
    merge=absent,
    resolve_clash_harder=absent,
    udp_refresh_unreplied=refresh,
    chain_limit=None,
    rng_below="",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_2_6_35,
    find_best_ips=find_best_ips_jhash_2words,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=rover_walk,
    port_window=port_window_as_given,
    rng="",
    max_attempts=None,
    secure_port=secure_port_md5,
    # the by-source hash
    find_appropriate_src=find_appropriate_src_in_zone,
    bysource_zone_id=bysource_whole_zone,
    hash_by_src=hash_by_src_jhash_3words,
    setup_info=nf_nat_setup_info_with_extension,
    # protocols
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_none,
    nat_ipv6=False,
    null_binding_id=False,
    zones="id",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject,
)
"""The original tuple comes first, if it is in the range; a range of one port is not looked up.

The last candidate of a walk is taken without a look.
"""

V3_10_4: Final = Release(
    name="3.10.4",
    covers="3.10 to 3.13 (READ: 3.10.4, 3.13.10)",
    # look-ups
    find_get=find_get_once,
    find=find_unless_dying,
    tuple_taken=taken_in_zone,
    timer_per_entry=True,
    table_per_net=True,
    hash_zone_id=zone_of_both_directions,
    hash_conntrack_raw=hash_conntrack_raw_jhash_zone,
    hash_bucket=reciprocal_scale,
    # extensions
    ext_add=ext_add_without_genid,
    # confirm
    confirm=confirm_linking_one_by_one,
    lock=LockTable,
    test_keys=accept_the_dying,
    clash=clash_in_zone,
    resolve_clash=absent,
    merge=absent,
    resolve_clash_harder=absent,
    udp_refresh_unreplied=refresh,
    chain_limit=None,
    rng_below="",
    # the choice
    get_unique_tuple=get_unique_tuple,
    range_flags=FLAGS_2_6_35,
    find_best_ips=find_best_ips,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=rover_walk,
    port_window=port_window_as_given,
    rng="",
    max_attempts=None,
    secure_port=secure_port_md5,
    # the by-source hash
    find_appropriate_src=find_appropriate_src_in_zone,
    bysource_zone_id=bysource_whole_zone,
    hash_by_src=hash_by_src_jhash_zone,
    setup_info=nf_nat_setup_info_with_extension,
    # protocols
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_none,
    nat_ipv6=True,
    null_binding_id=False,
    zones="id",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject,
)
"""NAT for IPv6.  Neither look-up asks for CONFIRMED."""

V3_14_1: Final = Release(
    name="3.14.1",
    covers="3.14.y (READ: 3.14.1)",
    # look-ups
    find_get=find_get_once,
    find=find_confirmed_unless_dying,
    tuple_taken=taken_in_zone,
    timer_per_entry=True,
    table_per_net=True,
    hash_zone_id=zone_of_both_directions,
    hash_conntrack_raw=hash_conntrack_raw_jhash_zone,
    hash_bucket=reciprocal_scale,
    # extensions
    ext_add=ext_add_without_genid,
    # confirm
    confirm=confirm_linking_one_by_one,
    lock=LockTable,
    test_keys=accept_the_dying,
    clash=clash_in_zone,
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
    find_appropriate_src=find_appropriate_src_in_zone,
    bysource_zone_id=bysource_whole_zone,
    hash_by_src=hash_by_src_jhash_zone,
    setup_info=nf_nat_setup_info_with_extension,
    # protocols
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_none,
    nat_ipv6=True,
    null_binding_id=False,
    zones="id",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject,
)
"""RANDOM_FULLY: 34ce324019e7 "nf_nat: add full port randomization support".

The look-up of a packet asks for CONFIRMED; nf_conntrack_tuple_taken and confirm do not.
"""

V3_15_5: Final = Release(
    name="3.15.5",
    covers="3.15, 3.16 (READ: 3.15.5, 3.16.0)",
    # look-ups
    find_get=find_get_once,
    find=find_confirmed_unless_dying,
    tuple_taken=taken_in_zone,
    timer_per_entry=True,
    table_per_net=True,
    hash_zone_id=zone_of_both_directions,
    hash_conntrack_raw=hash_conntrack_raw_jhash_zone,
    hash_bucket=reciprocal_scale,
    # extensions
    ext_add=ext_add_without_genid,
    # confirm
    confirm=confirm_linking_one_by_one,
    lock=LockBuckets,
    test_keys=accept_the_dying,
    clash=clash_in_zone,
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
    find_appropriate_src=find_appropriate_src_in_zone,
    bysource_zone_id=bysource_whole_zone,
    hash_by_src=hash_by_src_jhash_zone,
    setup_info=nf_nat_setup_info_with_extension,
    # protocols
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_none,
    nat_ipv6=True,
    null_binding_id=False,
    zones="id",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject,
)
"""Confirm locks buckets, not the table: 93bb0ceb75be."""

V3_18_20: Final = Release(
    name="3.18.20",
    covers="3.18 to 4.1 (READ: 3.18.20, 3.19.8, 4.1.19)",
    # look-ups
    find_get=find_get_once,
    find=find_confirmed_unless_dying,
    tuple_taken=taken_in_zone,
    timer_per_entry=True,
    table_per_net=True,
    hash_zone_id=zone_of_both_directions,
    hash_conntrack_raw=hash_conntrack_raw_jhash_zone,
    hash_bucket=reciprocal_scale,
    # extensions
    ext_add=ext_add_without_genid,
    # confirm
    confirm=confirm_linking_one_by_one,
    lock=LockBuckets,
    test_keys=drop_the_dying,
    clash=clash_in_zone,
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
    find_appropriate_src=find_appropriate_src_in_zone,
    bysource_zone_id=bysource_whole_zone,
    hash_by_src=hash_by_src_jhash_zone,
    setup_info=nf_nat_setup_info_with_extension,
    # protocols
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_none,
    nat_ipv6=True,
    null_binding_id=True,
    zones="id",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject,
)
"""A connection that is dying is dropped at confirm, not let pass."""
