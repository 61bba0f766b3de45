"""The city as data: sites, backhaul, mobility, radio, scenarios, importers."""
