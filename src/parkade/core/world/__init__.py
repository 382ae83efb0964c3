"""The one mutable container, its commands, events and invariants."""
