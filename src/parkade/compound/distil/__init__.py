"""Training data out of runs: kept, deduplicated, decontaminated, in the trainers' formats."""
