"""Somebody edits a node's log behind its back, with all of its keys, so that the node itself sees nothing: the peers
find it, as witnesses or by comparing logs, and evidence that is exported afterwards does not prove what was edited.

What no edit can do: change what was cosigned before. So a file from before the edit keeps verifying, and so does what
the edited node still exports of that time; what it invents stays its own word, since no witness cosigns it.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from federation.errors import OwnNotFound, OwnRecordDamaged
from federation.reconcile import FindingKind
from node.config import read_config
from tests.support.delta import add_settings
from tests.support.federation import (
    RunningNode,
    allow_all,
    command,
    make_anchor,
    make_node,
    running,
    serving_anchor,
    yrd,
)
from tests.support.insider import Insider, store_of
from tests.support.two_nodes import ShiftedClock
from trust.checkpoint import read_checkpoint
from trust.note import read_note

pytestmark = pytest.mark.journey

SHANGHAI, JIANGSU, ZHEJIANG = PROVINCES = ("310000", "320000", "330000")
TYPES = f"/v1/certificates/types/{ZHEJIANG}?officer=1"
LATER_S = 200.0
"""After so long nothing that was asked is still on its way, and logs are compared."""
EARLY, LATE = 3, 52
"""Exchanges that are settled before, and the two records each that are more than are cut off."""
CUT_OFF = 100


@dataclass(frozen=True, slots=True)
class Chain:
    """Three nodes that cosign each other; Shanghai asked Zhejiang, whose log is edited."""

    folder: Path
    secret: str
    early: Sequence[str]
    late: Sequence[str]

    def config(self, province: str) -> Path:
        """The node.toml of a province."""
        return self.folder / province / "node.toml"

    @property
    def edited(self) -> Path:
        """The node.toml of Zhejiang."""
        return self.config(ZHEJIANG)

    @property
    def entity_id(self) -> str:
        """Zhejiang's."""
        return read_config(self.edited).node.entity_id

    async def verify(self, file: Path, *options: str) -> tuple[int, Mapping[str, Any]]:
        """Exit code and report of `yrd verify`."""
        anchor = self.folder / "anchor" / "anchor.public.json"
        done = await asyncio.to_thread(yrd, "verify", file, "--anchor", anchor, "--json", "-", *options)
        return done.exit_code, orjson.loads(done.stdout)

    async def export(self, request_id: str) -> Path:
        """The file that `yrd evidence export` makes at the edited node. Raises what it refuses with."""
        file = self.folder / f"{request_id}.zip"
        arguments = ("evidence", "export", request_id, "--config", self.edited, "--out", file)
        done = await asyncio.to_thread(yrd, *arguments)
        assert done.exit_code == 0, done.output
        return file

    async def holds(self, file: Path) -> bool:
        """Whether a file holds, and its time is proven."""
        code, report = await self.verify(file)
        return code == 0 and _proven(report)

    async def is_unproven(self, file: Path) -> bool:
        """Whether a file is told to be the edited node's word alone; with `--require-settled` it does not hold."""
        code, report = await self.verify(file)
        required, _ = await self.verify(file, "--require-settled")
        return (code, required, _proven(report)) == (0, 1, False)


