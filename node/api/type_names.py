"""What a local certificate type code is called."""

from __future__ import annotations

from federation.exchange import DialectHolder
from mapping.translate import Dialect

__all__ = ["TypeNames"]


class TypeNames:
    """Names by local code, for the dialect in force; read anew when `yrd reload maps` swaps it."""

    def __init__(self, dialect: DialectHolder) -> None:
        self._holder = dialect
        self._of: Dialect | None = None
        self._names: dict[str, str] = {}

    def __call__(self, local_code: str) -> str:
        """The name of a type, or empty for a code that the dialect does not know."""
        dialect = self._holder.current
        if dialect is not self._of:
            self._of = dialect
            self._names = {
                dialect.code_to_local("certificate_type", code).value: name
                for code, name, _ in dialect.certificate_types
            }
        return self._names.get(local_code, "")
