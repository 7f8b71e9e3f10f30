"""A citizen of one province logs in to the service of another (design §8).

Use cases only: the rows, listeners and pages are in `node/`. The data walks like this:

- a platform or a peer sends an authorization request, which is read and checked (`requests`)
- the flow (`flow`) asks for the province, then either goes to the home node as relying party (`visited`), or to the
  province's identity provider (`home`), and asks the citizen to agree
- the code that follows is redeemed for tokens (`granting`)

`model` has the things that pass between these, `ports` what they need from the node, `refusals` how each says no.
`writes` is what a step writes in one transaction, `uses` what a request uses up in the transaction that it leads to.
"""
