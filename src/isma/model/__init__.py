"""Latent space models: a server's belief of a partially observed world."""
