"""Deterministic simulation: the shipped program in a world drawn from a seed, or searched whole.

Only what lies outside Parkade is simulated: time, database, engines, networks, machines, people.
`docs/simulation.md` tells what it proves and what it cannot.
"""
