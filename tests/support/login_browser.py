"""The browser without JavaScript that walks logins in tests; the demonstration walks its own with it, too."""

from __future__ import annotations

from simulators.browser import BlockedError, Form, LoginBrowser, Page

__all__ = ["BlockedError", "Form", "LoginBrowser", "Page"]
