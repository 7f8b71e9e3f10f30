"""Jiangsu, where a holder gives consents, Anhui, which asks on them, and Zhejiang, which answers: in memory.

Doubles with behaviour for what `federation.consents` stands on; everything between them is real.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from federation.answer import Answerer
from federation.ask import AskCommand, Asker, AskResult
from federation.consents import ConsentCheck, OwnConsents
from federation.exchange import DialectHolder
from federation.login.model import AuthRequest, Identity, OnBehalf
from federation.login.papers import HomePapers, PaperParts
from federation.login.ports import PaperView
from federation.peers import Peer
from federation.query import Basis, BasisKind, CertificateQuery, RequestBody
from federation.statements import Fetched, StatementUnavailable
from federation.status_lists import StatusLists, StoredList, status_list_uri
from mapping.identifiers import make_service_item_code, make_uscc
from tests.support.clock import NOON, FixedClock
from tests.support.exchange import HOLDER, ID_CARD, Node, command, make_country
from tests.support.replacing import replace
from trust.consent import Consent, holder_for, sign_consent
from trust.keys import SigningKey
from trust.openid_profile import OpenIdProfile
from trust.recipient_keys import RecipientKey, recipient_jwks, recipient_keys_from_jwks
from trust.status_list import Statuses, build_status_list

__all__ = [
    "ITEM_CODE",
    "PLATFORM",
    "USE",
    "ConsentNode",
    "Consents",
    "MemoryLists",
    "MemoryPapers",
    "MemoryUses",
    "identity",
    "login_request",
    "make_consents",
    "openid_profile",
]

PLATFORM = "portal"
ITEM_CODE = make_service_item_code(make_uscc("1", "1", "340100", "00298600"), "3", "000123456789")
SIZE = 256
USE: dict[str, Any] = {
    "type": "certificate_use",
    "answering": ["330000"],
    "certificate_types": [ID_CARD],
    "fields": ["姓名", "公民身份号码"],
    "service_item_name": "出生一件事",
    "service_item_code": ITEM_CODE,
    "case_number": "C-1",
    "purpose": "核验身份",
    "uses": 2,
    "valid_s": 3600,
}
"""What a platform asks for, as it is read."""


class MemoryUses:
    """Implements `federation.consents.Uses`."""

    def __init__(self) -> None:
        self.counted: dict[tuple[str, str], list[bytes]] = {}

    async def use(self, consent: Consent, request: bytes) -> bool:
        counted = self.counted.setdefault((consent.iss, consent.jti), [])
        if request not in counted:
            if len(counted) >= consent.uses:
                return False
            counted.append(request)
        return True

    async def give_back(self, issuer: str, jti: str, request: bytes) -> None:
        counted = self.counted.get((issuer, jti), [])
        if request in counted:
            counted.remove(request)


class MemoryPapers:
    """Implements `federation.login.papers.PaperStore`."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.kept: list[tuple[str, str, PaperView]] = []

    async def keep(self, issuer: str, subject: str, paper: PaperView) -> int:
        self.kept.append((issuer, subject, paper))
        return len(self.kept) - 1

    async def of(self, issuer: str, subject: str) -> Sequence[PaperView]:
        return [view for *whose, view in reversed(self.kept) if whose == [issuer, subject]]

    async def withdraw(self, issuer: str, subject: str, jti: str) -> bool:
        for place, (of, whose, view) in enumerate(self.kept):
            if (of, whose, view.paper_id, view.withdrawn_at) == (issuer, subject, jti, None):
                ended = replace(view, withdrawn_at=int(self.clock.now().timestamp()))
                self.kept[place] = (of, whose, ended)
                return True
        return False

    def withdrawn(self) -> list[int]:
        """The places that are set."""
        return [place for place, (*_, view) in enumerate(self.kept) if view.withdrawn_at is not None]

    async def is_valid(self, place: int) -> bool:
        """Whether the consent at a place may be shown."""
        return place < len(self.kept) and place not in self.withdrawn()


class MemoryLists:
    """Implements `federation.status_lists.StatusListStore`."""

    def __init__(self) -> None:
        self.rows: dict[str, StoredList] = {}

    async def load(self) -> Sequence[StoredList]:
        return list(self.rows.values())

    async def save(self, fetched: StoredList) -> bool:
        held = self.rows.get(fetched.issuer)
        if held is not None and held.issued_at > fetched.issued_at:
            return False
        self.rows[fetched.issuer] = fetched
        return True


