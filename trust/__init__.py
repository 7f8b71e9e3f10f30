"""What may be believed. Pure: bytes and times in, verdicts out."""
