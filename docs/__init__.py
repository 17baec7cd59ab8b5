# SPDX-License-Identifier: GPL-2.0-or-later
"""So that `docs.examples` can be imported from a clone."""
