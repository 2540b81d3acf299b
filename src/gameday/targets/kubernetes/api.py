"""The API server as the dead-man switch asks it from its pod: the few requests that watching takes, without the client,
whose import takes longer than all else."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TIMEOUT_S = 5.0
_ENDS_LATE_S = 3.0
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"


class Away(Exception):
    """The API server does not answer, or not us; in words."""


class Changed(Exception):
    """The object is not as it was seen, or is there already."""


class Api:
    """One namespace, by the pod's service account."""

    def __init__(self, host: str, port: int, namespace: str, account: Path = _ACCOUNT) -> None:
        self._host, self._port = host, port
        self._token = account / "token"
        self._trust = ssl.create_default_context(cafile=str(account / "ca.crt"))
        self._connection: http.client.HTTPSConnection | None = None
        self._leases = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._maps = f"/api/v1/namespaces/{namespace}/configmaps"
        self._namespace = namespace
        self._jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"

    @classmethod
    def of_pod(cls) -> Api:
        namespace = (_ACCOUNT / "namespace").read_text(encoding="ascii").strip()
        port = int(os.environ["KUBERNETES_SERVICE_PORT"])
        return cls(os.environ["KUBERNETES_SERVICE_HOST"], port, namespace)

    def lease(self, name: str) -> dict[str, Any] | None:
        return self._ask("GET", f"{self._leases}/{name}")

    def create_lease(self, body: Mapping[str, Any]) -> dict[str, Any] | None:
        return self._ask("POST", self._leases, body)

    def patch_lease(self, name: str, body: object, kind: str = MERGE_PATCH) -> dict[str, Any] | None:
        return self._ask("PATCH", f"{self._leases}/{name}", body, kind)

    def delete_lease(self, name: str, version: str) -> None:
        self._ask("DELETE", f"{self._leases}/{name}", {"preconditions": {"resourceVersion": version}})

    def config_map(self, name: str) -> dict[str, Any] | None:
        return self._ask("GET", f"{self._maps}/{name}")

    def patch_config_map(self, name: str, body: object) -> None:
        self._ask("PATCH", f"{self._maps}/{name}", body, MERGE_PATCH)

    def delete_config_map(self, name: str) -> None:
        self._ask("DELETE", f"{self._maps}/{name}")

    def delete_job(self, name: str) -> None:
        """With its pods."""
        self._ask("DELETE", f"{self._jobs}/{name}", {"propagationPolicy": "Background"})

    def allowed(self, group: str, resource: str, verb: str) -> bool:
        """Whether this pod's account may do that; in its namespace, unless there is none that it could be in."""
        kind, _, part = resource.partition("/")
        wanted = {"group": group, "resource": kind, "subresource": part, "verb": verb}
        if resource != "nodes":
            wanted["namespace"] = self._namespace
        body = {"spec": {"resourceAttributes": wanted}}
        answer = self._ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
        return answer is not None and bool(answer["status"]["allowed"])

    def await_change(self, lease: str, version: str, within_s: float) -> None:
        """Until the lease is another than `version`, at most so long: the server itself ends the wait.

        Raises:
            Away: it did not.
        """
        seconds = max(1, round(within_s))
        path = (
            f"{self._leases}?watch=true&timeoutSeconds={seconds}&resourceVersion={quote(version)}"
            f"&fieldSelector=metadata.name%3D{lease}"
        )
        connection = self._connect(seconds + _ENDS_LATE_S)
        try:
            connection.request("GET", path, headers=self._headers())
            answer = connection.getresponse()
            if answer.status >= 400:
                raise Away(f"GET {path}: {answer.status} {_short(answer.read())}")
            answer.readline()
        except (OSError, http.client.HTTPException) as error:
            raise Away(f"GET {path}: {_words(error)}") from error
        finally:
            connection.close()

    def _ask(
        self, method: str, path: str, body: object = None, kind: str = "application/json"
    ) -> dict[str, Any] | None:
        """What it answered; None where there is no such object."""
        content = None if body is None else json.dumps(body).encode()
        headers = self._headers() | ({} if content is None else {"Content-Type": kind})
        if self._connection is None:
            self._connection = self._connect(_TIMEOUT_S)
        try:
            self._connection.request(method, path, body=content, headers=headers)
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            with contextlib.suppress(OSError):
                self._connection.close()
            self._connection = None
            raise Away(f"{method} {path}: {_words(error)}") from error
        if answer.status == 404:
            return None
        if answer.status in (409, 422):
            raise Changed(f"{method} {path}: {_short(text)}")
        if answer.status >= 400:
            raise Away(f"{method} {path}: {answer.status} {_short(text)}")
        found = json.loads(text)
        return found if isinstance(found, dict) else {}

    def _connect(self, timeout_s: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self._host, self._port, timeout=timeout_s, context=self._trust)

    def _headers(self) -> dict[str, str]:
        token = self._token.read_text(encoding="ascii").strip()  # it is replaced before it expires
        return {"Authorization": f"Bearer {token}", "Accept": "application/json"}


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _short(text: bytes) -> str:
    try:
        return str(json.loads(text)["message"])[:300]
    except (ValueError, KeyError, TypeError):
        return text[:300].decode(errors="replace")
