"""As whom PostgreSQL runs when gameday runs as root, which PostgreSQL refuses to do.

Four ways, tried in this order by `choose_footing`, each by really doing it:

* `same`: not root: as is.
* `setuid`: as `nobody`, where nobody can reach the binaries and the data.
* `unshare`: in a user namespace in which root's own id is called nobody; reaches what root owns, such as a
  clone under /root. Containers mostly forbid it.
* `copy`: binaries and data below /var/lib/gameday, as `nobody`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from gameday.errors import TargetError

Way = Literal["same", "setuid", "unshare", "copy"]
WAYS: tuple[Way, ...] = get_args(Way)
COPIES = Path("/var/lib/gameday")
_TRIAL_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Footing:
    """How a component's programs run, where its binaries are, and where its data is."""

    way: Way = "same"
    binaries: Path = Path()
    home: Path = Path()

    @property
    def prefix(self) -> tuple[str, ...]:
        """What comes before the program on the command line."""
        if self.way != "unshare":
            return ()
        return ("unshare", "--user", "--map-user=65534", "--map-group=65534", "--")

    def popen_options(self) -> dict[str, Any]:
        """What `subprocess.Popen` is told."""
        if self.way not in ("setuid", "copy"):
            return {}
        nobody = pwd.getpwnam("nobody")
        return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Give a file or folder to the user as whom the programs run."""
        if self.way in ("setuid", "copy"):
            nobody = pwd.getpwnam("nobody")
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        elif self.way == "unshare":
            # a trial of another way that was killed half-way may have given it to nobody
            os.chown(path, os.geteuid(), os.getegid())

    def make_home(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.own(self.home)


def choose_footing(binaries: Path, folder: Path, instance_folder: Path) -> Footing:
    """The first way that works here for PostgreSQL's `binaries` with data in `folder`, which exists.

    Raises:
        TargetError: none does; the message says what was tried, and what to do.
    """
    if os.geteuid() != 0:
        return Footing("same", binaries, folder)
    tried: list[str] = []
    for make in (_setuid, _unshare, _copied_data, _copied_all):
        try:
            footing = make(binaries, folder, instance_folder)
            reason = try_footing(footing)
        except OSError as error:
            reason = str(error)
        else:
            if not reason:
                return footing
        tried.append(f"{make.__name__.lstrip('_')}: {reason}")
    remove_copies(instance_folder)
    raise TargetError(
        "PostgreSQL refuses to run as root, and no way round it works here "
        f"({'; '.join(tried)}); run gameday as a normal user"
    )


def _setuid(binaries: Path, folder: Path, _instance_folder: Path) -> Footing:
    return Footing("setuid", binaries, folder)


def _unshare(binaries: Path, folder: Path, _instance_folder: Path) -> Footing:
    return Footing("unshare", binaries, folder)


def _copied_data(binaries: Path, folder: Path, instance_folder: Path) -> Footing:
    return Footing("copy", binaries, _make_copied_home(folder, instance_folder))


def _copied_all(binaries: Path, folder: Path, instance_folder: Path) -> Footing:
    home = _make_copied_home(folder, instance_folder)
    return Footing("copy", _copy_binaries(binaries, home.parent), home)


def _make_copied_home(folder: Path, instance_folder: Path) -> Path:
    home = copies_of(instance_folder) / folder.name
    home.mkdir(parents=True, exist_ok=True)
    for parent in (COPIES, home.parent):
        parent.chmod(0o755)
    return home


def try_footing(footing: Footing) -> str:
    """Run PostgreSQL's own `--version` and write to the home this way.

    Empty if it works, else what came back.
    """
    try:
        footing.own(footing.home)
        return _trial_run(footing)
    except (OSError, KeyError, subprocess.SubprocessError) as error:
        return str(error)


def _trial_run(footing: Footing) -> str:
    for argv in ([str(footing.binaries / "postgres"), "--version"], ["test", "-w", f"{footing.home}/."]):
        done = subprocess.run(
            [*footing.prefix, *argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd="/",
            timeout=_TRIAL_TIMEOUT_S,
            check=False,
            **footing.popen_options(),
        )
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            return said[-1] if said else f"cannot write to {footing.home}"
    return ""


def copies_of(instance_folder: Path) -> Path:
    """Where copies for an instance are; a function of its folder, so that they are found without a record."""
    return COPIES / hashlib.sha256(os.fsencode(instance_folder)).hexdigest()[:16]


def remove_copies(instance_folder: Path) -> None:
    """Remove what the way `copy` made for an instance, if it made anything."""
    if os.geteuid() == 0 and copies_of(instance_folder).exists():
        shutil.rmtree(copies_of(instance_folder))
        with contextlib.suppress(OSError):  # another instance has copies
            COPIES.rmdir()


def _copy_binaries(binaries: Path, destination: Path) -> Path:
    """Copy an installation with the libraries that its programs look for relative to themselves."""
    installation = binaries.parent
    package = installation.parent
    target = destination / package.name / installation.name
    if not target.exists():
        partial = target.with_name(target.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(installation, partial, symlinks=True)
        libraries = package.with_name(package.name + ".libs")
        if libraries.is_dir():
            shutil.copytree(libraries, destination / libraries.name, symlinks=True, dirs_exist_ok=True)
        partial.rename(target)
    target.parent.chmod(0o755)
    return target / binaries.name
