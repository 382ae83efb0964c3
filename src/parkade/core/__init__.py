"""The pure core: values in, events out. No clock, randomness, I/O, logging or async."""
