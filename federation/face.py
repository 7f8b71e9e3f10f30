"""The face of a certificate (照面信息): its digest, and what differs between one presented and the one held.

Both sides are in shared words. The state and the digest are no part of the face: a state changes without a
new certificate, and a digest cannot cover itself. What is empty, or a list of rows, is no part of it either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from mapping.element import Element

__all__ = ["differing_names", "face_digest", "shows_face"]

_NOT_FACE = frozenset(("证照状态", "证照摘要"))


def face_digest(elements: Sequence[Element]) -> bytes:
    """SHA-256 over ``name 0x1F value 0x1E`` of the top-level elements, sorted; 32 bytes.

    The order in which a registry lists its fields does not matter.
    """
    rows = sorted(f"{e.name}\x1f{e.value}\x1e" for e in elements if e.value and e.name not in _NOT_FACE)
    return hashlib.sha256("".join(rows).encode()).digest()


def shows_face(presented: Sequence[Element]) -> bool:
    """Whether anything of the face is among the presented elements: of nothing, nothing can be valid."""
    return any(element.name not in _NOT_FACE for element in presented)


def differing_names(presented: Sequence[Element], held: Sequence[Element]) -> tuple[str, ...]:
    """Names of the presented elements whose value the held certificate does not have, in the order presented.

    Who holds a paper may show a part of it: what was not presented does not differ.
    """
    values = {element.name: element.value.strip() for element in held}
    return tuple(
        element.name
        for element in presented
        if element.name not in _NOT_FACE and values.get(element.name) != element.value.strip()
    )
