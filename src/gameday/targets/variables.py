"""Environment variables to which an environment's file refers: who reverts elsewhere needs them too."""

from __future__ import annotations

import os
import re

from gameday.environment import Environment

_VARIABLE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")


def referred_variables(environment: Environment) -> dict[str, str]:
    """Those that are set here. Their values may be secret."""
    written = environment.model_dump_json(exclude_unset=True)
    return {name: os.environ[name] for name in set(_VARIABLE.findall(written)) if name in os.environ}
