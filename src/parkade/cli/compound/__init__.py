"""`parkade compound …`: networks of model calls from the command line."""
