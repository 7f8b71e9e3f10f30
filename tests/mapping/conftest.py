"""Property tests here judge values, never speed: a busy machine must not fail them."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("no_deadline", deadline=None, print_blob=True)
settings.load_profile("no_deadline")
