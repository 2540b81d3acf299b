"""Who may operate the service."""

from __future__ import annotations

import hmac
from typing import Annotated

from fastapi import Header, HTTPException


class AdminGuard:
    """Lets those pass who know the token; without a configured token nobody does."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    async def require(self, x_admin_token: Annotated[str | None, Header()] = None) -> None:
        """Raises HTTPException 403 unless the token is set and given."""
        if self._token is None:
            raise HTTPException(403, "administration is off: ADMIN_TOKEN is not set")
        if x_admin_token is None or not hmac.compare_digest(x_admin_token.encode(), self._token.encode()):
            raise HTTPException(403, "the header X-Admin-Token is missing or wrong")
