"""Generated code of `yrd.services.v1`."""
