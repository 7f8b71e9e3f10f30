"""Independent implementations make of a running anchor and its nodes what we make of them (`make interop`).

npm's @openid-federation/core fetches the statements and resolves the chain, npm's jose verifies every signature;
nothing in `resolve.mjs` knows this project. The file is named on the command line: it needs Node.js, which the other
tests do not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from node.anchor.folder import AnchorFolder
from node.anchor.watch import MemberWatch
from node.clock import SystemClock
from node.connectors.statements import HttpStatementSource
from tests.interop.node_js import ScriptFailed, run_script
from tests.support.federation import RunningNode, make_anchor, make_node, running, serving_anchor
from trust.chain import VerifiedEntity, resolve_chain
from trust.documents import FETCH_PATH, HISTORICAL_KEYS_PATH, RESOLVE_PATH
from trust.entity import configuration_url
from trust.historical import HISTORICAL_KEYS_TYPE
from trust.keys import SigningKey, jwks_of, keys_from_jwks
from trust.profile import NODE_TYPE
from trust.resolution import RESOLVE_RESPONSE_TYPE

pytestmark = pytest.mark.journey

# What @openid-federation/core 0.2.1 knows of our entity types; the others it forgets before the policy.
TYPES_OF_THE_LIBRARY = ("federation_entity", "openid_provider", "openid_relying_party")


@dataclass(frozen=True)
class Scene:
    """An anchor that serves and a node that it took in."""

    anchor: str
    folder: Path
    jwks: dict[str, Any]
    node: RunningNode

    @property
    def entity(self) -> str:
        return f"http://{self.node.at.public}"

    async def resolved_by_others(self, entity: str, jwks: Mapping[str, Any] | None = None) -> dict[str, Any]:
        question = {"entity": entity, "anchor": self.anchor, "jwks": jwks or self.jwks}
        return await run_script("resolve.mjs", question)

    async def resolved_by_us(self, path: Sequence[str]) -> VerifiedEntity:
        """`path` leads from the entity to the anchor."""
        statements = [await self.text(configuration_url(path[0]))]
        for subject, superior in pairwise(path):
            statements.append(await self.text(f"{superior}{FETCH_PATH}?{urlencode({'sub': subject})}"))
        statements.append(await self.text(configuration_url(self.anchor)))
        return resolve_chain(
            statements,
            anchor=self.anchor,
            anchor_keys=keys_from_jwks(self.jwks),
            now=SystemClock().now(),
            allow_http_on_loopback=True,
        )

    async def look_at_members(self) -> None:
        """What the anchor does every minute while it serves."""
        source = HttpStatementSource(self.node.http, allow_http_on_loopback=True)
        await MemberWatch(AnchorFolder(self.folder), source, SystemClock()).refresh_once()

    async def verified(self, url: str, typ: str) -> dict[str, Any]:
        """The claims of a token of the anchor's, verified by others with its pinned keys."""
        return await run_script("verify.mjs", {"jwt": await self.text(url), "jwks": self.jwks, "typ": typ})

    async def text(self, url: str) -> str:
        async with self.node.http.get(url) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.text()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    public, anchor = await make_anchor(tmp_path / "anchor")
    path = await make_node(public, tmp_path / "330000", "330000")
    jwks = orjson.loads(public.read_bytes())["jwks"]
    async with serving_anchor(tmp_path / "anchor"), running(path) as (node,):
        yield Scene(anchor, tmp_path / "anchor", jwks, node)


def as_json(metadata: Mapping[str, Any]) -> str:
    """One text for one meaning, so that a difference is shown line by line."""
    return orjson.dumps(metadata, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2, default=dict).decode()


def assert_same(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Both are printed when they differ."""
    assert as_json(theirs) == as_json(ours), f"theirs: {as_json(theirs)}\nours: {as_json(ours)}"


async def test_an_independent_library_resolves_a_node_to_what_we_resolve_it_to(scene: Scene) -> None:
    theirs = await scene.resolved_by_others(scene.entity)
    ours = await scene.resolved_by_us([scene.entity, scene.anchor])
    assert_same(theirs["whole"], ours.metadata)
    known = {kind: ours.metadata[kind] for kind in TYPES_OF_THE_LIBRARY}
    assert_same({kind: theirs["known"].get(kind) for kind in TYPES_OF_THE_LIBRARY}, known)
    pinned = {parameter for kind, parameter in ours.pinned if kind == NODE_TYPE}
    assert_same(theirs["known"][NODE_TYPE], {name: ours.metadata[NODE_TYPE][name] for name in pinned})
    assert theirs["expires_at"] == int(ours.expires_at.timestamp())
    assert theirs["path"] == [
        [scene.entity, scene.entity],
        [scene.anchor, scene.entity],
        [scene.anchor, scene.anchor],
    ]


async def test_it_refuses_what_another_key_signed(scene: Scene) -> None:
    """The comparison is worth something: with another key pinned for the anchor, no chain is found."""
    with pytest.raises(ScriptFailed, match="0 chains lead from"):
        await scene.resolved_by_others(scene.entity, jwks_of([SigningKey.generate().verification_key]))


async def test_the_anchors_own_resolution_verifies_elsewhere_and_says_the_same(scene: Scene) -> None:
    await scene.look_at_members()
    query = urlencode({"sub": scene.entity, "trust_anchor": scene.anchor})
    said = await scene.verified(f"{scene.anchor}{RESOLVE_PATH}?{query}", RESOLVE_RESPONSE_TYPE)
    theirs = await scene.resolved_by_others(scene.entity)
    assert (said["iss"], said["sub"]) == (scene.anchor, scene.entity)
    assert_same(said["metadata"], theirs["whole"])
    assert said["exp"] == theirs["expires_at"]


async def test_the_anchors_former_keys_verify_elsewhere(scene: Scene) -> None:
    said = await scene.verified(scene.anchor + HISTORICAL_KEYS_PATH, HISTORICAL_KEYS_TYPE)
    assert said["iss"] == scene.anchor
    assert said["keys"] == []
