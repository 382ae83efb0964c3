"""Double-entry accounts in whole micro-units."""
