"""What each section of `node.toml` is made of: frozen tables in which unknown keys are refused, and paths."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo

__all__ = ["FilePath", "Section", "to_tuple"]


def _resolve_path(value: Any, info: ValidationInfo) -> Path:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("须为文件路径 / must be the path of a file")
    folder: Path = (info.context or {}).get("folder", Path())
    return (folder / value).absolute()


def to_tuple(value: Any) -> Any:
    """A list of the file as a tuple; anything else as it is, to be refused by the type."""
    return tuple(value) if isinstance(value, list) else value


FilePath = Annotated[Path, BeforeValidator(_resolve_path)]
"""A path in the file; a relative one is taken from the file's folder."""


class Section(BaseModel):
    """One table of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
