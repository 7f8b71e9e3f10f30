"""The rest of the country, small, and able to misbehave on purpose."""
