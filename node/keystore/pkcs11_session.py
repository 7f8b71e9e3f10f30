"""A session with one PKCS#11 token: logged in when it is first needed, and again by itself when it was lost.

What OASIS PKCS #11 (2.40, "Base Specification") leaves to its user, and what is done about it:

 - A module has one state in a process, and C_Initialize without arguments, as python-pkcs11 calls it, promises
   nothing about threads (§5.4). So each module has one lock, and one call is in it at a time.
 - A process logs in to a token once, for all its sessions, and C_Logout ends that for all of them (§5.6). So those
   who use a token in one process share one login, which ends with the last of them; closing one session never
   takes the token from another.
 - A child of fork must initialise the module anew (§5.4), and so must whoever lost the device: the handles of
   before mean nothing then.
 - Tokens lock after a few wrong PINs. A PIN that was refused is not sent a second time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import pkcs11
import structlog
from pkcs11.exceptions import (
    PinExpired,
    PinIncorrect,
    PinInvalid,
    PinLenRange,
    PinLocked,
    PKCS11Error,
    UserAlreadyLoggedIn,
    UserPinNotInitialized,
)

from node.keystore.errors import KeystoreError, SourceAway

__all__ = ["RETRY_S", "Connection", "TokenSession"]

RETRY_S: Final = 1.0
"""After a token could not be opened, how long it is left alone: a dead one may take seconds to say so."""

_PIN_ERRORS = (PinIncorrect, PinInvalid, PinLenRange, PinLocked, PinExpired, UserPinNotInitialized)

_log = structlog.get_logger("pkcs11")
T = TypeVar("T")


@dataclass(slots=True)
class Connection:
    """An open session that may use the user's keys.

    `keys` are the objects that were found in it, by what they were proven to be: CKA_ID, purpose and key id.
    """

    token: Any
    session: Any
    generation: int
    keys: dict[tuple[bytes, str, str], Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Login:
    """The session that logged this process in to a token; None when somebody else in the process had."""

    session: Any
    users: int = 0


class _Module:
    """A loaded module and its logins. Every method is called with `lock` held."""

    def __init__(self, path: Path) -> None:
        self.lock = threading.RLock()
        self.generation = 0
        self._path = str(path)
        self._logins: dict[str, _Login] = {}
        self._pid = os.getpid()

    def enter(self, label: str, pin: str) -> Connection:
        """A new session with the token of that label. Raises PKCS11Error."""
        if self._pid != os.getpid():
            self.renew()
        token = pkcs11.lib(self._path).get_token(token_label=label)
        login = self._logins.get(label) or self._log_in(token, pin)
        session = token.open()
        login.users += 1
        self._logins[label] = login
        return Connection(token, session, self.generation)

    def is_current(self, connection: Connection) -> bool:
        """Whether the module was not initialised anew since that session was opened."""
        return connection.generation == self.generation and self._pid == os.getpid()

    def leave(self, label: str, connection: Connection) -> None:
        """Close a session; the last one of its token logs out. Never raises."""
        if not self.is_current(connection):
            return
        with contextlib.suppress(PKCS11Error):
            connection.session.close()
        login = self._logins[label]
        login.users -= 1
        if not login.users:
            del self._logins[label]
            if login.session is not None:
                with contextlib.suppress(PKCS11Error):
                    login.session.close()

    def renew(self) -> None:
        """Initialise the module anew; all its sessions are gone. Raises PKCS11Error."""
        self.generation += 1
        self._logins.clear()
        self._pid = os.getpid()
        module = pkcs11.lib(self._path)
        with contextlib.suppress(PKCS11Error):
            module.finalize()
        module.initialize()

    def _log_in(self, token: Any, pin: str) -> _Login:
        try:
            return _Login(token.open(user_pin=pin))
        except UserAlreadyLoggedIn:
            return _Login(None)


_MODULES: dict[Path, _Module] = {}
_MODULES_LOCK = threading.Lock()


def _module_at(path: Path) -> _Module:
    """The one of this process: the library behind it has one state, whoever uses it."""
    with _MODULES_LOCK:
        return _MODULES.setdefault(path, _Module(path))


class TokenSession:
    """One user's way to a token. Calls from several threads wait for each other."""

    def __init__(
        self,
        module: Path,
        label: str,
        read_pin: Callable[[], str],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.label = label
        self._path = module
        self._module = _module_at(module)
        self._read_pin = read_pin
        self._monotonic = monotonic
        self._connection: Connection | None = None
        self._refused_pin = b""
        self._trouble = ""
        self._retry_at = 0.0

    @property
    def trouble(self) -> str:
        """Why the token could not be used when it was last tried; empty when it could."""
        return self._trouble

    def run(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, given a session; it is done once more in a new session when the first was lost.

        Raises SourceAway: the token cannot be reached or does not do what it is asked; or the KeystoreError that
        `work` raises. For `RETRY_S` after a token could not be opened, it is not tried again.
        """
        with self._module.lock:
            connection, lost = self._connection, False
            if connection is not None and self._module.is_current(connection):
                try:
                    return work(connection)
                except PKCS11Error as error:
                    _log.warning("pkcs11.session_lost", token=self.label, error=_name(error))
                    lost = True
            connection = self._open(anew=lost)
            try:
                return work(connection)
            except PKCS11Error as error:
                self._drop()
                raise self._failed(f"it refused the operation ({_name(error)})") from None

    def close(self) -> None:
        """Let go of the token. A later `run` opens it again."""
        with self._module.lock:
            self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._module.leave(self.label, connection)

    def _open(self, *, anew: bool) -> Connection:
        self._drop()
        if self._monotonic() < self._retry_at:
            raise SourceAway(self._trouble)
        self._connection = self._connect(anew=anew)
        if self._trouble:
            _log.info("pkcs11.back", token=self.label)
        self._trouble, self._retry_at = "", 0.0
        return self._connection

    def _connect(self, *, anew: bool) -> Connection:
        try:
            pin = self._read_pin()
        except KeystoreError as error:
            raise self._failed(str(error)) from None
        digest = hashlib.sha256(pin.encode()).digest()
        if digest == self._refused_pin:
            raise self._failed("its PIN was refused before and is not sent again: correct it")
        try:
            return self._enter(pin, anew=anew)
        except _PIN_ERRORS as error:
            self._refused_pin = digest
            raise self._failed(f"its PIN was refused ({_name(error)}): correct it") from None
        except PKCS11Error as error:
            raise self._failed(_reason(error)) from None

    def _enter(self, pin: str, *, anew: bool) -> Connection:
        """`anew`: a session failed, so what the module thinks of the device and of the login is not to be relied on."""
        if not anew:
            try:
                return self._module.enter(self.label, pin)
            except _PIN_ERRORS:
                raise
            except PKCS11Error:
                pass  # a module sees a device that came back, and a token that is new, only after a new start
        self._module.renew()
        return self._module.enter(self.label, pin)

    def _failed(self, why: str) -> SourceAway:
        text = f"the PKCS#11 token {self.label!r} of {self._path} cannot be used: {why}"
        _log.error("pkcs11.unavailable", token=self.label, reason=why)
        self._trouble, self._retry_at = text, self._monotonic() + RETRY_S
        return SourceAway(text)

    def __repr__(self) -> str:
        return f"TokenSession({self.label!r})"


def _name(error: PKCS11Error) -> str:
    return type(error).__name__


def _reason(error: PKCS11Error) -> str:
    """What the module says. The text of an error is python-pkcs11's own: a label, a path, never a PIN."""
    text = str(error)
    return f"{_name(error)}: {text}" if text else _name(error)
