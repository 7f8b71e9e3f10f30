"""Generated code of `yrd.exchange`."""
