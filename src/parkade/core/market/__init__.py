"""Who wins, what a winner pays, and who earns it."""
