"""Field types that scenario, environment and runbook files share, and pydantic errors in our own words."""

from __future__ import annotations

import difflib
import re
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
from gameday.files import Document, Location

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d|w))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$"


def parse_duration_s(text: object) -> float:
    """Seconds of `100ms`, `90s`, `15m`, `1h30m`. Numbers without a unit are refused: 15 could be anything."""
    if isinstance(text, str) and _DURATION.fullmatch(text):
        return sum(float(number) * _UNITS_S[unit] for number, unit in _DURATION_PART.findall(text))
    raise ValueError(
        f"{text!r} is not a duration; expected a number with a unit such as 100ms, 30s, 15m or 1h30m"
    )


def format_duration(seconds: float) -> str:
    """The shortest way to write a duration: 900 as `15m`, 5400 as `1h30m`, 0.1 as `100ms`."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:.6g}ms"
    if seconds != int(seconds):
        return f"{seconds:.6g}s"
    hours, rest = divmod(int(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return "".join(f"{n}{unit}" for n, unit in ((hours, "h"), (minutes, "m"), (left, "s")) if n) or "0s"


def _duration(value: object) -> float:
    # a float comes only from our own code (`model_copy`, tests); files give text
    return value if isinstance(value, float) else parse_duration_s(value)


def _positive(value: object) -> float:
    seconds = _duration(value)
    if seconds <= 0:
        raise ValueError(f"{value!r} is not longer than zero")
    return seconds


_DURATION_SCHEMA = {
    "type": "string",
    "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d|w))+$",
    "examples": ["100ms", "30s", "15m", "1h30m"],
    "description": "A duration: a number with a unit (ms, s, m, h, d, w).",
}

_AS_TEXT = PlainSerializer(format_duration, return_type=str, when_used="json")
Duration = Annotated[float, BeforeValidator(_duration), WithJsonSchema(_DURATION_SCHEMA), _AS_TEXT]
PositiveDuration = Annotated[float, BeforeValidator(_positive), WithJsonSchema(_DURATION_SCHEMA), _AS_TEXT]
Name = Annotated[str, Field(pattern=NAME_PATTERN, description="Lower-case letters, digits and hyphens.")]
AlertName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,127}$")]
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
            what = " and ".join(found) or (
                ", ".join(map(str, value)) if isinstance(value, dict) else repr(value)
            )
            raise ValueError(f"expected exactly one of {', '.join(self.verbs)}; found {what or 'nothing'}")
        return value


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
        InvalidFile: with one problem for each field that is wrong: file, line, field, what would be right.
    """
    if not isinstance(document.value, dict):
        kind = type(document.value).__name__
        raise InvalidFile([document.problem((), f"expected a mapping of fields, found {kind}")])
    try:
        return parse(model, document.value)
    except ValidationError as error:
        raise InvalidFile([_problem(model, document, details) for details in error.errors()]) from error


def _problem(model: type[BaseModel], document: Document, details: Any) -> Problem:
    location = _present(document.value, details["loc"])
    return document.problem(location, _message(model, document, location, details))


def _present(value: Any, loc: Location) -> Location:
    """`loc` without the names that pydantic adds for unions: only keys and indexes that the file can have."""
    result: list[str | int] = []
    for position, part in enumerate(loc):
        last = position == len(loc) - 1
        if isinstance(value, dict) and (part in value or last):
            result.append(part)
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            result.append(part)
            value = value[part]
    return tuple(result)


def _message(model: type[BaseModel], document: Document, location: Location, details: Any) -> str:
    kind, context = details["type"], details.get("ctx", {})
    given = details.get("input")
    if kind == "extra_forbidden":
        return _unknown_field(_known_fields(model, details["loc"][:-1]), str(location[-1]))
    simple = {
        "missing": "is required and absent",
        "string_type": f"expected text, found {given!r}",
        "int_type": f"expected a whole number, found {given!r}",
        "int_parsing": f"expected a whole number, found {given!r}",
        "int_from_float": f"expected a whole number, found {given!r}",
        "bool_type": f"expected true or false, found {given!r}",
        "bool_parsing": f"expected true or false, found {given!r}",
        "tuple_type": f"expected a list, found {given!r}",
        "list_type": f"expected a list, found {given!r}",
        "dict_type": f"expected a mapping of names, found {given!r}",
        "model_type": f"expected a mapping of fields, found {given!r}",
        "string_too_short": "must not be empty",
        "too_short": "must have at least one entry",
    }
    if kind in simple:
        return simple[kind]
    if kind == "literal_error":
        return f"{given!r} is not allowed; expected {context['expected']}"
    if kind == "string_pattern_mismatch" and context["pattern"] == NAME_PATTERN:
        return (
            f"{given!r} is not a name; expected lower-case letters, digits and hyphens, such as database-down"
        )
    message = str(details["msg"])
    return message.removeprefix("Value error, ")


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
