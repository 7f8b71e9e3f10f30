"""What a local certificate type code is called."""

from __future__ import annotations

from collections.abc import Mapping

from mapping.translate import Dialect

__all__ = ["TypeNames"]


class TypeNames:
    """Names by local code, for the dialect of an answer; made anew when another version comes."""

    def __init__(self) -> None:
        self._of: Dialect | None = None
        self._names: Mapping[str, str] = {}

    def __call__(self, dialect: Dialect) -> Mapping[str, str]:
        """The names of the types that the dialect knows."""
        if dialect is not self._of:
            self._of = dialect
            self._names = {
                dialect.code_to_local("certificate_type", code).value: name
                for code, name, _ in dialect.certificate_types
            }
        return self._names
