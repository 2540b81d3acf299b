"""`gameday init` on the command line."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer


class TargetKind(StrEnum):
    DOCKER = "docker"
    KUBERNETES = "kubernetes"


class CiKind(StrEnum):
    GITHUB = "github"
    GITLAB = "gitlab"
    NONE = "none"


def init(
    target: Annotated[TargetKind | None, typer.Option(help="Where the service runs.")] = None,
    project: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Docker: a compose project, as `docker compose ls` shows it."),
    ] = None,
    container: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Docker: a container; may be given several times."),
    ] = None,
    context: Annotated[
        str | None, typer.Option(metavar="C", help="Kubernetes: a context of the kubeconfig.")
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option("--namespace", "-n", metavar="N", help="Kubernetes: the service's namespace."),
    ] = None,
    service: Annotated[
        str | None, typer.Option(metavar="NAME", help="What the first drill breaks; without it, a menu asks.")
    ] = None,
    prometheus: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="The Prometheus that watches it; by default one beside the service."
        ),
    ] = None,
    alert: Annotated[
        str | None, typer.Option(metavar="NAME", help="The alert that must fire, in place of the best found.")
    ] = None,
    environment: Annotated[
        str | None, typer.Option("--environment", "-e", metavar="NAME", help="How the environment is called.")
    ] = None,
    ci: Annotated[
        CiKind | None,
        typer.Option(help="For which CI server a job is written; by default GitHub's or GitLab's."),
    ] = None,
    into: Annotated[Path, typer.Option(metavar="DIR", help="The project's folder.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
) -> None:
    """Write the files of a first drill for a service that runs already, and look whether they fit. Touches nothing.

    An environment, a scenario with its control, a runbook and a CI job. What cannot be known from looking is a marked
    line, which `gameday validate` lists. Exit code 3 where a drill would be refused as things are.
    """
    from gameday.commands import init as command

    job: Literal["github", "gitlab", "none"] | None = None
    if ci is not None:
        job = "github" if ci is CiKind.GITHUB else "gitlab" if ci is CiKind.GITLAB else "none"
    wishes = command.Wishes(
        target=target.value if target else None,
        project=project,
        containers=container or (),
        context=context,
        namespace=namespace,
        service=service,
        prometheus=prometheus,
        alert=alert,
        environment=environment,
        ci=job,
        into=into,
        force=force,
    )
    raise typer.Exit(command.init(wishes))
