"""A province's platform as the demonstration plays it: an OAuth 2.0 client of its own node's REST API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp

__all__ = ["PlatformClient", "PlatformRefusedError"]


class PlatformRefusedError(Exception):
    """The node refused, with a problem document: `code` is the vocabulary's."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(problem.get("code", problem.get("error", "")))
        self.detail = str(problem.get("detail", problem.get("error_description", "")))
        self.title = str(problem.get("title", ""))
        super().__init__(f"{status} {self.code}: {self.detail}")


class PlatformClient:
    """Asks one node. `token` once before anything else."""

    def __init__(self, session: aiohttp.ClientSession, url: str, client_id: str, secret: str) -> None:
        self._session = session
        self._url = url
        self._login = {"Authorization": aiohttp.encode_basic_auth(client_id, secret)}
        self._headers: dict[str, str] = {}

    async def log_in(self) -> None:
        """Get a token by client credentials. Raises PlatformRefusedError."""
        form = {"grant_type": "client_credentials"}
        async with self._session.post(f"{self._url}/oauth/token", data=form, headers=self._login) as answer:
            said = await _read(answer)
        self._headers = {"Authorization": f"Bearer {said['access_token']}"}

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """POST JSON, get JSON. Raises PlatformRefusedError."""
        async with self._session.post(self._url + path, json=body, headers=self._headers) as answer:
            return await _read(answer)

    async def get(self, path: str) -> Any:
        """GET JSON. Raises PlatformRefusedError."""
        async with self._session.get(self._url + path, headers=self._headers) as answer:
            return await _read(answer)

    async def evidence_file(self, request_id: str) -> bytes:
        """The evidence of an exchange that this client asked for. Raises PlatformRefusedError."""
        url = f"{self._url}/v1/evidence/{request_id}?format=file"
        async with self._session.get(url, headers=self._headers) as answer:
            if answer.status != 200:
                await _read(answer)
            return await answer.read()


async def _read(answer: aiohttp.ClientResponse) -> Any:
    said = await answer.json(content_type=None)
    if answer.status >= 400:
        raise PlatformRefusedError(answer.status, said if isinstance(said, dict) else {})
    return said
