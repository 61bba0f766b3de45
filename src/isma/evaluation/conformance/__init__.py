"""What every policy must keep to, tried on anybody's class: `isma check-policy`."""
