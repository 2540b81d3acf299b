"""What an environment says of containers: which they are, and the compose project that they belong to."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from gameday.fields import Misfit, Model, Name, Text

_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
_ABSOLUTE = r"^/[^\x00]*[^/\x00]$"
_PROJECT = r"^[a-z0-9][a-z0-9_-]*$"

Variable = Annotated[str, Field(pattern=_VARIABLE)]
AbsolutePath = Annotated[str, Field(pattern=_ABSOLUTE)]


class Selector(Model):
    """Which containers a component is. All that match are the component, whether they run or not."""

    service: Text | None = None
    """A service of the environment's compose project."""
    container: Text | None = None
    """A container's name."""
    labels: dict[Text, str] = {}
    """Labels that its containers carry."""

    @model_validator(mode="after")
    def _one_way(self) -> Selector:
        given = [name for name in ("service", "container", "labels") if getattr(self, name)]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise Misfit(((), f"expected exactly one of service, container and labels; found {found}"))
        return self


class ContainerVersion(Model):
    """Another version of a component's containers: what is different in it."""

    image: Text | None = None
    command: tuple[Text, ...] | None = Field(default=None, min_length=1)
    env: dict[Variable, str] = {}

    @model_validator(mode="after")
    def _is_different(self) -> ContainerVersion:
        if self.image is None and self.command is None and not self.env:
            raise Misfit(((), "changes nothing; expected an image, a command or env"))
        return self


class ContainerDisk(Model):
    """A volume of bounded size in a component's containers."""

    path: AbsolutePath
    """Where it is mounted."""
    disposable: tuple[Text, ...] = ()
    """Patterns of file names in it that may be deleted when space runs out, such as `*.log.*`."""


class ContainerPostgresql(Model):
    """For containers of PostgreSQL whose data may be destroyed and restored."""

    data: AbsolutePath = "/var/lib/postgresql/data"
    """The data directory, on a volume."""
    backup: AbsolutePath
    """A directory with a base backup (`pg_basebackup`), on another volume."""
    archive: AbsolutePath | None = None
    """Where `archive_command` puts the write-ahead log; absent: there is no archive."""
    superuser: Name = "postgres"
    """Who may end sessions; asked from inside the container, over its socket."""


class Compose(Model):
    """The compose project that the environment is."""

    file: Text | None = None
    """The compose file, relative to the project: `gameday env up` brings it up. Absent: others do."""
    project: str | None = Field(default=None, pattern=_PROJECT)
    """The project's name; absent: `gameday-` and the instance's name."""
    ports: tuple[Variable, ...] = ()
    """Variables for the file, each with a port of this machine that is free at `env up` and kept from then on."""
    env: dict[Variable, str] = {}
    """More variables for the file. `${secret:NAME}` is made by chance for each instance, `${env:NAME}` is read from the
    environment; neither is ever written to evidence."""

    @field_validator("ports")
    @classmethod
    def _once_each(cls, ports: tuple[str, ...]) -> tuple[str, ...]:
        twice = [name for name in dict.fromkeys(ports) if ports.count(name) > 1]
        if twice:
            raise ValueError(f"{', '.join(twice)} is there twice")
        return ports

    @model_validator(mode="after")
    def _known(self) -> Compose:
        if self.file is None and self.project is None:
            raise Misfit(((), "expected a file, or the name of a project that others bring up"))
        if self.file is None and (self.ports or self.env):
            field = "ports" if self.ports else "env"
            raise Misfit(((field,), "is for a file that gameday brings up; there is none"))
        both = sorted(set(self.ports) & set(self.env))
        if both:
            raise Misfit((("env", both[0]), "is among ports already"))
        return self
