"""Runs an engine for a pool: makes what runs there be what the control plane desires."""