def openid_profile(entity_id: str, key: SigningKey) -> OpenIdProfile:
    """A node as a partner of logins."""
    keys = {key.kid: key.verification_key}
    return OpenIdProfile(
        issuer=entity_id,
        authorization_endpoint=f"{entity_id}/oidc/authorize",
        pushed_authorization_request_endpoint=f"{entity_id}/oidc/par",
        token_endpoint=f"{entity_id}/oidc/token",
        end_session_endpoint=f"{entity_id}/oidc/logout",
        provider_keys=keys,
        client_keys=keys,
        redirect_uris=(f"{entity_id}/login/callback",),
        post_logout_redirect_uris=(f"{entity_id}/login/signed-out",),
        backchannel_logout_uri=f"{entity_id}/login/backchannel-logout",
    )


@dataclass
class ConsentNode:
    """A node that issues consents and takes them."""

    node: Node
    openid: SigningKey
    private: SigningKey
    papers_kept: MemoryPapers
    uses: MemoryUses = field(default_factory=MemoryUses)
    lists_kept: MemoryLists = field(default_factory=MemoryLists)
    refreshes: list[str] = field(default_factory=list)
    lists: StatusLists = field(init=False)
    papers: HomePapers = field(init=False)

    @property
    def entity_id(self) -> str:
        """Who it is."""
        return self.node.entity_id

    @property
    def public_keys(self) -> dict[str, RecipientKey]:
        """What consents for it are encrypted to."""
        return dict(recipient_keys_from_jwks(recipient_jwks([self.private.verification_key])))

    def peer(self, **changes: Any) -> Peer:
        """As the others know it."""
        described: dict[str, Any] = {
            "openid": openid_profile(self.entity_id, self.openid),
            "consent_keys": MappingProxyType(self.public_keys),
        }
        return self.node.peer(**(described | changes))

    def status_list(self, **changes: Any) -> str:
        """Its status list of now."""
        facts: dict[str, Any] = {
            "issuer": self.entity_id,
            "uri": status_list_uri(self.entity_id),
            "statuses": Statuses.with_set(self.papers_kept.withdrawn(), size=SIZE),
            "signer": self.openid,
            "now": self.node.clock.now(),
            "ttl_s": 60,
        }
        return build_status_list(**(facts | changes))


@dataclass
class Consents:
    """The three nodes. `away` are the issuers whose status list cannot be fetched, `served` replaces it."""

    home: ConsentNode
    asking: ConsentNode
    answering: ConsentNode
    clock: FixedClock
    away: set[str] = field(default_factory=set)
    served: dict[str, str] = field(default_factory=dict)

    @property
    def nodes(self) -> tuple[ConsentNode, ConsentNode, ConsentNode]:
        """All of them."""
        return self.home, self.asking, self.answering

    async def fetch(self, url: str, *, etag: str, max_bytes: int, timeout_s: float) -> Fetched:
        """Implements `federation.statements.StatementSource`: the status lists."""
        for one in self.nodes:
            if url == status_list_uri(one.entity_id) and one.entity_id not in self.away:
                return Fetched(self.served.get(one.entity_id, one.status_list()).encode(), "")
        raise StatementUnavailable(f"{url} is away after {timeout_s} s, {max_bytes} bytes, {etag!r}")

    async def refresh(self) -> None:
        """Every node fetches the lists of the others."""
        for one in self.nodes:
            await one.lists.refresh_once()

    def know(self, **changes: Any) -> None:
        """Every node knows the others; `changes` are of Jiangsu's node as the others know it."""
        for one in self.nodes:
            others = [other for other in self.nodes if other is not one]
            one.node.know(*(other.peer(**(changes if other is self.home else {})) for other in others))

    def consent(self, **changes: Any) -> Consent:
        """A consent of Jiangsu's for Anhui's portal, which Zhejiang answers by. Its place is that of no paper."""
        holder = changes.pop("holder", ("111", HOLDER))
        key = next(iter(changes.pop("to", self.answering).public_keys.values()))
        described = Consent(
            iss=self.home.entity_id,
            jti="j-1",
            issued_at=self.clock.now().replace(microsecond=0),
            expires_at=self.clock.now().replace(microsecond=0) + timedelta(hours=1),
            answering=(self.answering.entity_id,),
            asking=self.asking.entity_id,
            platform=PLATFORM,
            basis="holders_consent",
            service_item_name="出生一件事",
            service_item_code=ITEM_CODE,
            case_number="C-1",
            purpose="核验身份",
            certificate_types=(ID_CARD,),
            fields=None,
            uses=1,
            holders={self.answering.entity_id: holder_for(key, *holder)},
            status_uri=status_list_uri(self.home.entity_id),
            status_index=200,
        )
        return replace(described, **changes)

    def token(self, signer: SigningKey | None = None, **changes: Any) -> str:
        """Such a consent, signed."""
        return sign_consent(self.consent(**changes), signer or self.home.openid)

    def question(self, token: str, body: RequestBody | None = None, **changes: Any) -> AskCommand:
        """What Anhui's portal asks Zhejiang on a consent."""
        basis = Basis(
            BasisKind.HOLDERS_CONSENT,
            service_item_name="出生一件事",
            service_item_code=ITEM_CODE,
            case_number="C-1",
            purpose="核验身份",
            consent=token,
        )
        client = changes.pop("client", PLATFORM)
        asked = command(self.asking.node, self.answering.node, body, client=client)
        return replace(asked, basis=replace(basis, **changes))

    def query(self, certificate_type: str = "", number: str = HOLDER) -> CertificateQuery:
        """A query in the words of Anhui's platforms."""
        to_local = self.asking.node.registry.dialect.code_to_local
        local = to_local("certificate_type", certificate_type).value if certificate_type else ""
        return CertificateQuery(to_local("holder_id_type", "111").value, number, local)

    async def ask(self, token: str, body: RequestBody | None = None, **changes: Any) -> AskResult:
        """Ask on a consent."""
        return await self.asking.node.asker.ask(self.question(token, body, **changes))


