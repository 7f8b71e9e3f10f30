"""Everything that a federation changes about its keys, in turn, while queries go on: nobody may notice.

As a test in `test_trust_rotations.py`; for longer, round after round::

    python -m tests.journeys.rotations --seconds 600
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from federation.statements import StatementKind
from node.control import CommandRefused
from tests.support.delta import PROVINCES, ZHEJIANG, RunningDelta, found_delta
from tests.support.load import Load
from trust.entity import configuration_url
from trust.identity import tls_name
from trust.tokens import read_token

__all__ = ["SETTINGS", "STEPS", "Step", "stop_anchor"]

Step = Callable[[RunningDelta, Load], Awaitable[None]]

SETTINGS = {"trust": "refresh_s = 1.0", "keys": "publish_s = 5.0\npoll_s = 0.5"}
"""Everything as in operation, only sooner: peers look each second, and a new key is known for five before use."""

OTHERS = tuple(province for province in PROVINCES if province != ZHEJIANG)

_LONGEST_WAIT_S = 60
_QUERIES = 64


async def rotate_envelope_key(at: RunningDelta, load: Load) -> None:
    """The next key is published, known to peers, used; the one before is then taken back for good."""
    old = await active_kid(at, ZHEJIANG, "envelope")
    new = await rotate(at, ZHEJIANG, "envelope")
    await until(lambda: all(new in at.seen(other, ZHEJIANG).envelope_keys for other in OTHERS))
    await until_active(at, ZHEJIANG, "envelope", new)
    await load.more(_QUERIES)
    await at.yrd(ZHEJIANG, "keys", "retire", old, "--reason", "rotated")
    await load.more(_QUERIES)


async def renew_tls(at: RunningDelta, load: Load) -> None:
    """A new TLS key with its X.509 from the anchor: shown to who calls, and by the channels that call others."""
    before = await asyncio.to_thread(shown_x509, at, ZHEJIANG)
    connections = connections_of_others(at)
    new = await rotate_tls_key(at, ZHEJIANG)
    await until_active(at, ZHEJIANG, "tls", new)
    await until(lambda: connections_of_others(at) >= connections + 3)
    await load.more(_QUERIES)
    assert await asyncio.to_thread(shown_x509, at, ZHEJIANG) != before


async def rotate_openid_key(at: RunningDelta, load: Load) -> None:
    """Access tokens of before go on, and the platform gets its next one."""
    new = await rotate(at, ZHEJIANG, "openid", "--now")
    await until_active(at, ZHEJIANG, "openid", new)
    await load.more(_QUERIES)
    await at.log_in(ZHEJIANG)
    await load.more(_QUERIES)


async def roll_anchor_over(at: RunningDelta, load: Load) -> None:
    """A new root key, signed by the old one; every node follows, and none has its configuration touched."""
    pinned = {province: path.read_bytes() for province, path in at.delta.configs.items()}
    await at.anchor("rotate", "--reason", "planned", "--again")
    async with at.nodes[ZHEJIANG].http.get(configuration_url(at.delta.anchor_id)) as answer:
        new = read_token(await answer.read()).kid
    for province in PROVINCES:
        await until_async(partial(_goes_by, at, province, new))
    await load.more(_QUERIES)
    assert pinned == {province: path.read_bytes() for province, path in at.delta.configs.items()}


async def stop_anchor(at: RunningDelta, load: Load) -> None:
    """The anchor is away for the rest."""
    await at.stop_anchor()
    await load.more(4 * _QUERIES)


async def rotate_federation_key(at: RunningDelta, load: Load) -> None:
    """The key that signs what a node says of itself: published, vouched for by the anchor, then used."""
    new = await rotate(at, ZHEJIANG, "federation")
    configuration = at.delta.folder / "zhejiang.jwt"
    async with at.nodes[ZHEJIANG].http.get(configuration_url(at.delta.entity(ZHEJIANG))) as answer:
        configuration.write_bytes(await answer.read())
    await at.anchor("update", at.delta.entity(ZHEJIANG), "--configuration", configuration)
    await until_active(at, ZHEJIANG, "federation", new)
    await load.more(_QUERIES)


async def rotate_status_key(at: RunningDelta, load: Load) -> None:
    """The anchor's online key, which its configuration names before it signs."""
    old = await signer_of(at, ZHEJIANG, StatementKind.STATUS)
    await at.anchor("rotate", "--status", "--lead-s", "1")

    async def is_followed() -> bool:
        await at.stop_anchor()
        await at.start_anchor()  # it signs a status when it starts, else each minute
        await at.refresh()
        return old not in {await signer_of(at, province, StatementKind.STATUS) for province in PROVINCES}

    await until_async(is_followed)
    await at.anchor("rotate", "--finish", "--early")
    await load.more(_QUERIES)


