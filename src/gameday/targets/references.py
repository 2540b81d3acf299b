"""`${...}` in a component's command and variables: its own port, or another component's address."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping

from gameday.environment import CommandComponent, Environment
from gameday.errors import UsageError
from gameday.targets.base import Address

_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_PARTS = ("url", "host", "port")


def check_references(environment: Environment) -> None:
    """Every reference must name something that will exist.

    Raises:
        UsageError: naming each field with a reference to nothing, and what there is.
    """
    problems: list[str] = []
    for name, component in environment.components.items():
        if not isinstance(component, CommandComponent):
            continue
        problems += [
            f"{field}: unknown reference ${{{reference}}}; {_known(environment)}"
            for field, text in _fields(name, component)
            for reference in _REFERENCE.findall(text)
            if not _is_known(reference, environment)
        ]
    if problems:
        raise UsageError(f"environment {environment.environment}: " + "\n".join(problems))


def resolve(text: str, own: str, addresses: Mapping[str, Address] | Callable[[str], Address]) -> str:
    """`text` with its references replaced; they have been checked before."""
    lookup = addresses if callable(addresses) else addresses.__getitem__

    def value(match: re.Match[str]) -> str:
        reference = match.group(1)
        if reference == "python":
            return sys.executable
        component, _, part = reference.rpartition(".")
        return str(getattr(lookup(component or own), part))

    return _REFERENCE.sub(value, text)


def _fields(name: str, component: CommandComponent) -> Iterator[tuple[str, str]]:
    for index, argument in enumerate(component.command):
        yield f"components.{name}.command[{index}]", argument
    for variable, text in component.env.items():
        yield f"components.{name}.env.{variable}", text


def _is_known(reference: str, environment: Environment) -> bool:
    component, _, part = reference.rpartition(".")
    return reference == "python" or (
        part in _PARTS and (not component or component in environment.components)
    )


def _known(environment: Environment) -> str:
    parts = ", ".join(f"${{{part}}}" for part in ("python", *_PARTS))
    others = ", ".join(environment.components)
    return f"known are {parts}, and ${{NAME.url}}, ${{NAME.host}}, ${{NAME.port}} with NAME one of {others}"
