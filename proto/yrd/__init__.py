"""Generated code of `yrd`."""
