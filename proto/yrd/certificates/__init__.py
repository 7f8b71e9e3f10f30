"""Generated code of `yrd.certificates`."""
