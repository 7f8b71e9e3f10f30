"""How a node reaches its province's registry."""
