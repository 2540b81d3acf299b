"""Field types that scenario, environment and runbook files share, and pydantic errors in our own words."""

from __future__ import annotations

import difflib
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
)

from gameday.errors import InvalidFile, Problem
from gameday.files import Document, Location, dotted, load_yaml

_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d|w))+")
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)")
MAX_DURATION_S = 366 * 86_400.0
NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$"
ALERT_PATTERN = r"^[A-Za-z_][A-Za-z0-9_.-]{0,127}$"
PATH_PATTERN = r"^/"
REQUEST_PATTERN = r"^(GET|POST|PUT|PATCH|DELETE|HEAD) /"
_RIGHT = {
    NAME_PATTERN: "is not a name; expected lower-case letters, digits and hyphens, such as database-down",
    ALERT_PATTERN: "is not the name of an alert; expected letters, digits, '_', '.' and '-', such as api_down",
    PATH_PATTERN: "is not a path; expected one that begins with '/', such as /health",
    REQUEST_PATTERN: "is not a request; expected GET, POST, PUT, PATCH, DELETE or HEAD and a path, such as GET /health",
}


def parse_duration_s(text: object) -> float:
    """Seconds of `100ms`, `90s`, `15m`, `1h30m`. Numbers without a unit are refused: 15 could be anything."""
    if not isinstance(text, str) or not _DURATION.fullmatch(text):
        raise ValueError(
            f"{shown(text)} is not a duration; expected a number with a unit such as 100ms, 30s, 15m or 1h30m"
        )
    parts = _DURATION_PART.findall(text)
    seconds = float(sum((Decimal(number) * _UNITS_MS[unit] for number, unit in parts), Decimal(0)) / 1000)
    if seconds > MAX_DURATION_S:
        raise ValueError(f"{shown(text)} is longer than a year")
    return seconds


