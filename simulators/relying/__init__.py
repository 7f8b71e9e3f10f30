"""The parts of a simulated portal; `simulators.portal` puts them together."""
