"""Generated code of `yrd.state.v1`."""
