"""Asking a server of a monitoring stack: bounded in time and size, and without a word of any secret.

Whatever goes wrong becomes a DetectorError in words of our own. The libraries' messages are never passed on, since
a header that cannot be sent, a token in it, is quoted in them.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gameday.clock import Instant
from gameday.errors import DetectorError, UsageError

if TYPE_CHECKING:
    import httpx

    from gameday.detector_settings import Access

MAX_BYTES = 8 * 1024 * 1024
_MAX_SECRET_BYTES = 16 * 1024
_TOLD = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said. It was said between `sent` and `received`; `date_s` is the server's own clock (UTC)."""

    value: Any
    sent: Instant
    received: Instant
    date_s: float | None


def no_secret(name: str) -> str:
    """For a target that makes no secrets by chance."""
    raise UsageError(
        f"${{secret:{name}}}: this target makes no secrets; expected ${{env:NAME}} or ${{file:PATH}}"
    )


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is. Its value is read when it is needed and shown nowhere."""

    reference: str
    root: Path
    what: str
    _value: str | None = field(default=None, repr=False)
    """What does not change while the drill runs; None for a file."""

    @classmethod
    def at(cls, reference: str, root: Path, what: str, made: Callable[[str], str] = no_secret) -> Secret:
        """`made` tells the secrets that a target made by chance.

        Raises:
            UsageError: there is none, or one that cannot be sent.
        """
        kind, _, where = reference[2:-1].partition(":")
        value = os.environ.get(where) if kind == "env" else made(where) if kind == "secret" else None
        if kind == "env" and value is None:
            raise UsageError(f"environment variable {where} is not set; {what} needs it")
        secret = cls(reference, root, what, value)
        secret.read()
        return secret

    def read(self) -> str:
        """The secret now: a file may have been renewed. Raises UsageError."""
        kind, _, where = self.reference[2:-1].partition(":")
        value = self._value
        if value is None:
            try:
                with (self.root / where).open("rb") as file:
                    value = file.read(_MAX_SECRET_BYTES).decode("ascii")
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is not plain text"
                raise UsageError(f"{self.what} needs the secret in {where}: {reason}") from None
        value = value.strip()
        if not value or not value.isascii() or not value.isprintable():
            what = {"env": f"environment variable {where}", "secret": f"secret {where}"}.get(kind, where)
            raise UsageError(f"{self.what}: {what} is empty or has characters that cannot be sent")
        return value


class HttpAccess:
    """One server, and how to get in."""

    def __init__(
        self, what: str, url: str, access: Access, root: Path, made: Callable[[str], str] = no_secret
    ) -> None:
        """`what` is how errors call it, such as `Prometheus`; `made` tells a target's secrets. Nothing is contacted.

        Raises:
            UsageError: a secret or a file of `access` is not there, or is none.
        """
        import httpx

        self.what, self.timeout_s = what, access.timeout
        parts = urlsplit(url)
        self.public_url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
        self.manner = "basic" if access.basic else "bearer" if access.bearer else "none"
        self._user, secret = None, access.bearer
        if access.basic is not None:
            self._user, secret = access.basic.user, access.basic.password
        field_name = f"detector access of {what}"
        self._secret = Secret.at(secret, root, field_name, made) if secret is not None else None
        self._headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if access.tenant is not None:
            if not access.tenant.isascii() or not access.tenant.isprintable():
                raise UsageError(f"{field_name}: the tenant has characters that cannot be sent")
            self._headers["X-Scope-OrgID"] = access.tenant
        self._client = httpx.AsyncClient(
            headers={"User-Agent": "gameday-detector"},
            timeout=access.timeout,
            verify=_trust(access, root, field_name) if parts.scheme == "https" else False,
            follow_redirects=False,  # a redirect would carry credentials to a place that nobody named
            trust_env=False,  # a proxy of the surroundings would be between the drill and its evidence
            limits=httpx.Limits(max_connections=8, keepalive_expiry=60.0),
        )

    async def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Answer:
        """One JSON document, whole within the time-out.

        Raises:
            DetectorError: anything else; the message names the server, what was asked and what came back.
        """
        import httpx

        asked = f"{self.what} at {self.public_url}: GET {path}"
        try:
            headers = self._headers | self._authorization()
            async with asyncio.timeout(self.timeout_s):
                try:
                    return await self._get(asked, path, parameters, headers)
                except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                    # an idle connection that was closed just as it was used again says nothing
                    return await self._get(asked, path, parameters, headers)
        except (TimeoutError, httpx.TimeoutException):
            raise DetectorError(f"{asked}: no whole answer within {self.timeout_s:g} s") from None
        except UsageError as error:
            raise DetectorError(str(error)) from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise DetectorError(f"{asked}: {_reason(error)}") from None

    async def close(self) -> None:
        await self._client.aclose()

    async def _get(
        self, asked: str, path: str, parameters: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> Answer:
        sent = Instant.now()
        request = self._client.stream("GET", self.public_url + path, params=parameters, headers=headers)
        async with request as response:
            received = Instant.now()
            status = response.status_code
            if status // 100 == 3:
                raise DetectorError(
                    f"{asked}: status {status}, a redirect, which is not followed; name the final URL"
                )
            if response.headers.get("content-encoding", "identity") != "identity":
                raise DetectorError(f"{asked}: a compressed answer, which was not asked for")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise DetectorError(f"{asked}: an answer of more than {MAX_BYTES} bytes")
        if status != 200:
            said = self._harmless(bytes(body[:4096]).decode(errors="replace"), headers)
            raise DetectorError(f"{asked}: status {status}{_hint(status)}" + (f": {said}" if said else ""))
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            raise DetectorError(f"{asked}: the answer is not JSON") from None
        return Answer(value, sent, received, _date(response))

    def _authorization(self) -> dict[str, str]:
        if self._secret is None:
            return {}
        value = self._secret.read()
        if self._user is None:
            return {"Authorization": f"Bearer {value}"}
        pair = base64.b64encode(f"{self._user}:{value}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}

    def _harmless(self, text: str, headers: Mapping[str, str]) -> str:
        """One line of what the server said; a server that quotes the request says nothing."""
        sent = headers.get("Authorization", "").partition(" ")[2]
        secret = self._secret.read() if self._secret is not None else ""
        if (sent and sent in text) or (secret and secret in text):
            return "(an answer that quotes the secret)"
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            document = text
        said = document.get("error", "") if isinstance(document, dict) else document
        line = " ".join(str(said).split())
        return "".join(char if char.isprintable() else "?" for char in line)[:_TOLD]


def _trust(access: Access, root: Path, what: str) -> ssl.SSLContext:
    step = f"the certificates in {access.ca}"
    try:
        context = ssl.create_default_context(cafile=root / access.ca if access.ca is not None else None)
        if access.certificate is not None:
            step = f"the client certificate in {access.certificate}"
            key = root / access.key if access.key is not None else None
            # a key that is encrypted would ask on the terminal, in the middle of a drill
            context.load_cert_chain(root / access.certificate, key, password=lambda: b"")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not usable"
        raise UsageError(f"{what}: {step}: {reason}") from None
    return context


def _reason(error: Exception) -> str:
    """The cause in the system's words, which quote nothing that was sent."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {cause.reason or 'no reason given'}"
        if isinstance(cause, OSError) and cause.errno is not None:
            text = os.strerror(cause.errno) if cause.errno > 0 else "the name cannot be resolved"
            return f"no answer: {text}"
        cause = cause.__cause__ or cause.__context__
    return f"no answer: {type(error).__name__}"


def _hint(status: int) -> str:
    return {401: " (who asks is not known)", 403: " (not allowed)", 404: " (no such API there)"}.get(
        status, ""
    )


def _date(response: httpx.Response) -> float | None:
    try:
        return parsedate_to_datetime(response.headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
