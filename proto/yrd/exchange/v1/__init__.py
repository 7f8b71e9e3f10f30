"""Generated code of `yrd.exchange.v1`."""
