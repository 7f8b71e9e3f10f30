"""Generated code of `yrd.evidence`."""
