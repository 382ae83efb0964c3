"""What use costs, what it earns, and what is set aside for it."""
