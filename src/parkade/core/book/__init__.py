"""A book of delivery windows: orders of one fabric matched in a batch, one price an hour."""
