"""Private keys at rest, under one key-encryption key."""
