# SPDX-License-Identifier: GPL-2.0-or-later
"""An exact userspace model of Linux source-port selection (nf_nat) and conntrack confirm.

>>> import natmodel
>>> verdict = natmodel.check(natmodel.Scenario.default())
>>> verdict.quantifier.value, str(verdict.witness)
('sometimes', '00000 111111 0')

`docs/api.md` shows the rest of what is listed in `__all__`; the modules below it are open to research,
and may change.  Names are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from natmodel.errors import BadInput
    from natmodel.explore import Limits
    from natmodel.release import Release
    from natmodel.releases import RELEASES
    from natmodel.run import run
    from natmodel.scenario import Scenario
    from natmodel.schedule import Schedule
    from natmodel.trace import Trace, trace_of
    from natmodel.verdict import Quantifier, Verdict, check, replay

__version__ = "0.1.0"

__all__ = [
    "RELEASES",
    "BadInput",
    "Limits",
    "Quantifier",
    "Release",
    "Scenario",
    "Schedule",
    "Trace",
    "Verdict",
    "__version__",
    "check",
    "replay",
    "run",
    "trace_of",
]

_HOMES = {
    "BadInput": "errors",
    "Limits": "explore",
    "Quantifier": "verdict",
    "RELEASES": "releases",
    "Release": "release",
    "Scenario": "scenario",
    "Schedule": "schedule",
    "Trace": "trace",
    "Verdict": "verdict",
    "check": "verdict",
    "replay": "verdict",
    "run": "run",
    "trace_of": "trace",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'natmodel' has no attribute {name!r}")
    module = import_module(f"natmodel.{home}")
    return module if name == home else getattr(module, name)  # natmodel.run is both


def __dir__() -> list[str]:
    return sorted(__all__)
