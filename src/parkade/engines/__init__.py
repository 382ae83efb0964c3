"""Engines run attempts where they are told to: one package each, one contract (`ports.Engine`)."""
