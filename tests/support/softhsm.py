"""SoftHSM for tests: one folder of tokens for each test process, one new token for each test that wants one.

The module reads SOFTHSM2_CONF when it is initialised and has one state in a process, so the folder is the process's
and only the tokens are the test's. Where SoftHSM is not installed these tests fail and say what to install.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from simulators.softhsm import SoftHsm, SoftHsmMissingError, SoftToken

__all__ = ["TestToken", "new_token"]

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class TestToken:
    """A token of one test."""

    __test__ = False

    token: SoftToken
    folder: Path
    """Its objects, as SoftHSM keeps them."""

    @property
    def module(self) -> Path:
        """The PKCS#11 module."""
        return self.token.module

    @property
    def label(self) -> str:
        """Its label."""
        return self.token.label

    @property
    def pin_file(self) -> Path:
        """The file of its PIN."""
        return self.token.pin_file

    @property
    def pin(self) -> str:
        """Its PIN."""
        return self.pin_file.read_text("utf-8").strip()

    def section(self, *purposes: str) -> str:
        """[keys.pkcs11] of a node that has its keys here."""
        named = ", ".join(f'"{purpose}"' for purpose in purposes or ("envelope",))
        return (
            f'\n[keys.pkcs11]\nmodule = "{self.module}"\ntoken = "{self.label}"\n'
            f'pin_file = "{self.pin_file}"\npurposes = [{named}]\n'
        )

    @property
    def init(self) -> tuple[str, ...]:
        """The arguments of yrd init for a node that has its envelope key here."""
        module, pin_file = str(self.module), str(self.pin_file)
        return ("--pkcs11-module", module, "--pkcs11-token", self.label, "--pkcs11-pin-file", pin_file)

    def set_pin(self, pin: str) -> None:
        """Write another PIN into the file; the token keeps its own."""
        self.pin_file.write_text(pin + "\n", "utf-8")

    @contextmanager
    def away(self) -> Iterator[None]:
        """The token is pulled out while inside."""
        beside = self.folder.parent.with_name("away") / self.folder.name
        beside.parent.mkdir(exist_ok=True)
        self.folder.rename(beside)
        try:
            yield
        finally:
            beside.rename(self.folder)


@cache
def _softhsm() -> SoftHsm:
    """The one of this process, from its first use to its end; children of the process use it too."""
    folder = Path(tempfile.mkdtemp(prefix="yrd-softhsm-"))
    try:
        softhsm = SoftHsm(folder)
    except SoftHsmMissingError as missing:
        shutil.rmtree(folder)
        pytest.fail(str(missing), pytrace=False)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ.update(softhsm.environment)
    return softhsm


def new_token() -> TestToken:
    """A new, empty token. Where SoftHSM is not installed the test fails and says what to install."""
    softhsm = _softhsm()
    before = set(softhsm.tokens.iterdir())
    try:
        token = softhsm.make_token(f"test-{next(_numbers)}")
    except subprocess.CalledProcessError as error:
        pytest.fail(f"softhsm2-util: {error.stderr.decode()}", pytrace=False)
    (folder,) = set(softhsm.tokens.iterdir()) - before
    return TestToken(token, folder)
