"""Generated code of `yrd.header.v1`."""
