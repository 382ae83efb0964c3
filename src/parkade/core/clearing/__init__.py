"""A market's clearing: its input from the world, and what its outcome changes."""
