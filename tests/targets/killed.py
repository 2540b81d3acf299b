"""A runner that dies at a given place of its own code."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any


def killed_at(owner: Any, attribute: str, call: Callable[[], object], *, after: bool = False) -> None:
    """Make the call in a process of its own that is killed by SIGKILL where it would use `owner.attribute`."""
    child = os.fork()
    if child == 0:
        try:
            wrapped = getattr(owner, attribute)

            def die(*arguments: Any, **named: Any) -> None:
                if after:
                    wrapped(*arguments, **named)
                os.kill(os.getpid(), signal.SIGKILL)

            setattr(owner, attribute, die)
            call()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"the call did not come to {attribute}"
