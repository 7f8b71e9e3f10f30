"""What stands below an authority: seen in the background, within bounds, and resolved from what was seen."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from federation.statements import Fetched, StatementUnavailable
from node.anchor import below, enroll, init_anchor, publish, revoke
from node.anchor.below import BelowWatch
from node.anchor.folder import AnchorFolder
from node.connectors.statements import HttpStatementSource
from tests.node.anchor.scene import Entity, PortFactory, Served, city, request
from tests.support.clock import NOON
from trust.entity import WELL_KNOWN, build_entity_configuration, build_subordinate_statement
from trust.keys import SigningKey
from trust.resolution import ResolveResponse, verify_resolve_response


class Asking:
    """A source that remembers whom it asked; `answers` come before what is served."""

    def __init__(self, anchor: Served) -> None:
        self._source = HttpStatementSource(anchor.http, allow_http_on_loopback=True)
        self.asked: list[str] = []
        self.answers: dict[str, bytes] = {}

    async def fetch(self, url: str, *, etag: str, max_bytes: int, timeout_s: float) -> Fetched:
        self.asked.append(url)
        if url in self.answers:
            if len(self.answers[url]) > max_bytes:
                raise StatementUnavailable(f"{url} gives more than {max_bytes} bytes")
            return Fetched(self.answers[url], "")
        return await self._source.fetch(url, etag=etag, max_bytes=max_bytes, timeout_s=timeout_s)


@pytest.fixture
async def hangzhou(authority: Served, unused_tcp_port_factory: PortFactory) -> Entity:
    entity = await city(authority, unused_tcp_port_factory())
    enroll(authority.directory, request(entity), now=NOON)
    return entity


@pytest.fixture
async def source(anchor: Served) -> Asking:
    return Asking(anchor)


async def look(anchor: Served, authority: Served, source: Asking) -> str:
    """What was wrong with those below the authority."""
    await anchor.watch().refresh_once()
    source.asked.clear()
    watch = BelowWatch(anchor.folder, source, anchor.clock)
    return await watch.refresh(anchor.member(authority.url))


def path(anchor: Served, entity: Entity) -> str:
    return f"/federation/resolve?sub={entity.entity_id}&trust_anchor={anchor.url}"


async def resolved(anchor: Served, entity: Entity) -> ResolveResponse:
    root = anchor.folder.key("federation").verification_key
    return verify_resolve_response(
        await anchor.text(path(anchor, entity)),
        issuer=anchor.url,
        subject=entity.entity_id,
        keys={root.kid: root},
        now=anchor.clock.now(),
    )


def bad_word(authority: Served, entity: Entity, signer: SigningKey) -> bytes:
    return build_subordinate_statement(
        issuer=authority.url,
        subject=entity.entity_id,
        subject_keys=[entity.signer.verification_key],
        metadata_policy={},
        signer=signer,
        now=NOON,
    ).encode()


async def test_a_city_under_an_authority_is_resolved(
    anchor: Served, authority: Served, hangzhou: Entity
) -> None:
    assert await anchor.error(path(anchor, hangzhou)) == (404, "not_found"), "nobody is asked for a stranger"
    await anchor.watch().refresh_once()
    answer = await resolved(anchor, hangzhou)
    assert answer.metadata["openid_provider"]["issuer"] == hangzhou.entity_id
    assert answer.trust_chain[1:] == (
        authority.member(hangzhou.entity_id).statement,
        anchor.member(authority.url).statement,
        anchor.folder.configuration(),
    )


async def test_whoever_is_revoked_or_taken_off_the_list_resolves_no_more(
    anchor: Served, authority: Served, hangzhou: Entity
) -> None:
    await anchor.watch().refresh_once()
    revoke(authority.directory, hangzhou.entity_id, "gone", now=NOON)
    await anchor.watch().refresh_once()
    assert await anchor.error(path(anchor, hangzhou)) == (404, "not_found")
    assert anchor.folder.below(authority.url, hangzhou.entity_id) == {}


async def test_with_its_authority_a_city_goes_too(
    anchor: Served, authority: Served, hangzhou: Entity
) -> None:
    await anchor.watch().refresh_once()
    revoke(anchor.directory, authority.url, "gone", now=NOON)
    assert await anchor.error(path(anchor, hangzhou)) == (404, "not_found")


async def test_what_is_over_is_not_resolved(anchor: Served, authority: Served, hangzhou: Entity) -> None:
    await anchor.watch().refresh_once()
    anchor.clock.advance(days=2)
    assert await anchor.error(path(anchor, hangzhou)) == (400, "invalid_trust_chain")
    publish(anchor.directory, now=anchor.clock.now())
    publish(authority.directory, now=anchor.clock.now())
    await anchor.watch().refresh_once()
    assert (await resolved(anchor, hangzhou)).expires_at == anchor.clock.now() + timedelta(days=1)


async def test_an_authority_that_is_away_leaves_what_was_seen(
    anchor: Served, authority: Served, hangzhou: Entity, source: Asking
) -> None:
    assert await look(anchor, authority, source) == ""
    await anchor.runners[1].cleanup()
    assert "cannot be fetched" in await look(anchor, authority, source)
    assert (await resolved(anchor, hangzhou)).metadata


@pytest.mark.parametrize("name", ["federation_list_endpoint", "federation_fetch_endpoint"])
@pytest.mark.parametrize(
    "elsewhere", ["http://127.0.0.1:1/list", "{own}.evil.example/list", "{own}@evil/x", 7]
)
async def test_an_authority_leads_nowhere_but_to_itself(
    anchor: Served, authority: Served, hangzhou: Entity, source: Asking, name: str, elsewhere: object
) -> None:
    await anchor.watch().refresh_once()
    named = elsewhere.format(own=authority.url) if isinstance(elsewhere, str) else elsewhere
    token = build_entity_configuration(
        entity_id=authority.url,
        signer=authority.folder.key("federation"),
        metadata={"federation_entity": {name: named}},
        now=NOON,
        authority_hints=[anchor.url],
    )
    seen = anchor.folder.seen(authority.url)
    anchor.folder.write_seen(authority.url, {**seen, "configuration": token})
    watch = BelowWatch(anchor.folder, source, anchor.clock)
    assert "that is not its own" in await watch.refresh(anchor.member(authority.url))
    assert all(url.startswith(authority.url + "/") for url in source.asked)


async def test_a_city_is_asked_only_when_the_authority_has_signed_for_it(
    anchor: Served, authority: Served, hangzhou: Entity, source: Asking
) -> None:
    fetch = f"{authority.url}/federation/fetch?sub=" + hangzhou.entity_id.replace(":", "%3A").replace(
        "/", "%2F"
    )
    source.answers[fetch] = bad_word(authority, hangzhou, SigningKey.generate())
    assert "is not one of the issuer's" in await look(anchor, authority, source)
    assert hangzhou.entity_id + WELL_KNOWN not in source.asked
    source.answers[fetch] = bad_word(authority, hangzhou, authority.folder.key("federation"))
    assert await look(anchor, authority, source) == ""
    assert hangzhou.entity_id + WELL_KNOWN in source.asked


async def test_a_city_that_shows_something_else_is_not_taken(
    anchor: Served, authority: Served, hangzhou: Entity, source: Asking
) -> None:
    own = hangzhou.signer
    hangzhou.signer = SigningKey.generate()
    assert "is not one of the issuer's" in await look(anchor, authority, source)
    hangzhou.signer, hangzhou.superior = own, anchor.url
    assert "does not name" in await look(anchor, authority, source)
    assert await anchor.error(path(anchor, hangzhou)) == (404, "not_found")


async def test_nothing_older_than_was_seen_comes_back(
    anchor: Served, authority: Served, hangzhou: Entity, source: Asking
) -> None:
    early = hangzhou.configuration()
    anchor.clock.advance(seconds=60)
    assert await look(anchor, authority, source) == ""
    held = anchor.folder.below(authority.url, hangzhou.entity_id)
    hangzhou.answer = early
    assert "older configuration" in await look(anchor, authority, source)
    assert anchor.folder.below(authority.url, hangzhou.entity_id) == held


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        (b"{}", "not a JSON array"),
        (b"nonsense", "not a JSON array"),
        (b"[7]", "not a JSON array"),
        (b'["https://a.example/../../x"]', "path"),
        (b'["http://city.example"]', "https://"),
        (b'["file:///etc/passwd"]', "entity id|host|https"),
        (b" " * 70_000, "more than"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_a_list_that_is_none_is_refused(
    anchor: Served, authority: Served, source: Asking, listed: bytes, said: str
) -> None:
    source.answers[f"{authority.url}/federation/list"] = listed
    problem = await look(anchor, authority, source)
    assert any(part in problem for part in said.split("|")), problem
    assert len(source.asked) == 1


async def test_a_long_list_and_much_data_are_cut_short(
    anchor: Served, authority: Served, hangzhou: Entity, source: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ",".join(f'"https://c{number:03}.example"' for number in range(below.MOST_CITIES + 5))
    source.answers[f"{authority.url}/federation/list"] = f"[{names}]".encode()
    assert "more than 64 are listed" in await look(anchor, authority, source)
    assert len(source.asked) == 1 + below.MOST_CITIES
    source.answers.clear()
    monkeypatch.setattr(below, "MOST_LOOK_BYTES", 10)
    watch = BelowWatch(anchor.folder, source, anchor.clock)
    assert "more than 10 bytes" in await watch.refresh(anchor.member(authority.url))


async def test_an_authority_names_no_host_that_is_not_its_own(
    anchor: Served, authority: Served, source: Asking, unused_tcp_port_factory: PortFactory
) -> None:
    foreign = await city(authority, unused_tcp_port_factory())
    enroll(authority.directory, request(foreign), now=NOON)
    member = anchor.member(authority.url)
    narrow = build_subordinate_statement(
        issuer=anchor.url,
        subject=authority.url,
        subject_keys=[authority.folder.key("federation").verification_key],
        metadata_policy={},
        constraints={"naming_constraints": {"permitted": [".zj.example"]}},
        signer=anchor.folder.key("federation"),
        now=NOON,
    )
    fields = {name: getattr(member, name) for name in type(member).__slots__}
    anchor.folder.write_member(type(member)(**{**fields, "statement": narrow}))
    assert "constrains names" in await look(anchor, authority, source)
    assert foreign.entity_id + WELL_KNOWN not in source.asked


async def test_this_machine_is_not_asked_where_the_anchor_does_not_allow_it(
    anchor: Served, authority: Served, tmp_path: Path
) -> None:
    strict, loopback = Asking(anchor), Entity("https://localhost", "https://zj.example", anchor.clock, {})
    key = SigningKey.generate()
    directory = tmp_path / "strict"
    init_anchor(directory, "https://anchor.example", name="x", now=NOON)
    zhejiang = Entity("https://zj.example", "https://anchor.example", anchor.clock, {}, signer=key)
    enroll(directory, {**request(zhejiang), "authority": True}, now=NOON, permitted=["localhost"])
    folder = AnchorFolder(directory)
    folder.write_seen(zhejiang.entity_id, {"configuration": zhejiang.configuration()})
    word = build_subordinate_statement(
        issuer=zhejiang.entity_id,
        subject=loopback.entity_id,
        subject_keys=[loopback.signer.verification_key],
        metadata_policy={},
        signer=key,
        now=NOON,
    )
    strict.answers = {
        "https://zj.example/federation/list": b'["https://localhost"]',
        "https://zj.example/federation/fetch?sub=https%3A%2F%2Flocalhost": word.encode(),
    }
    member = folder.members()[zhejiang.entity_id]
    assert "this machine" in await BelowWatch(folder, strict, anchor.clock).refresh(member)
    assert set(strict.asked) == set(strict.answers)
