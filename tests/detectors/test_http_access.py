"""Getting in: passwords, tokens, certificates, tenants; and that no secret is ever told."""

from __future__ import annotations

import ssl
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from detectors.api_server import ApiServer
from detectors.stack import run
from gameday.detector_settings import Access
from gameday.detectors.http_access import HttpAccess
from gameday.errors import DetectorError, UsageError

SECRET = "s3cr3t-t0ken"


def access(root: Path, url: str, **settings: Any) -> HttpAccess:
    parsed = Access.model_validate({"timeout": "1s", **settings})
    return HttpAccess("Prometheus", url, parsed, root)


def test_basic_bearer_and_tenant_are_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", SECRET)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    (tmp_path / "password").write_text("first\n")

    async def body() -> None:
        async with ApiServer() as server:
            server.paths = {"/x": {}}
            bearer = access(tmp_path, server.url, bearer="${env:TOKEN}", tenant="blue")
            await bearer.get("/x")
            sent = server.requests[-1][1]
            assert sent["authorization"] == f"Bearer {SECRET}"
            assert sent["x-scope-orgid"] == "blue"
            basic = access(tmp_path, server.url, basic={"user": "me", "password": "${file:password}"})
            await basic.get("/x")
            assert server.requests[-1][1]["authorization"] == f"Basic {b64encode(b'me:first').decode()}"
            (tmp_path / "password").write_text("renewed\n")
            await basic.get("/x")
            assert server.requests[-1][1]["authorization"] == f"Basic {b64encode(b'me:renewed').decode()}"
            for each in (bearer, basic):
                await each.close()

    run(body)


@pytest.mark.parametrize("answer", [f'{{"error": "bad token {SECRET}"}}', f"Bearer {SECRET} is wrong"])
def test_a_server_that_quotes_the_secret_does_not_get_it_into_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setenv("TOKEN", SECRET)

    async def body() -> None:
        async with ApiServer() as server:
            server.paths, server.status = {"/x": answer.encode()}, 401
            asked = access(tmp_path, server.url, bearer="${env:TOKEN}")
            with pytest.raises(DetectorError) as caught:
                await asked.get("/x")
            assert "status 401" in str(caught.value)
            assert SECRET not in str(caught.value)
            assert SECRET not in repr(vars(asked))
            await asked.close()

    run(body)


def test_a_redirect_is_not_followed_with_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", SECRET)

    async def body() -> None:
        async with ApiServer() as elsewhere, ApiServer() as server:
            elsewhere.paths = {"/x": {}}
            server.paths, server.status = {"/x": {}}, 307
            server.headers = {"Location": f"{elsewhere.url}/x"}
            asked = access(tmp_path, server.url, bearer="${env:TOKEN}")
            with pytest.raises(DetectorError, match="status 307, a redirect"):
                await asked.get("/x")
            assert elsewhere.requests == []
            await asked.close()

    run(body)


@pytest.mark.parametrize("value", ["", "  ", "two\nlines", "umläut", "bell\a"])
def test_a_secret_that_cannot_be_sent_is_refused_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("TOKEN", value)
    with pytest.raises(UsageError, match="TOKEN is empty or has characters") as caught:
        access(tmp_path, "http://127.0.0.1:1", bearer="${env:TOKEN}")
    assert not value.strip() or value not in str(caught.value)


@pytest.mark.parametrize(
    ("reference", "said"),
    [("${env:NOT_SET_AT_ALL}", "NOT_SET_AT_ALL is not set"), ("${file:absent}", "No such file")],
)
def test_a_secret_that_is_not_there_is_a_usage_error(tmp_path: Path, reference: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        access(tmp_path, "http://127.0.0.1:1", bearer=reference)


def test_a_secret_in_the_file_itself_is_refused_without_repeating_it() -> None:
    with pytest.raises(ValueError, match="never stands in this file") as caught:
        Access.model_validate({"bearer": SECRET})
    told = caught.value.errors(include_input=False)[0]["msg"]  # type: ignore[attr-defined]
    assert SECRET not in told


def _certificate(folder: Path, name: str, *issuer: str) -> None:
    """A key and a certificate for 127.0.0.1, signed by `issuer` or by itself."""
    signed = ["-CA", f"{issuer[0]}.pem", "-CAkey", f"{issuer[0]}.key"] if issuer else []
    extensions = "subjectAltName=IP:127.0.0.1"
    usage = [] if issuer else ["-addext", "basicConstraints=critical,CA:TRUE"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}", "-days", "2"]
    command += ["-addext", extensions, *usage, *signed]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def test_only_the_named_authority_is_trusted_and_the_client_shows_its_certificate(tmp_path: Path) -> None:
    _certificate(tmp_path, "ca")
    _certificate(tmp_path, "server", "ca")
    _certificate(tmp_path, "client", "ca")
    _certificate(tmp_path, "stranger")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    context.load_verify_locations(tmp_path / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # so that a missing certificate fails in the handshake

    async def body() -> None:
        async with ApiServer(context) as server:
            server.paths = {"/x": {"fine": True}}
            known = access(tmp_path, server.url, ca="ca.pem", certificate="client.pem", key="client.key")
            assert (await known.get("/x")).value == {"fine": True}
            nobody = access(tmp_path, server.url, ca="ca.pem")
            with pytest.raises(DetectorError, match=r"TLS failed|no answer"):
                await nobody.get("/x")
            astray = access(tmp_path, server.url, ca="stranger.pem")
            with pytest.raises(DetectorError, match="certificate is not trusted"):
                await astray.get("/x")
            for each in (known, nobody, astray):
                await each.close()

    run(body)


def test_files_that_are_no_certificates_are_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "junk.pem").write_text("junk")
    with pytest.raises(UsageError, match=r"the certificates in junk\.pem"):
        access(tmp_path, "https://127.0.0.1:1", ca="junk.pem")
    with pytest.raises(UsageError, match=r"the client certificate in junk\.pem"):
        access(tmp_path, "https://127.0.0.1:1", certificate="junk.pem")
