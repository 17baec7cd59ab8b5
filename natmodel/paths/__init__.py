# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's functions, written anew: one file per function, its variants from old to new.

A path awaits operations (`natmodel.ops`) and other paths, and knows neither the world that answers
nor who else is running.  See docs/model.md for what one step is.
"""
