"""Deterministic simulation: the shipped core, cycle, intake and agent in a world drawn from a seed.

Only what lies outside Parkade is simulated: time, database, engines, networks, machines, people.
`docs/simulation.md` tells what it proves and what it cannot.
"""
