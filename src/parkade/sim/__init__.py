"""The same program in simulation."""
