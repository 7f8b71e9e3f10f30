"""The parts of a simulated identity provider; `simulators.identity_provider` puts them together."""
