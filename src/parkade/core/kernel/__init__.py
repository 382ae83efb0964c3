"""Dispatch only: commands to decisions, events to effects, deadlines, and the invariants."""
