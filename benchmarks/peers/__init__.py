"""Planners of other libraries, on a model of the same layers; nothing but these modules imports them."""
