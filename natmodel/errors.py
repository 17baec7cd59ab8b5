# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be wrong with what a user gave."""


class BadInput(Exception):
    """Your input: one clear line that names what is wrong and where."""
