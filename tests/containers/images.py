"""Images that tests of one tree build from the same files, maybe at once."""

from __future__ import annotations

import subprocess

KEPT = "gameday-test-kept"
_TIMEOUT_S = 60


def give_up(project: str, tag: str) -> None:
    """Take a project's name from an image, which stays under one that all projects share.

    An image without a name goes, and takes its layers along, also from under a build that has found them in the
    engine's cache: "failed to get destination image: No such image".
    """
    kept = tag.removeprefix(project).strip(":-").replace(":", "-")
    for argv in (("tag", tag, f"{KEPT}:{kept}"), ("rmi", "--force", tag)):
        subprocess.run(["docker", *argv], capture_output=True, check=False, timeout=_TIMEOUT_S)
