"""How nodes deal with each other."""