def _proven(report: Mapping[str, Any]) -> bool:
    """Whether a quorum of witnesses says by when the one exchange of a file was there."""
    return report["summary"]["proven"] == 1 and report["files"][0]["exchanges"][0]["evidence_at"] is not None


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """Made once for all cases."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(make(tmp_path_factory.mktemp("edits")))).result()


@pytest.fixture
def chain(made: Chain, tmp_path: Path) -> Chain:
    """A copy of it, to be edited; the ports are the same."""
    folder = tmp_path / "chain"
    shutil.copytree(made.folder, folder)
    return Chain(folder, made.secret, made.early, made.late)


async def make(folder: Path) -> Chain:
    """Found it, ask, have the early exchanges settled and one of them exported, ask more, and stop."""
    public, _ = await make_anchor(folder / "anchor")
    paths = {one: await make_node(public, folder / one, one) for one in PROVINCES}
    for path in paths.values():
        allow_all(path.with_name("access.toml"))
        add_settings(path, "evidence", "checkpoint_s = 0.2")
    async with serving_anchor(folder / "anchor"), running(*paths.values()) as (asking, *_):
        secret = await asking.add_client("portal")
        token = await asking.log_in("portal", secret)
        early = [await ask(asking, token) for _ in range(EARLY)]
        await settled(paths[ZHEJIANG], early[-1])
        await command(
            *("evidence", "export", early[0], "--config", paths[ZHEJIANG]),
            *("--out", folder / "before.zip"),
        )
        late = [await ask(asking, token) for _ in range(LATE)]
        await settled(paths[ZHEJIANG], late[-1])
    return Chain(folder, secret, early, late)


async def ask(asking: RunningNode, token: str) -> str:
    """Shanghai asks Zhejiang for what it offers; the request id."""
    for _ in range(200):
        status, body = await asking.get(TYPES, token)
        if status == 200:
            return str(body["request_id"])
        await asyncio.sleep(0.05)
    raise AssertionError(body)


async def settled(config: Path, request_id: str) -> None:
    """Wait until a quorum cosigned a checkpoint that holds an exchange."""
    for _ in range(600):
        with store_of(config) as store:
            (index,) = store.execute(
                "SELECT max(log_index) FROM records WHERE request_id = ?", (request_id,)
            ).fetchone()
            (size,) = store.execute(
                "SELECT coalesce(max(size), 0) FROM checkpoints WHERE settled_at IS NOT NULL"
            ).fetchone()
        if size > index:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(size)


@asynccontextmanager
async def at_work(chain: Chain, *, ahead_s: float = 0.0) -> AsyncIterator[Sequence[RunningNode]]:
    """All three nodes again. The edited one starts first, while there is no witness that it could ask what it signed:
    whoever edits its database sees to that, or it would not even start to work.
    """
    clock = ShiftedClock()
    clock.ahead_s = ahead_s
    clocks = {chain.config(one): clock for one in PROVINCES}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving_anchor(chain.folder / "anchor"))
        (edited,) = await stack.enter_async_context(running(chain.edited, clocks=clocks))
        others = (chain.config(SHANGHAI), chain.config(JIANGSU))
        asking, third = await stack.enter_async_context(running(*others, clocks=clocks))
        yield asking, third, edited


async def conflict(chain: Chain, *provinces: str) -> Mapping[str, Any]:
    """The first that `yrd log conflicts` tells at one of these nodes, as soon as there is one."""
    for _ in range(300):
        for config in map(chain.config, provinces):
            with store_of(config) as store:
                (count,) = store.execute("SELECT count(*) FROM log_conflicts").fetchone()
            if count:
                done = await asyncio.to_thread(yrd, "log", "conflicts", "--json", "--config", config)
                first: Mapping[str, Any] = orjson.loads(done.stdout)[-1]
                return first
        await asyncio.sleep(0.1)
    raise AssertionError("no peer has found it")


async def is_found_by_a_witness(chain: Chain, *kinds: str) -> None:
    """The first checkpoint that reaches a witness contradicts what it cosigned; it keeps both. Who is told so by the
    first has its log closed, before it asks the next.
    """
    found = await conflict(chain, SHANGHAI, JIANGSU)
    assert (found["kind"] in kinds, found["entity_id"]) == (True, chain.entity_id)
    assert found["known"] != found["offered"]
    for note in (found["known"], found["offered"]):
        assert read_checkpoint(read_note(note.encode()).text).origin == found["origin"]


def alarming(config: Path) -> set[tuple[str, str]]:
    """What comparing logs came to at a node: request ids, and what is wrong with them. What the edited node asked while
    nobody was there is in its log alone, which is explained.
    """
    with store_of(config) as store:
        rows = store.execute("SELECT findings FROM reconciliations WHERE state = 'alarm'").fetchall()
    found = [one for (text,) in rows for one in orjson.loads(text)[0]]
    return {(one["request_id"], one["kind"]) for one in found if FindingKind(one["kind"]).is_alarming}


async def is_measured(node: RunningNode, line: str) -> None:
    """Prometheus is told so, once the look at the peer has come to its end."""
    for _ in range(200):
        async with node.http.get(f"http://{node.at.operations}/metrics") as answer:
            told = await answer.text()
        if line in told:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(told)


async def test_bodies_that_were_changed_are_found_by_comparing_logs(chain: Chain) -> None:
    scratched, rewritten = chain.late[:2]
    async with Insider.at(chain.edited) as insider:
        insider.scratch(scratched)
        insider.rewrite(rewritten)
    with pytest.raises(OwnRecordDamaged):
        await chain.export(scratched)
    code, report = await chain.verify(await chain.export(rewritten))
    (failure,) = report["files"][0]["failures"]
    assert (code, "does not lead to the root" in failure["detail"]) == (1, True)
    assert await chain.holds(chain.folder / "before.zip")

    async with at_work(chain, ahead_s=LATER_S) as (asking, _, _):
        await ask(asking, await asking.log_in("portal", chain.secret))
        found = await conflict(chain, SHANGHAI)
        assert (found["kind"], found["entity_id"]) == ("record_altered", chain.entity_id)
        assert alarming(chain.config(SHANGHAI)) == {(scratched, "altered"), (rewritten, "altered")}
        await is_measured(asking, f'yrd_reconcile_findings{{kind="altered",province="{ZHEJIANG}"}} 2.0')


async def test_a_changed_body_in_a_tree_that_was_rebuilt_is_found_by_the_witnesses(chain: Chain) -> None:
    async with Insider.at(chain.edited) as insider:
        insider.rewrite(chain.late[-1])
        insider.rebuild()
    async with at_work(chain):
        await is_found_by_a_witness(chain, "bad_proof", "fork")
        assert await chain.is_unproven(await chain.export(chain.late[-1]))
    assert await chain.holds(chain.folder / "before.zip")


async def test_records_that_were_cut_off_are_found_by_the_witnesses(chain: Chain) -> None:
    async with Insider.at(chain.edited) as insider:
        gone = insider.cut_off(CUT_OFF)
        insider.rebuild()
    assert len(gone) == CUT_OFF
    async with at_work(chain):
        await is_found_by_a_witness(chain, "shrunk")
        with pytest.raises(OwnNotFound):
            await chain.export(chain.late[-1])
        assert await chain.holds(await chain.export(chain.early[0]))
    assert await chain.holds(chain.folder / "before.zip")


async def test_a_record_that_was_put_in_is_found_by_the_witnesses(chain: Chain) -> None:
    async with Insider.at(chain.edited) as insider:
        invented = insider.invent_before(chain.late[0])
        insider.rebuild()
    async with at_work(chain):
        await is_found_by_a_witness(chain, "bad_proof", "fork")
        assert await chain.is_unproven(await chain.export(invented))
        assert await chain.is_unproven(await chain.export(chain.late[1])), "it was moved"
        assert await chain.holds(await chain.export(chain.early[0])), "it lies before"
    assert await chain.holds(chain.folder / "before.zip")
