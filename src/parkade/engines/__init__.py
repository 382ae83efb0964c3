"""Engines run attempts on given nodes: one package each, one contract (`ports.Engine`)."""
