"""How the four provinces' registries are called: what really differs, one module each.

Each module has its routes, how its requests are read, how its answers are wrapped, and the `[registry]` part
of node.toml by which a node talks to it. The variants are those that were seen in real systems
(`docs/simulators.md` names them).
"""
