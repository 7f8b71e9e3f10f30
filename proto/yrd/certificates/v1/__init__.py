"""Generated code of `yrd.certificates.v1`."""
