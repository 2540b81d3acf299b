"""Values behind `${secret:NAME}` and `${env:NAME}`, for where an environment file says that one is needed."""

from __future__ import annotations

import os
from collections.abc import Callable

from gameday.errors import UsageError
from gameday.targets.references import resolve, secret_name

_VARIABLE = "env:"


def revealed(
    text: str, secret: Callable[[str], str], what: str, where: str, known: dict[str, str] | None = None
) -> tuple[str, tuple[str, ...]]:
    """`text` with its references replaced, and what must not be shown of it. `known` are other references.

    Raises:
        UsageError: a reference to nothing; `what` needed it, it stands in `where`.
    """
    hidden: list[str] = []

    def value(reference: str) -> str:
        if known is not None and reference in known:
            return known[reference]
        name, variable = secret_name(reference), reference.removeprefix(_VARIABLE)
        if name is not None:
            found = secret(name)
        elif variable == reference:
            others = "".join(f", ${{{other}}}" for other in known or ())
            raise UsageError(
                f"{what}: unknown reference ${{{reference}}} in {where}; known are ${{secret:NAME}} and "
                f"${{env:NAME}}{others}"
            )
        elif variable not in os.environ:
            raise UsageError(f"{what}: environment variable {variable} is not set; {where} needs it")
        else:
            found = os.environ[variable]
        hidden.append(found)
        return found

    return resolve(text, value), tuple(hidden)
