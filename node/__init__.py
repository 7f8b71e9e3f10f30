"""The running thing: the only place where all rooms meet."""
