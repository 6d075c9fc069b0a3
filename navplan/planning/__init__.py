"""Which ways lead to a target, and how safe each is."""
