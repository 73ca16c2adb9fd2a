"""Studies: grids of changes to one configuration, run so that a killed one goes on, and what comes of them."""
