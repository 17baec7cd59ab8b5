# SPDX-License-Identifier: GPL-2.0-or-later
"""`python run_storm.py DTMC MDP`: P(a drop) in two PRISM models as Storm computes it, in exact fractions.

Whatever Python has stormpy runs this file; natmodel need not be there.
"""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from importlib import import_module
from typing import Any


def odds(stormpy: Any, model: str, what: str) -> str:
    program = stormpy.parse_prism_program(model)
    [asked] = stormpy.parse_properties(f'{what} [F "drop"]', program)
    built = stormpy.build_model[stormpy.Rational](program, [asked])
    found = stormpy.model_checking(built, asked)
    return str(Fraction(str(found.get_value(built.initial_states[0]))))


def main(dtmc: str, mdp: str) -> None:
    stormpy = import_module("stormpy")
    found = {"uniform": odds(stormpy, dtmc, "P=?"), "worst": odds(stormpy, mdp, "Pmax=?")}
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
