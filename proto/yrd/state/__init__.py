"""Generated code of `yrd.state`."""
