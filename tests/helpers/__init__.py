"""Worlds, policies and checks that several tests share."""
