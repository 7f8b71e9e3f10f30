"""Generated code of `yrd.services`."""
