"""Policies: rules, prices and learned ones, each in a room; the registry names them."""
