"""Property tests here judge what is right, not how fast a busy machine finds out."""

from hypothesis import settings

settings.register_profile("house", deadline=None)
settings.load_profile("house")
