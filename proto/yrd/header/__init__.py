"""Generated code of `yrd.header`."""
