# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows of Linux 2.6.  natmodel/release.py says what a field is; see natmodel/releases/__init__.py."""

from __future__ import annotations

from typing import Final

from natmodel.hashes import (
    find_best_ips_lookup2,
    find_best_ips_lookup2_modulo,
    hash_by_src_lookup2,
    hash_by_src_lookup2_modulo,
    hash_conntrack_raw_lookup2,
    hash_conntrack_raw_lookup2_halves,
    modulo,
    reciprocal_scale,
    secure_port_half_md4,
)
from natmodel.ops import (
    LockTable,
)
from natmodel.paths.get_unique_tuple import (
    by_source_even_if_random,
    by_source_unless_random,
    find_appropriate_src_in_any_zone,
    find_appropriate_src_in_zone,
)
from natmodel.paths.nf_conntrack_confirm import (
    accept_the_dying,
    clash_in_any_zone,
    clash_in_zone,
    confirm_linking_one_by_one,
    confirm_publishing_at_once,
    insert_unless_clash,
)
from natmodel.paths.nf_conntrack_extend import ext_add_without_genid
from natmodel.paths.nf_conntrack_find import (
    find_any,
    find_get_once,
    find_unless_dying,
    no_zone,
    taken,
    taken_in_zone,
    zone_of_both_directions,
)
from natmodel.paths.nf_hooks import refresh, reinject
from natmodel.paths.nf_nat_l4proto_unique_tuple import (
    port_window_as_given,
    rover_walk_probing_all,
    static_walk,
)
from natmodel.paths.nf_nat_used_tuple import (
    nf_nat_used_tuple,
    not_harder,
)
from natmodel.paths.packet import (
    bysource_no_zone,
    bysource_whole_zone,
    enter_bysource_first,
    enter_bysource_first_though_late,
    nat_and_confirm,
)
from natmodel.release import (
    Release,
    absent,
)
from natmodel.releases.l4proto import (
    PORTS,
    PORTS_2_6_24,
    TRACKERS,
    TRACKERS_2_6_24,
    allow_none,
)
from natmodel.releases.range_flags import (
    FLAGS_2_6_24,
    FLAGS_2_6_35,
)

V2_6_24: Final = Release(
    name="2.6.24",
    covers="2.6.24 (READ: 2.6.24)",
    # look-ups
    find_get=find_get_once,
    find=find_any,
    tuple_taken=taken,
    timer_per_entry=True,
    table_per_net=False,
    hash_zone_id=no_zone,
    hash_conntrack_raw=hash_conntrack_raw_lookup2_halves,
    hash_bucket=modulo,
    # extensions
    ext_add=ext_add_without_genid,
    # confirm
    confirm=confirm_publishing_at_once,
    lock=LockTable,
    test_keys=insert_unless_clash,
    clash=clash_in_any_zone,
    resolve_clash=absent,
    merge=absent,
    resolve_clash_harder=absent,
    udp_refresh_unreplied=refresh,
    chain_limit=None,
    rng_below="",
    # the choice
    get_unique_tuple=by_source_even_if_random,
    range_flags=FLAGS_2_6_24,
    find_best_ips=find_best_ips_lookup2_modulo,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=static_walk,
    port_window=port_window_as_given,
    rng="net_random",
    max_attempts=None,
    secure_port=secure_port_half_md4,
    # the by-source hash
    find_appropriate_src=find_appropriate_src_in_any_zone,
    bysource_zone_id=bysource_no_zone,
    hash_by_src=hash_by_src_lookup2_modulo,
    setup_info=enter_bysource_first_though_late,
    # protocols
    trackers=TRACKERS_2_6_24,
    port_protocols=PORTS_2_6_24,
    allow_clash=allow_none,
    nat_ipv6=False,
    null_binding_id=True,
    zones="none",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject,
)
"""One static per protocol is start and walk in one; RANDOM writes a random number into it.

A new connection enters the by-source hash at its first manip, destination or source, and the search by
source comes first, even under RANDOM.  Readers take a lock, so confirm is one step for them, too.
SCTP and UDPLITE are tracked and not translated; DCCP is not even tracked.
"""

V2_6_35_6: Final = Release(
    name="2.6.35.6",
    covers="2.6.35 (READ: 2.6.35.6)",
    # look-ups
    find_get=find_get_once,
    find=find_unless_dying,
    tuple_taken=taken_in_zone,
    timer_per_entry=True,
    table_per_net=True,
    hash_zone_id=zone_of_both_directions,
    hash_conntrack_raw=hash_conntrack_raw_lookup2,
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
    get_unique_tuple=by_source_unless_random,
    range_flags=FLAGS_2_6_35,
    find_best_ips=find_best_ips_lookup2,
    used_tuple=nf_nat_used_tuple,
    used_tuple_new=nf_nat_used_tuple,
    used_tuple_harder=not_harder,
    l4proto_unique_tuple=rover_walk_probing_all,
    port_window=port_window_as_given,
    rng="",
    max_attempts=None,
    secure_port=secure_port_half_md4,
    # the by-source hash
    find_appropriate_src=find_appropriate_src_in_zone,
    bysource_zone_id=bysource_whole_zone,
    hash_by_src=hash_by_src_lookup2,
    setup_info=enter_bysource_first,
    # protocols
    trackers=TRACKERS,
    port_protocols=PORTS,
    allow_clash=allow_none,
    nat_ipv6=False,
    null_binding_id=True,
    zones="id",
    # hooks
    new_connection=nat_and_confirm,
    nf_reinject=reinject,
)
"""Zones, PERSISTENT, a rover per protocol; RANDOM starts at a keyed hash of the rewritten tuple.

Look-ups run under RCU from here on: confirm is two steps for them.
"""
