"""What every error of the vocabulary is; `federation.errors` holds them all."""

from __future__ import annotations

from typing import ClassVar

__all__ = ["FederationError"]


class FederationError(Exception):
    """A refusal with a code of the table. `field` names the input it is about, when it is about one."""

    code: ClassVar[str] = "internal"

    def __init__(self, detail: str = "", *, field: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
