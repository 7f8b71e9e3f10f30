"""The bench: what a query through two nodes costs, against the same three hops with nothing done in them."""
