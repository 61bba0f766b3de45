"""Latent space models: what a server believes of a world of which it sees a part."""