def format_duration(seconds: float) -> str:
    """The shortest way to write a duration: 900 as `15m`, 5400 as `1h30m`, 0.1 as `100ms`."""
    if seconds < 0:
        return f"-{format_duration(-seconds)}"
    if 0 < seconds < 1:
        return f"{_without_exponent(seconds * 1000)}ms"
    if seconds != int(seconds):
        return f"{_without_exponent(seconds)}s"
    hours, rest = divmod(int(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return "".join(f"{n}{unit}" for n, unit in ((hours, "h"), (minutes, "m"), (left, "s")) if n) or "0s"


def _without_exponent(number: float) -> str:
    return f"{Decimal(f'{number:.6g}'):f}"


def exact_duration(seconds: float) -> str:
    """Like `format_duration`, but never rounded: for files that are read again."""
    short = format_duration(seconds)
    return short if parse_duration_s(short) == seconds else f"{Decimal(repr(seconds)):f}s"


def shown(value: object) -> str:
    """What a field holds, in the words of the file, and never longer than a line."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, dict):
        return "a mapping"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _positive(value: object) -> float:
    seconds = parse_duration_s(value)
    if seconds <= 0:
        raise ValueError(f"{shown(value)} is not longer than zero")
    return seconds


_DURATION_SCHEMA = {
    "type": "string",
    "pattern": r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d|w))+$",
    "examples": ["100ms", "30s", "15m", "1h30m"],
    "description": "A duration: a number with a unit (ms, s, m, h, d, w).",
}

_SIZE = re.compile(r"([0-9]+)(B|kB|MB|GB|KiB|MiB|GiB)")
_SIZE_UNITS = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_SIZE_SCHEMA = {
    "anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^[0-9]+(B|kB|MB|GB|KiB|MiB|GiB)$"}],
    "examples": ["64MiB", 65536],
    "description": "Bytes: a whole number, or one with a unit (B, kB, MB, GB, KiB, MiB, GiB).",
}


def parse_size(value: object) -> int:
    """Bytes of `64MiB`, `2GB` or a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(
            f"{shown(value)} is not a size; expected bytes, or a number with a unit such as 64MiB"
        )
    return int(match.group(1)) * _SIZE_UNITS[match.group(2)]


_AS_TEXT = PlainSerializer(exact_duration, return_type=str, when_used="json")
Duration = Annotated[float, BeforeValidator(parse_duration_s), WithJsonSchema(_DURATION_SCHEMA), _AS_TEXT]
PositiveDuration = Annotated[float, BeforeValidator(_positive), WithJsonSchema(_DURATION_SCHEMA), _AS_TEXT]
Size = Annotated[int, BeforeValidator(parse_size), WithJsonSchema(_SIZE_SCHEMA)]
Name = Annotated[str, Field(pattern=NAME_PATTERN, description="Lower-case letters, digits and hyphens.")]
AlertName = Annotated[str, Field(pattern=ALERT_PATTERN)]
Text = Annotated[str, Field(min_length=1, max_length=2000)]


class Model(BaseModel):
    """Base of all values parsed from files: frozen, no unknown fields, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class ByVerb:
    """Tells which of several models a mapping is: by the one field, its `verb`, that only this model has.

    Use both parts on a union whose members are tagged with their class names: the check gives the error that a
    discriminator must not raise, and a tag equal to a field's name would be taken for that field.
    """

    def __init__(self, *kinds: type[BaseModel]) -> None:
        self.verbs = {str(kind.verb): kind.__name__ for kind in kinds}  # type: ignore[attr-defined]
        self._fields = {name for kind in kinds for name in kind.model_fields}
        self.discriminator = Discriminator(self._tag)
        self.exactly_one = BeforeValidator(self._check)

    def _tag(self, value: Any) -> str | None:
        if isinstance(value, BaseModel):
            return type(value).__name__
        return next((name for verb, name in self.verbs.items() if verb in value), None)

    def _check(self, value: Any) -> Any:
        if isinstance(value, BaseModel):
            return value
        found = [verb for verb in self.verbs if isinstance(value, dict) and verb in value]
        if len(found) != 1:
            raise ValueError(
                f"expected exactly one of {', '.join(self.verbs)}; found {self._instead(found, value)}"
            )
        return value

    def _instead(self, found: list[str], value: Any) -> str:
        """The verbs that stand there, or what may have been meant as one."""
        if found or not isinstance(value, dict):
            return " and ".join(found) or shown(value)
        strange = [name for name in value if name not in self._fields]
        return ", ".join(strange or value) or "nothing"


class Misfit(ValueError):
    """Fields that are right alone and wrong together, for validators of whole models.

    Each problem is a location, relative to the model, and what would be right there.
    """

    def __init__(self, *problems: tuple[Location, str]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{dotted(location)}: {message}" for location, message in problems))


ModelT = TypeVar("ModelT", bound=BaseModel)


def parse(model: type[ModelT], value: Any) -> ModelT:
    """Plain data as a value of `model`, for documents that gameday wrote itself (see `validate` for files).

    Raises:
        pydantic.ValidationError
    """
    return model.model_validate(_frozen(value))


def _frozen(value: Any) -> Any:
    """Lists as tuples: strict models take nothing else, and in files everything else stays strict."""
    if isinstance(value, list):
        return tuple(_frozen(inner) for inner in value)
    if isinstance(value, dict):
        return {key: _frozen(inner) for key, inner in value.items()}
    return value


def validate(model: type[ModelT], document: Document) -> ModelT:
    """The document as a value of `model`.

    Raises:
        InvalidFile: with one problem for each field that is wrong, in the order of the file: file, line, field,
            what would be right.
    """
    if not isinstance(document.value, dict):
        raise InvalidFile(
            [document.problem((), f"expected a mapping of fields, found {shown(document.value)}")]
        )
    try:
        return parse(model, document.value)
    except ValidationError as error:
        problems = [problem for details in error.errors() for problem in _problems(model, document, details)]
        raise InvalidFile(sorted(problems, key=lambda problem: problem.line)) from error


def load_named(model: type[ModelT], path: Path, field: str) -> ModelT:
    """A file as a value of `model`, whose `field` says the file's own name.

    Raises:
        InvalidFile: with file, line and field of every problem.
    """
    document = load_yaml(path)
    found = validate(model, document)
    name = getattr(found, field)
    if name != path.stem:
        message = f"is {name!r} in a file named {path.name}; expected {path.stem!r}"
        raise InvalidFile([document.problem((field,), message)])
    return found


def _problems(model: type[BaseModel], document: Document, details: Any) -> list[Problem]:
    kind, context, loc = details["type"], details.get("ctx", {}), details["loc"]
    location = _present(document.value, loc)
    if isinstance(context.get("error"), Misfit):
        location = location[: len(location) - _tags(document.value, location)]
        return [document.problem(location + inner, message) for inner, message in context["error"].problems]
    if kind == "too_short" and details["input"]:
        return []  # it has entries; what is wrong with them is said where they stand
    if kind.startswith("union_tag"):
        location += (context["discriminator"].strip("'"),)
    return [document.problem(location, _message(model, location, details))]


def _present(value: Any, loc: Location) -> Location:
    """`loc` without the names that pydantic adds for unions: only keys and indexes that the file can have."""
    result: list[str | int] = []
    for position, part in enumerate(loc):
        last = position == len(loc) - 1
        named = isinstance(part, str)  # an index into one mapping that may also be a list of them is none
        if isinstance(value, dict) and (part in value or (last and named and part != "[key]")):
            result.append(part)
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            result.append(part)
            value = value[part]
    return tuple(result)


def _tags(value: Any, location: Location) -> int:
    """1 where `location` ends with the tag of a union, which no file has; a whole model has no absent last part."""
    for part in location[:-1]:
        value = value[part]
    return int(isinstance(value, dict) and bool(location) and location[-1] not in value)


def _message(model: type[BaseModel], location: Location, details: Any) -> str:
    kind, context = details["type"], details.get("ctx", {})
    given = details.get("input")
    if kind == "extra_forbidden":
        return _unknown_field(_known_fields(model, details["loc"][:-1]), str(location[-1]))
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, found {shown(given)}"
    if kind in _BOUNDS:
        words, name = _BOUNDS[kind]
        if isinstance(given, float):  # the only fractions in files are durations
            return f"expected {words} {exact_duration(context[name])}, found {exact_duration(given)}"
        return f"expected {words} {context[name]}, found {shown(given)}"
    if kind in _PLAIN:
        return _PLAIN[kind]
    match kind:
        case "string_too_long":
            return f"expected at most {context['max_length']} characters, found {len(str(given))}"
        case "too_long":
            return f"expected at most {context['max_length']} entries, found {context['actual_length']}"
        case "literal_error":
            return f"{shown(given)} is not allowed; expected {context['expected']}"
        case "union_tag_invalid":
            expected = context["expected_tags"].replace(", ", " or ")
            return f"{context['tag']!r} is not allowed; expected {expected}"
        case "string_pattern_mismatch" if context["pattern"] in _RIGHT:
            return f"{shown(given)} {_RIGHT[context['pattern']]}"
    return str(details["msg"]).removeprefix("Value error, ")


_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping of names",
    "model_type": "a mapping of fields",
    "model_attributes_type": "a mapping of fields",
}
_PLAIN = {
    "missing": "is required and absent",
    "union_tag_not_found": "is required and absent",
    "string_too_short": "must not be empty",
    "too_short": "must have at least one entry",
}
_BOUNDS = {"greater_than_equal": ("at least", "ge"), "less_than_equal": ("at most", "le")}


def _unknown_field(known: list[str], given: str) -> str:
    close = difflib.get_close_matches(given, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown field; {hint}known here: {', '.join(known)}"


def _known_fields(model: type[BaseModel], loc: Location) -> list[str]:
    """Field names of the model that `loc` leads to, for the hint about an unknown field."""
    current: list[type[BaseModel]] = [model]
    for part in loc:
        following: list[type[BaseModel]] = []
        for kind in current:
            if isinstance(part, str) and part in kind.model_fields:
                following += _models(kind.model_fields[part].annotation)
            elif kind.__name__ == part:
                following.append(kind)
        current = following or current
    names = [name for kind in current for name in kind.model_fields]
    return list(dict.fromkeys(names))


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]
