"""Pools, markets and their terms, nodes, their health and cordons."""
