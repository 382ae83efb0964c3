"""What each event does to the world: called by `evolve` alone."""
