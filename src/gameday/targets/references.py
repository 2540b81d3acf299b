"""`${...}` in a component's command and variables: its own port, another component's address, its disk, a secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from gameday.component_spec import CommandComponent
from gameday.environment import Environment
from gameday.errors import UsageError

_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_PARTS = ("url", "host", "port")
_DISK = ("disk", "disk.quota")
_SECRET = "secret:"  # noqa: S105 (what comes before a secret's name)
_SECRET_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}")


def check_references(environment: Environment) -> None:
    """Every reference must name something that will exist, and every link must be used by its client.

    Raises:
        UsageError: naming each field with a reference to nothing, and what there is.
    """
    problems = [*_unknown(environment), *_unused_links(environment)]
    if problems:
        raise UsageError(f"environment {environment.environment}: " + "\n".join(problems))


def resolve(text: str, value: Callable[[str], str]) -> str:
    """`text` with its references replaced by what `value` says of each; they have been checked before."""
    return _REFERENCE.sub(lambda match: value(match.group(1)), text)


def secret_name(reference: str) -> str | None:
    """The name in `secret:NAME`; None for any other reference."""
    name = reference.removeprefix(_SECRET)
    return name if reference.startswith(_SECRET) and _SECRET_NAME.fullmatch(name) else None


def _unknown(environment: Environment) -> Iterator[str]:
    for name, component in environment.components.items():
        if not isinstance(component, CommandComponent):
            continue
        for field, text in _fields(name, component):
            for reference in _REFERENCE.findall(text):
                if secret_name(reference) and ".command[" in field:
                    yield f"{field}: everybody can read a command line; pass ${{{reference}}} in env"
                elif reference in _DISK and component.disk is None:
                    yield f"{field}: ${{{reference}}}: {name} has no disk"
                elif not _is_known(reference, environment):
                    yield f"{field}: unknown reference ${{{reference}}}; {_known(environment)}"


def _unused_links(environment: Environment) -> Iterator[str]:
    """A client that never learns the link's address would not notice a fault on it."""
    for index, link in enumerate(environment.links):
        client = environment.components.get(link.client)
        wanted = {f"{link.server}.{part}" for part in _PARTS}
        named: set[str] = set()
        if isinstance(client, CommandComponent):
            named = {ref for _, text in _fields(link.client, client) for ref in _REFERENCE.findall(text)}
        if not named & wanted:
            yield (
                f"links.{index}: {link.client} does not name ${{{link.server}.url}}, .host or .port in its command "
                f"or env, so it would reach {link.server} past the fault proxy"
            )


def _fields(name: str, component: CommandComponent) -> Iterator[tuple[str, str]]:
    yield from _fields_of(f"components.{name}", component.command, component.env)
    for version, other in component.versions.items():
        yield from _fields_of(f"components.{name}.versions.{version}", other.command or (), other.env)


def _fields_of(field: str, command: tuple[str, ...], env: dict[str, str]) -> Iterator[tuple[str, str]]:
    for index, argument in enumerate(command):
        yield f"{field}.command[{index}]", argument
    for variable, text in env.items():
        yield f"{field}.env.{variable}", text


def _is_known(reference: str, environment: Environment) -> bool:
    component, _, part = reference.rpartition(".")
    return (
        reference == "python"
        or reference in _DISK
        or secret_name(reference) is not None
        or (part in _PARTS and (not component or component in environment.components))
    )


def _known(environment: Environment) -> str:
    parts = ", ".join(f"${{{part}}}" for part in ("python", *_PARTS, *_DISK, "secret:NAME"))
    others = ", ".join(environment.components)
    return f"known are {parts}, and ${{NAME.url}}, ${{NAME.host}}, ${{NAME.port}} with NAME one of {others}"
