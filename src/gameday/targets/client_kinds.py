"""What strange clients trouble, told by the scheme of a component's URL: for targets whose components are anything."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from gameday.component_spec import ContainerComponent, PodComponent
from gameday.errors import TargetError, UsageError
from gameday.targets.base import ClientKind
from gameday.targets.psql import Answer, is_superuser

_SCHEMES: dict[str, tuple[str, ...]] = {"exhaust": ("postgresql", "postgres"), "flush": ("redis", "valkey")}

Spec = ContainerComponent | PodComponent


def scheme(spec: Spec) -> str:
    return urlsplit(spec.url or "http://").scheme


def user_of(url: str) -> str:
    """Empty where it names none."""
    return unquote(urlsplit(url).username or "")


def check_kind(component: str, spec: Spec, kind: ClientKind) -> None:
    """Raises UsageError where this kind of component cannot be troubled so."""
    found, right = scheme(spec), _SCHEMES[kind]
    if found not in right:
        raise UsageError(
            f"{component}: its url begins with {found}://; {kind} troubles what is at a {right[0]}://"
        )
    if spec.port is None:
        raise UsageError(f"{component}: it has no port in the environment, so no client can reach it")


def sessions_of_a_cache(component: str, spec: Spec) -> bool:
    """Whether sessions are ended as at a cache, or else as at a database.

    Raises:
        UsageError: as at neither.
    """
    found = scheme(spec)
    if not any(found in known for known in _SCHEMES.values()):
        raise UsageError(
            f"{component}: its url begins with {found}://; sessions can be ended at a postgresql:// or a redis://"
        )
    return found in _SCHEMES["flush"]


def check_ordinary(component: str, user: str, superuser: str, answer: Answer) -> None:
    """`answer` asks the database as its superuser.

    Raises:
        UsageError: the user is a superuser, who would take the connections that are kept for operators, and lock
            everybody out.
    """
    try:
        found = bool(answer(is_superuser(user)))
    except TargetError:
        found = user == superuser  # else: it gives no answer now, and the client is told, if it is to be
    if found:
        raise UsageError(
            f"{component}: its user {user} is a superuser, who would take the connections that are kept for "
            f"operators; give the url another user"
        )
