"""Requests to an API server are counted by what they are about, however it is reached."""

from __future__ import annotations

import pytest

from gameday.targets.kubernetes.cluster import kind_of


@pytest.mark.parametrize(("path", "resource"), [
    ("/api/v1/namespaces/hotel/pods", "pods"),
    ("/api/v1/namespaces/hotel/pods/api-1/log?tailLines=5", "pods/log"),
    ("/api/v1/namespaces/hotel", "namespaces"),
    ("/api/v1/nodes/one", "nodes"),
    ("/apis/apps/v1/namespaces/hotel/deployments/api", "deployments"),
    ("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "selfsubjectaccessreviews"),
    ("/k8s/clusters/c-1/api/v1/namespaces/hotel/services/api", "services"),
    ("/version", "version"),
])  # fmt: skip
def test_a_request_is_counted_without_the_names_in_it(path: str, resource: str) -> None:
    assert kind_of("GET", f"https://cluster.example:6443{path}") == ("GET", resource)
