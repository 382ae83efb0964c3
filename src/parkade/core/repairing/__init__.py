"""Sick nodes: verdicts taken in, guards asked, work moved, repairs ordered, nodes returned."""
