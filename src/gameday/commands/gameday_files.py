"""A game day's files, read and checked together, and the folders of the game days that took place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gameday.drill import Request
from gameday.environment import Environment
from gameday.errors import InvalidFile, UsageError
from gameday.gamedays.log import FILE, read_log
from gameday.gamedays.model import GameDay, load_game_day
from gameday.gamedays.state import State, fold
from gameday.project import Project
from gameday.runbook.manual import Prepared
from gameday.runbook.model import Runbook, key
from gameday.runbook.parse import load_runbook
from gameday.scenario import Scenario

FOLDER = "gamedays"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A game day with all that it names. Scenarios as written, by name."""

    project: Project
    path: Path
    day: GameDay
    environment: Environment
    instance: str
    speed: float
    requests: dict[str, Request]
    runbooks: dict[str, Runbook | None]

    @property
    def drills(self) -> dict[str, tuple[Scenario, Runbook | None]]:
        return {name: (request.scenario, self.runbooks[name]) for name, request in self.requests.items()}


def load(project: Project, reference: str, environment: str | None = None, speed: float = 1.0) -> Loaded:
    """Read everything that the game day names; nothing is contacted.

    Raises:
        InvalidFile, UsageError: with every problem of every file.
    """
    path = project.game_day_file(reference)
    day = load_game_day(path)
    requests: dict[str, Request] = {}
    runbooks: dict[str, Runbook | None] = {}
    problems: list[str] = []
    for name in day.scenarios:
        try:
            request = Request.load(project, name, environment or day.environment, speed)
            runbook = request.scenario.runbook
            runbooks[name] = load_runbook(project.runbook_file(runbook)) if runbook else None
            requests[name] = request
        except (InvalidFile, UsageError) as error:
            problems += [line for line in str(error).splitlines() if line not in problems]
    if problems:
        raise UsageError("\n".join([*problems, "nothing was touched"]))
    first = next(iter(requests.values()))
    return Loaded(project, path, day, first.environment, first.instance, speed, requests, runbooks)


def prepared_answers(loaded: Loaded) -> dict[str, Prepared]:
    """The file's answers to manual steps, by the heading of the step, for a game day without people.

    Raises:
        UsageError: a question that nobody has answered in the file, or an answer to what nobody asks.
    """
    day = loaded.day
    asked = {
        key(step.heading): step.heading
        for runbook in loaded.runbooks.values()
        if runbook is not None
        for step in runbook.manual_steps
    }
    given = {key(heading): answer for heading, answer in day.answers.steps.items()}
    problems = [
        f"answers.checklist.{one.question}: is required and absent: nobody is there to say yes or no ({one.ask})"
        for one in day.checklist
        if one.question not in day.answers.checklist
    ]
    problems += [
        f"answers.steps: manual step {heading!r} has no answer there"
        for name, heading in asked.items()
        if name not in given
    ]
    problems += [
        f"answers.steps.{heading}: no runbook of this game day asks that; they ask: "
        f"{', '.join(asked.values()) or 'nothing'}"
        for heading in day.answers.steps
        if key(heading) not in asked
    ]
    if problems:
        raise UsageError("\n".join(f"{loaded.path}: {problem}" for problem in problems))
    answers = {}
    for name, answer in given.items():
        words, after_s = (answer, 0.0) if isinstance(answer, str | bool) else (answer.answer, answer.after)
        answers[asked[name]] = Prepared(spoken(words), after_s)
    return answers


def spoken(answer: str | bool) -> str:
    """YAML's `yes` and `no`, which arrive as booleans, in words."""
    return ("no", "yes")[answer] if isinstance(answer, bool) else answer


# --- folders ------------------------------------------------------------------------------------------------


def new_folder(project: Project, name: str) -> Path:
    """`reports/gamedays/<utc>-<name>`, made.

    Raises:
        UsageError: it cannot be.
    """
    parent = project.reports / FOLDER
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{name}"
    for number in range(1, 100):
        folder = parent / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise UsageError(f"cannot write reports to {folder}: {error}") from error
        return folder
    raise UsageError(f"cannot find a free name like {stamp} in {parent}")


def folders(project: Project) -> list[Path]:
    """Of all game days, oldest first. One whose first entry was never written is none."""
    found = sorted(path.parent for path in (project.reports / FOLDER).glob(f"*/{FILE}"))
    return [folder for folder in found if (folder / FILE).read_bytes().find(b"\n") >= 0]


def find_folder(project: Project, reference: str | None) -> Path:
    """What a reference means: a folder, a game day's name (its newest), or nothing (the newest of all).

    Raises:
        UsageError: there is none.
    """
    if reference is not None and (Path(reference) / FILE).exists():
        return Path(reference)
    known = folders(project)
    if reference is not None:
        known = [
            folder
            for folder in known
            if folder.name == reference or state_of(folder).started.game_day == reference
        ]
    if not known:
        which = "no game day" if reference is None else f"no game day {reference!r}"
        raise UsageError(
            f"{which} took place yet, says {project.reports / FOLDER}; `gameday gameday run` begins one"
        )
    return known[-1]


def unfinished(project: Project, name: str) -> Path | None:
    """The newest game day of that name, if something of it is left to be run."""
    for folder in reversed(folders(project)):
        state = state_of(folder)
        if state.started.game_day == name:
            return None if state.over else folder
    return None


def state_of(folder: Path) -> State:
    """Raises InvalidFile."""
    return fold(read_log(folder))
