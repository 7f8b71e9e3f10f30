"""Signing ahead, and the folder that any web server can serve.

`publish` signs whatever needs it, with the root key; `write_out` lays out the plain files of `trust.documents`
below a folder; `current_status` is what the status key says every minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import structlog

from federation.ports import Clock
from node.anchor.changing import active_key, finish_changes
from node.anchor.enrolment import with_current_policy
from node.anchor.files import replace_file
from node.anchor.folder import AnchorFolder, Member
from node.anchor.member import AnchorRefused, member_label
from node.anchor.signing import (
    former_keys,
    is_due,
    root_key,
    sign_configuration,
    sign_former_keys,
    sign_statement,
)
from node.anchor.watch import seen_now, with_pending
from trust.documents import (
    HISTORICAL_KEYS_PATH,
    ROLL_OVERS_PATH,
    STATEMENTS_PATH,
    STATUS_PATH,
    statement_path,
)
from trust.entity import STATEMENT_LIFE_S, WELL_KNOWN
from trust.errors import TrustError
from trust.status import Revocation, build_status
from trust.tokens import MAX_TOKEN_BYTES

__all__ = ["current_status", "keep_status", "publish", "update", "write_out"]

_log = structlog.get_logger("yrd.anchor")

_REASON_CHARACTERS = (200, 20, 0)
"""How much of each reason a status tells: the most that fits all of them."""


def publish(
    directory: Path,
    *,
    now: datetime,
    renew_within_s: int | None = None,
    life_s: int = STATEMENT_LIFE_S,
    root_path: Path | None = None,
    witness_quorum: int | None = None,
) -> int:
    """Sign anew, with the root key, what ends within `renew_within_s` or says something that has changed: the
    configuration and the statements of members in good standing. By default everything, for `life_s`. New
    federation keys that members have published are taken over, nodes are bound as this release binds them,
    and keys that had their time are dropped. `witness_quorum` changes how many must cosign a checkpoint.

    Returns how many. Raises AnchorRefused without the root key.
    """
    folder = AnchorFolder(directory, root_key=root_path)
    with folder.changing():
        root, facts = root_key(folder), folder.facts()
        if witness_quorum is not None:
            facts = facts.with_quorum(witness_quorum)
            folder.write_facts(facts)
        finish_changes(folder, now)
        signed = 0
        configuration = sign_configuration(folder, root, now, life_s=life_s)
        if is_due(folder.configuration(), configuration, now, renew_within_s):
            folder.write_configuration(configuration)
            signed += 1
        for known in folder.members().values():
            if known.is_revoked:
                continue
            member = with_current_policy(with_pending(known, folder.seen(known.entity_id), now))
            statement = sign_statement(facts, root, member, now, life_s=life_s)
            if is_due(known.statement, statement, now, renew_within_s):
                folder.write_member(replace(member, statement=statement))
                signed += 1
        if former_keys(folder) or not folder.historical_keys():
            folder.write_historical_keys(sign_former_keys(folder, root, now))
    return signed


def update(
    directory: Path,
    entity_id: str,
    *,
    now: datetime,
    configuration: str = "",
    root_path: Path | None = None,
) -> Member:
    """Give one member a new statement now, with the federation keys that it has published; `configuration` is
    what it serves, when the anchor has not seen it by itself.

    Raises AnchorRefused: not a member in good standing, a configuration that is not signed with a key that
    the anchor vouches for, the root key is away.
    """
    folder = AnchorFolder(directory, root_key=root_path)
    with folder.changing():
        root, member = root_key(folder), folder.members().get(entity_id)
        if member is None or member.is_revoked:
            raise AnchorRefused(f"{entity_id} is not a member in good standing")
        seen = folder.seen(entity_id)
        if configuration:
            try:
                seen = seen_now(member, seen, configuration, now)
            except TrustError as error:
                raise AnchorRefused(f"{error.detail}; if its keys are lost, enrol it again") from error
            folder.write_seen(entity_id, seen)
        member = with_current_policy(with_pending(member, seen, now))
        member = replace(member, statement=sign_statement(folder.facts(), root, member, now))
        folder.write_member(member)
    return member


def current_status(folder: AnchorFolder, members: Iterable[Member], *, now: datetime) -> str:
    """A new trust status over these members, under the next sequence number. Raises AnchorRefused.

    `statements` are those about nodes; revocations are told of everyone. They only ever grow in number, and nodes
    take a status up to a size: rather than let all of them go stale, the reasons are told in fewer words.
    """
    known = sorted(members, key=lambda member: member.entity_id)
    standing = {
        member.entity_id: member.statement for member in known if member.is_node and not member.is_revoked
    }
    revoked = [member for member in known if member.is_revoked]
    sequence = folder.next_sequence(int(now.timestamp()))
    for words in _REASON_CHARACTERS:
        token = build_status(
            anchor=folder.facts().entity_id,
            sequence=sequence,
            statements=standing,
            revocations=[_revocation(member, words) for member in revoked],
            signer=active_key(folder, "status", now),
            now=now,
        )
        if len(token) <= MAX_TOKEN_BYTES:
            return token
    raise AnchorRefused(
        f"a status with {len(revoked)} revocations is longer than nodes take: begin a new anchor"
    )


def _revocation(member: Member, words: int) -> Revocation:
    at = datetime.fromtimestamp(member.revoked_at, UTC)
    return Revocation(member.entity_id, at, member.reason[:words])


def write_out(folder: AnchorFolder, out: Path, *, now: datetime) -> list[str]:
    """Lay out every plain file below `out`, which is what a web server shows at the anchor's entity id.

    In this order, so that whoever reads meanwhile can believe what is there: roll-overs, configuration,
    statements, the status last; then statements about those who are members no more are taken away. Each file
    is replaced whole. Returns the relative paths. Raises AnchorRefused: `out` would show the anchor's keys.
    """
    _check_apart(folder.directory, out)
    members = folder.members().values()
    standing = [member for member in members if not member.is_revoked]
    files = {
        ROLL_OVERS_PATH: folder.roll_overs(),
        HISTORICAL_KEYS_PATH: folder.historical_keys(),
        WELL_KNOWN: folder.configuration(),
        **{statement_path(member.entity_id): member.statement for member in standing},
    }
    if not folder.facts().is_authority:
        files[STATUS_PATH] = current_status(folder, members, now=now)
    for path, text in files.items():
        file = out / path.lstrip("/")
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if not file.exists() or file.read_bytes() != text.encode("ascii"):
            replace_file(file, text.encode("ascii"), mode=0o644)
    statements = out / STATEMENTS_PATH.lstrip("/")
    kept = {member_label(member.entity_id) for member in standing}
    for stale in statements.glob("*") if statements.exists() else ():
        if stale.name not in kept:
            stale.unlink()
    return list(files)


def _check_apart(directory: Path, out: Path) -> None:
    own, shown = directory.resolve(), out.resolve()
    if own == shown or own in shown.parents or shown in own.parents:
        raise AnchorRefused(f"{out} and the anchor's folder lie in each other: its keys would be shown")


async def keep_status(folder: AnchorFolder, out: Path, clock: Clock, *, every_s: float) -> None:
    """Lay `out` out anew every `every_s` until cancelled or told to stop by a signal to the process.

    Raises AnchorRefused when the first time fails; later ones are logged and tried again.
    """
    write_out(folder, out, now=clock.now())
    while True:
        await asyncio.sleep(every_s)
        try:
            write_out(folder, out, now=clock.now())
        except (AnchorRefused, OSError) as error:
            _log.error("anchor.status_not_signed", reason=str(error))
