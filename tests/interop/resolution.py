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
from tests.support.federation import (
    RunningNode,
    command,
    free_ports,
    make_anchor,
    make_node,
    running,
    serving_anchor,
)
from tests.support.forged import Documents, serving, stolen_from
from trust.chain import VerifiedEntity, resolve_chain
from trust.documents import FETCH_PATH, HISTORICAL_KEYS_PATH, RESOLVE_PATH, ROLL_OVERS_PATH
from trust.entity import build_entity_configuration, configuration_url, read_statement
from trust.historical import HISTORICAL_KEYS_TYPE
from trust.keys import SigningKey, jwks_of, keys_from_jwks
from trust.policy import Policy
from trust.profile import NODE_TYPE
from trust.resolution import RESOLVE_RESPONSE_TYPE
from trust.rollover import read_roll_overs

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

    async def resolved_by_us(
        self, path: Sequence[str], jwks: Mapping[str, Any] | None = None
    ) -> VerifiedEntity:
        """`path` leads from the entity to the anchor."""
        statements = [await self.text(configuration_url(path[0]))]
        for subject, superior in pairwise(path):
            statements.append(await self.text(f"{superior}{FETCH_PATH}?{urlencode({'sub': subject})}"))
        statements.append(await self.text(configuration_url(self.anchor)))
        return resolve_chain(
            statements,
            anchor=self.anchor,
            anchor_keys=keys_from_jwks(jwks or self.jwks),
            now=SystemClock().now(),
            allow_http_on_loopback=True,
        )

    async def policy_for(self, entity: str) -> Policy:
        """What the anchor's statement lets an entity claim."""
        statement = await self.text(f"{self.anchor}{FETCH_PATH}?{urlencode({'sub': entity})}")
        policy: Policy = read_statement(statement, allow_http_on_loopback=True).claims["metadata_policy"]
        return policy

    async def look_at_members(self) -> None:
        """What the anchor does every minute while it serves."""
        source = HttpStatementSource(self.node.http, allow_http_on_loopback=True)
        await MemberWatch(AnchorFolder(self.folder), source, SystemClock()).refresh_once()

    async def verified(self, url: str, typ: str, jwks: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The claims of a token of the anchor's, verified by others with its pinned keys."""
        question = {"jwt": await self.text(url), "jwks": jwks or self.jwks, "typ": typ}
        return await run_script("verify.mjs", question)

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
    assert_known_alike(theirs["known"], ours)
    assert theirs["expires_at"] == int(ours.expires_at.timestamp())
    assert theirs["path"] == [
        [scene.entity, scene.entity],
        [scene.anchor, scene.entity],
        [scene.anchor, scene.anchor],
    ]


def assert_known_alike(known: Mapping[str, Any] | None, ours: VerifiedEntity) -> None:
    """What the library makes of a node without any help: alike but for the types that it forgets."""
    assert known is not None
    for kind in TYPES_OF_THE_LIBRARY:
        assert_same(known[kind], ours.metadata[kind])
    pinned = [parameter for kind, parameter in ours.pinned if kind == NODE_TYPE]
    assert_same(known[NODE_TYPE], {name: ours.metadata[NODE_TYPE][name] for name in pinned})


async def test_a_node_whose_login_has_every_endpoint_and_algorithm_is_resolved_alike_without_any_help(
    scene: Scene, tmp_path: Path
) -> None:
    """As a node is once it logs people in; what it claims beyond the anchor's limits is taken away by both."""
    config = await make_node(scene.folder / "anchor.public.json", tmp_path / "340000", "340000")
    keys, documents = await stolen_from(config), Documents()
    policy = await scene.policy_for(keys.config.node.entity_id)
    provider = {
        name: ["ES256", "RS256"] for name, rules in policy["openid_provider"].items() if "subset_of" in rules
    }
    documents.put_configuration(keys.configuration(SystemClock().now(), openid_provider=provider))
    async with serving(documents, keys.config.node.entity_id):
        theirs = await scene.resolved_by_others(keys.config.node.entity_id)
        ours = await scene.resolved_by_us([keys.config.node.entity_id, scene.anchor])
    assert_same(theirs["whole"], ours.metadata)
    assert_known_alike(theirs["known"], ours)
    for name in provider:
        assert ours.metadata["openid_provider"][name] == ["ES256"]


async def test_it_refuses_what_another_key_signed(scene: Scene) -> None:
    """The comparison is worth something: with another key pinned for the anchor, no chain is found."""
    with pytest.raises(ScriptFailed, match="0 chains lead from"):
        await scene.resolved_by_others(scene.entity, jwks_of([SigningKey.generate().verification_key]))


async def test_so_it_does_with_a_city_below_its_provinces_authority(scene: Scene, tmp_path: Path) -> None:
    """Three steps: the city, Zhejiang's authority, the anchor. Both policies are merged on the way.

    The library does not know the constraints (§6.2) under which the authority stands; we keep them besides.
    """
    authority, city = (f"http://127.0.0.1:{free_ports(1)}" for _ in range(2))
    folder, key = tmp_path / "authority", SigningKey.generate()
    await found_authority(scene, folder, authority)
    await enrol_city(tmp_path, folder, city, key)
    documents = Documents()
    documents.put_configuration(city_configuration(city, authority, key))
    async with serving_anchor(folder), serving(documents, city):
        theirs = await scene.resolved_by_others(city)
        ours = await scene.resolved_by_us([city, authority, scene.anchor])
    assert_same(theirs["whole"], ours.metadata)
    assert_same(theirs["known"], ours.metadata)
    assert ours.metadata["openid_relying_party"]["client_name"] == "杭州市"
    assert NODE_TYPE not in ours.metadata
    assert theirs["expires_at"] == int(ours.expires_at.timestamp())
    assert theirs["path"] == [
        [city, city],
        [authority, city],
        [scene.anchor, authority],
        [scene.anchor, scene.anchor],
    ]


async def found_authority(scene: Scene, folder: Path, entity_id: str) -> None:
    """Zhejiang's authority, made and taken in by commands."""
    request = folder / "request.json"
    await command(
        *("anchor", "init", "--dir", folder, "--entity-id", entity_id, "--allow-http-on-loopback"),
        *("--name", "浙江省", "--superior", scene.anchor),
    )
    await command("anchor", "request", "--dir", folder, "--out", request)
    await command("anchor", "enroll", "--dir", scene.folder, request, "--out", folder / "enrolled.json")


async def enrol_city(folder: Path, authority: Path, entity_id: str, key: SigningKey) -> None:
    """A city's request, as its own software would make it, taken in by its authority's command."""
    request = folder / "city.json"
    wanted = {
        "entity_id": entity_id,
        "name": "杭州市",
        "federation_jwks": jwks_of([key.verification_key]),
        "entity_types": ["openid_relying_party"],
    }
    request.write_bytes(orjson.dumps(wanted))
    await command("anchor", "enroll", "--dir", authority, request, "--out", folder / "city.enrolled.json")


def city_configuration(entity_id: str, authority: str, key: SigningKey) -> str:
    return build_entity_configuration(
        entity_id=entity_id,
        signer=key,
        metadata={
            "federation_entity": {"organization_name": "杭州市"},
            "openid_relying_party": {
                "client_name": "杭州市",
                "client_registration_types": ["automatic"],
                "redirect_uris": [f"{entity_id}/callback"],
            },
        },
        authority_hints=[authority],
        now=SystemClock().now(),
    )


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


async def test_after_a_roll_over_both_follow_the_new_root_key(scene: Scene) -> None:
    """The library knows no roll-overs: it is given the key that we find by following them from the old one."""
    await command("anchor", "rotate", "--dir", scene.folder, "--reason", "scheduled")
    document = await scene.text(scene.anchor + ROLL_OVERS_PATH)
    (roll_over,) = read_roll_overs(document, anchor=scene.anchor)
    new = jwks_of([roll_over.new])
    said = await run_script(
        "verify.mjs", {"jwt": roll_over.token, "jwks": scene.jwks, "typ": "anchor-roll-over+jwt"}
    )
    assert said["iss"] == scene.anchor
    theirs = await scene.resolved_by_others(scene.entity, new)
    await scene.node.node.trust_sync.refresh_once()
    ours = await scene.resolved_by_us([scene.entity, scene.anchor], new)
    assert_same(theirs["whole"], ours.metadata)
    former = await scene.verified(scene.anchor + HISTORICAL_KEYS_PATH, HISTORICAL_KEYS_TYPE, new)
    assert [key["kid"] for key in former["keys"]] == [roll_over.old.kid]
