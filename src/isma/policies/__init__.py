"""One module a policy; the registry names them."""
