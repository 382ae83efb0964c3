"""Money, instants, windows, identifiers and refusals: the words every other room uses."""
