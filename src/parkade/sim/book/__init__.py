"""`parkade sim book`: a book of windows in a file, matched as one batch."""
