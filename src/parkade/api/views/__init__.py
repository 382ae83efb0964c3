"""The world as callers may see it: pure functions from records to the wire, one file a noun."""
