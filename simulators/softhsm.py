"""A hardware security module in software, for demonstrations and tests: SoftHSM, with tokens in a folder.

A process that uses these tokens needs `SoftHsm.environment`; a node knows nothing of SoftHSM, only of a PKCS#11
module, a token's label and a PIN.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "CONFIG_FILE",
    "CONFIG_VARIABLE",
    "MODULE_VARIABLE",
    "SoftHsm",
    "SoftHsmMissingError",
    "SoftToken",
    "find_softhsm",
]

CONFIG_FILE = "softhsm2.conf"
CONFIG_VARIABLE = "SOFTHSM2_CONF"
"""The environment variable by which SoftHSM finds its tokens."""
MODULE_VARIABLE = "SOFTHSM2_MODULE"
"""The environment variable that names the module where a system keeps it in a place of its own."""

_UTIL = "softhsm2-util"
_PLACES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)


class SoftHsmMissingError(Exception):
    """SoftHSM is not installed; the text says how to get it."""


@dataclass(frozen=True, slots=True)
class SoftToken:
    """One token, and the file of its PIN (mode 0600)."""

    module: Path
    label: str
    pin_file: Path


class SoftHsm:
    """SoftHSM with a configuration and tokens of its own in `folder`."""

    def __init__(self, folder: Path) -> None:
        """Raises SoftHsmMissingError."""
        self._util, self.module = find_softhsm()
        self.folder = folder
        self.tokens = folder / "tokens"
        self.tokens.mkdir(parents=True, mode=0o700)
        self.config = folder / CONFIG_FILE
        self.config.write_text(
            f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n", "utf-8"
        )

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process that uses these tokens has in its environment."""
        return {CONFIG_VARIABLE: str(self.config)}

    def make_token(self, label: str) -> SoftToken:
        """A new token with a PIN of its own. Raises CalledProcessError with what the tool said."""
        pin, pin_file = secrets.token_hex(8), self.folder / f"{label}.pin"
        subprocess.run(  # noqa: S603 - our own command line
            [
                *(self._util, "--init-token", "--free", "--label", label),
                *("--pin", pin, "--so-pin", secrets.token_hex(8)),
            ],
            check=True,
            capture_output=True,
            env={**os.environ, **self.environment},
        )
        with os.fdopen(os.open(pin_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(pin + "\n")
        return SoftToken(self.module, label, pin_file)


def find_softhsm() -> tuple[str, Path]:
    """The command that makes tokens, and the module. Raises SoftHsmMissingError."""
    util = shutil.which(_UTIL)
    named = os.environ.get(MODULE_VARIABLE)
    places = [Path(place) for place in ((named,) if named else _PLACES)]
    module = next((place for place in places if place.is_file()), None)
    if util is None or module is None:
        what = _UTIL if util is None else f"libsofthsm2.so (looked in {', '.join(map(str, places))})"
        raise SoftHsmMissingError(
            f"没有 {what}，请安装 softhsm2 / {what} is missing: make tools, or on Debian apt install softhsm2;"
            f" a module elsewhere is named by {MODULE_VARIABLE}"
        )
    return util, module
