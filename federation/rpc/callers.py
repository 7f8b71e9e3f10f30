"""Who is calling: checked for every call, because a live connection outlives expiry and revocation.

1. TLS 1.3 was agreed.
2. The TLS certificate names exactly one entity by URI, and nothing else that could be taken for one.
3. It has not expired.
4. Where the method asks for a member: the entity is in good standing now (`admit`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from federation.errors import PeerTlsIdentity
from federation.ports import Clock
from federation.rpc.methods import Caller, Method
from trust.x509 import TlsIdentity, identity_from_pem

__all__ = ["CallerCheck"]

AuthContext = Mapping[str, Iterable[bytes]]

_identity_from_pem: Callable[[bytes], TlsIdentity] = lru_cache(maxsize=256)(identity_from_pem)


class CallerCheck:
    """Says which entity calls, or refuses.

    `admit` returns when an entity is a member in good standing and raises PeerUnknown, PeerRevoked or
    PeerDenied otherwise; it is asked on every call.
    """

    def __init__(self, clock: Clock, admit: Callable[[str], None]) -> None:
        self._clock = clock
        self._admit = admit

    def identify(self, auth: AuthContext) -> str:
        """The entity id of the caller, by checks 1 to 3. Raises PeerTlsIdentity."""
        version = _one(auth, "ssl_tls_version", "one TLS version")
        if version != b"TLSv1.3":
            raise PeerTlsIdentity(f"TLS 1.3 is needed, not {version.decode('ascii', 'replace')}")
        identity = _identity_from_pem(_one(auth, "x509_pem_cert", "one TLS certificate"))
        if _one(auth, "peer_uri", "exactly one URI name") != identity.entity_id.encode():
            raise PeerTlsIdentity("the TLS certificate does not name its entity in one way")
        if self._clock.now() >= identity.not_after:
            raise PeerTlsIdentity(
                f"the TLS certificate of {identity.entity_id} expired at {identity.not_after.isoformat()}"
            )
        return identity.entity_id

    def admit(self, tls_peer: str, method: Method) -> None:
        """Check 4: return when this entity may call this method. Raises what `admit` raises."""
        if method.caller is Caller.MEMBER:
            self._admit(tls_peer)


def _one(auth: AuthContext, name: str, wanted: str) -> bytes:
    values = list(auth.get(name, ()))
    if len(values) != 1:
        raise PeerTlsIdentity(f"the connection must show {wanted}; it shows {len(values)}")
    return values[0]
