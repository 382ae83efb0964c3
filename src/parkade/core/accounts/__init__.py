"""Orgs, users, tokens, money from outside, grants and caps."""
