# SPDX-License-Identifier: GPL-2.0-or-later
"""An exact userspace model of Linux source-port selection (nf_nat) and conntrack confirm."""

__version__ = "0.1.0"
