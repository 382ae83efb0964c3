"""One day in the parkade, on this machine: people as processes, through the real API."""
