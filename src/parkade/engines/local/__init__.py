"""The engine of processes on this machine: nodes are slots, each attempt has a keeper process.

`engine.LocalEngine` is the door. This module imports nothing, so that a keeper starts quickly.
"""
