"""Reads a log as it is served with tlog-scales, in an environment of its own; knows nothing of this project.

In (standard input): {"prefix", "log": vkey, "witnesses": [vkey], "index", "old_size", "old_root": hex}
Out (standard output):
  checkpoint  origin, size and root as the log's key signed them
  cosigned    name of each witness whose cosignature verifies, and its time
  entry       the entry at `index`, from its bundle; `path` leads from its hash to the checkpoint's root
  proof       leads from the old root to the checkpoint's, to which the tiles lead as well
Whatever does not verify ends it with what was wrong.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from tlog_scales.backend import HttpBackend
from tlog_scales.reader import TilesReader
from tlog_scales.signing import Ed25519CosignatureVerifier, Vkey, VkeySet
from tlog_scales.tiles import leaf_hash


def read_log(question: dict[str, Any]) -> dict[str, Any]:
    reader = TilesReader(HttpBackend(question["prefix"]))
    checkpoint = reader.get_checkpoint()
    checkpoint.verify(Vkey.from_string(question["log"]))
    witnesses = VkeySet(*map(Vkey.from_string, question["witnesses"]))
    valid = witnesses.verify(checkpoint.signatures, checkpoint)

    entry = reader.get_entry(question["index"])
    path = reader.get_inclusion_proof(question["index"], checkpoint.size)
    path.check(leaf_hash(entry), checkpoint.root_hash)
    proof = reader.get_consistency_proof(question["old_size"], checkpoint.size)
    proof.check(bytes.fromhex(question["old_root"]), checkpoint.root_hash)
    root = reader.calculate_root_hash()
    if root != checkpoint.root_hash:
        raise ValueError(f"the tiles lead to {root.hex()}, the checkpoint says {checkpoint.root_hash.hex()}")
    return {
        "checkpoint": [checkpoint.origin, checkpoint.size, checkpoint.root_hash.hex()],
        "cosigned": {key.name: Ed25519CosignatureVerifier.get_timestamp(line.payload) for key, line in valid},
        "entry": entry.hex(),
        "path": [step.hex() for step in path.node_hashes],
        "proof": [step.hex() for step in proof.node_hashes],
    }


if __name__ == "__main__":
    try:
        print(json.dumps(read_log(json.load(sys.stdin))))
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")
