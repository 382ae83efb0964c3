"""Mars on one machine or alone: policy file, scan, explain, and a watch without a marketplace.

Reads and judges; it acts only where `mars run` is told to. Needs no server.
"""