async def replace_ca(at: RunningDelta, load: Load) -> None:
    """The CA for mutual TLS: both are trusted, every node takes a certificate of the new one, the old one goes."""
    await at.anchor("rotate", "--ca", "--lead-s", "1")
    await at.refresh()
    await load.more(_QUERIES)
    for province in PROVINCES:
        new = await rotate_tls_key(at, province)
        await until_active(at, province, "tls", new)
    await load.more(_QUERIES)
    await at.anchor("rotate", "--finish", "--early")
    await at.refresh()
    await load.more(_QUERIES)


STEPS: tuple[Step, ...] = (rotate_envelope_key, renew_tls, rotate_openid_key, roll_anchor_over)
"""What the issue names."""

MORE_STEPS: tuple[Step, ...] = (rotate_federation_key, rotate_status_key, replace_ca)
"""What changes more seldom."""


# --- what the steps look at ---


async def keys_of(at: RunningDelta, province: str) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = json.loads(await at.yrd(province, "keys", "list", "--all", "--json"))
    return keys


async def active_kid(at: RunningDelta, province: str, purpose: str) -> str:
    keys = await keys_of(at, province)
    return next(str(key["kid"]) for key in keys if (key["purpose"], key["state"]) == (purpose, "active"))


async def rotate(at: RunningDelta, province: str, purpose: str, *more: str) -> str:
    """The key id of the next key."""
    plan = json.loads(await at.yrd(province, "keys", "rotate", purpose, *more, "--json"))
    return str(plan["new"]["kid"])


async def rotate_tls_key(at: RunningDelta, province: str) -> str:
    """As `rotate`. The anchor issues to a node only so often: who comes too soon comes again, as it is told."""
    async with asyncio.timeout(_LONGEST_WAIT_S):
        while True:
            try:
                return await rotate(at, province, "tls")
            except CommandRefused as refused:
                if "too soon" not in refused.en:
                    raise
                await asyncio.sleep(1)


async def until_active(at: RunningDelta, province: str, purpose: str, kid: str) -> None:
    async def is_active() -> bool:
        return await active_kid(at, province, purpose) == kid

    await until_async(is_active)


async def until(condition: Callable[[], bool]) -> None:
    async def holds() -> bool:
        return condition()

    await until_async(holds)


async def until_async(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return when it holds: the nodes' own loops bring it about."""
    async with asyncio.timeout(_LONGEST_WAIT_S):
        while not await condition():  # noqa: ASYNC110 - what is waited for is in a store, and tells nobody
            await asyncio.sleep(0.1)


def shown_x509(at: RunningDelta, province: str) -> bytes:
    """The X.509 that a node's gRPC port shows to anybody, in DER."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    grpc = at.nodes[province].at.grpc
    name = tls_name(at.delta.entity(province))
    with (
        socket.create_connection((grpc.host, grpc.port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname=name) as tls,
    ):
        return tls.getpeercert(binary_form=True) or b""


def connections_of_others(at: RunningDelta) -> int:
    """How many connections were ever made to the three that Zhejiang calls."""
    return sum(len(at.relays[other].connections) for other in OTHERS)


async def signer_of(at: RunningDelta, province: str, kind: StatementKind) -> str:
    """The key of the newest document of the anchor's that a node has verified and stored."""
    anchor = at.delta.anchor_id
    rows = {row.kind: row for row in await at.trust_rows(province) if (row.iss, row.sub) == (anchor, anchor)}
    return read_token(rows[kind].token).kid


async def _goes_by(at: RunningDelta, province: str, kid: str) -> bool:
    return await signer_of(at, province, StatementKind.CONFIGURATION) == kid


# --- for longer ---


async def _go_on(seconds: float) -> int:
    ends = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="yrd-rotations-") as folder:
        delta = await found_delta(Path(folder), SETTINGS)
        async with delta.running() as at:
            load = at.load()
            async with load.running():
                while time.monotonic() < ends and not load.failures:
                    for step in (*STEPS, *MORE_STEPS):
                        await step(at, load)
                        print(
                            f"{step.__name__}: {load.ended} queries, {len(load.failures)} failed", flush=True
                        )
                await stop_anchor(at, load)
    for failure in load.failures:
        print(failure, file=sys.stderr)
    print(f"{load.ended} queries, {len(load.failures)} failed")
    return 1 if load.failures else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="begin no further round after so long")
    sys.exit(asyncio.run(_go_on(parser.parse_args().seconds)))
