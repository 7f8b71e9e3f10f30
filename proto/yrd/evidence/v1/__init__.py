"""Generated code of `yrd.evidence.v1`."""
