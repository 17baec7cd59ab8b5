# SPDX-License-Identifier: GPL-2.0-or-later
"""What every test shares: how many examples Hypothesis tries, how many workers xdist starts.

dev       20 examples; what you get by default
ci        Hypothesis' own, repeatable; what you get when CI is set
thorough  5,000 examples

Choose with HYPOTHESIS_PROFILE=thorough, or `pytest --hypothesis-profile=thorough`.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("dev", max_examples=20, deadline=None)
settings.register_profile(
    "thorough", max_examples=5_000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
if profile := os.environ.get("HYPOTHESIS_PROFILE"):
    settings.load_profile(profile)
elif not os.environ.get("CI"):
    settings.load_profile("dev")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """What `-n auto` means: NATMODEL_JOBS; one under `tox -p`; else a worker for each core."""
    if jobs := os.environ.get("NATMODEL_JOBS"):
        return int(jobs)
    return 1 if "TOX_PARALLEL_ENV" in os.environ else None