async def make_consents() -> Consents:
    """The three nodes, which know each other and each other's status lists."""
    clock = FixedClock()
    nodes = make_country("320000", "340000", "330000", clock=clock)
    home, asking, answering = (
        ConsentNode(node, SigningKey.generate(), SigningKey.generate(), MemoryPapers(clock)) for node in nodes
    )
    consents = Consents(home, asking, answering, clock)
    consents.know()
    for one in consents.nodes:
        _equip(one, consents)
    await consents.refresh()
    return consents


def _equip(one: ConsentNode, consents: Consents) -> None:
    node, clock = one.node, consents.clock
    one.lists = StatusLists(one.lists_kept, consents, node.directory, clock, skew_s=60)
    check = ConsentCheck(
        node.directory,
        one.lists,
        one.uses,
        OwnConsents(
            keys=lambda: {one.openid.kid: one.openid.verification_key},
            private_key=lambda kid: one.private if kid == one.private.kid else None,
            is_valid=one.papers_kept.is_valid,
        ),
        clock,
        request_refresh=one.refreshes.append,
    )
    one.papers = HomePapers(
        PaperParts(
            own_name=node.province,
            directory=node.directory,
            dialect=DialectHolder(node.registry.dialect),
            store=one.papers_kept,
            signer=lambda: one.openid,
            own_keys=lambda: one.public_keys,
            clock=clock,
        )
    )
    node.parts = dataclasses.replace(node.parts, consents=check)

    async def refresh(_entity_id: str) -> None:
        """Nothing newer."""

    node.asker = Asker(node.parts, node.transport, refresh_trust=refresh, now_s=lambda: node.seconds[0])
    node.answerer = Answerer(node.parts, node.registry, version="1", now_s=lambda: node.seconds[0])
    answerers: Any = node.transport.answerers
    answerers[one.entity_id] = node.answerer


def identity(**changes: Any) -> Identity:
    """The holder, as Jiangsu's identity provider verified them."""
    described = Identity(
        issuer="https://id.js.example",
        subject="citizen-1",
        acr="yrd.l2",
        amr=("pwd",),
        auth_time=int(NOON.timestamp()),
        origin="https://id.js.example",
        claims={"name": "王芳", "citizen_number": HOLDER, "holder_id_type": "111"},
    )
    return replace(described, **changes)


def login_request(consents: Consents, details: str, **changes: Any) -> AuthRequest:
    """Anhui's node asks Jiangsu's for a login on behalf of its portal."""
    described = AuthRequest(
        client_id=consents.asking.entity_id,
        client_name="安徽省节点",
        is_peer=True,
        sector=consents.asking.entity_id,
        redirect_uri=f"{consents.asking.entity_id}/login/callback",
        authorization_details=details,
        on_behalf=OnBehalf(PLATFORM, "皖事通"),
    )
    return replace(described, **changes)
