"""Evidence: finding it in a node, taking it out, forgetting it."""

from __future__ import annotations

import click

from node.cli.evidence_archive import archive, open_command
from node.cli.evidence_export import export
from node.cli.evidence_forget import forget
from node.cli.evidence_reconcile import reconcile
from node.cli.evidence_rewrap import rewrap
from node.cli.evidence_search import search

__all__ = ["evidence"]


@click.group()
def evidence() -> None:
    """存证：查找、导出、删除本节点所问所答的证明。

    Evidence of what this node asked and answered.
    """


for command in (export, search, forget, rewrap, archive, open_command, reconcile):
    evidence.add_command(command)
