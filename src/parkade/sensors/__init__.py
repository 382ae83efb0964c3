"""Turns what machines say into symptoms: kernel log, NVML, DCGM, InfiniBand, engine, host, work.

Parsers are pure and take recorded input. Readers do the I/O, each with a bound and a time-out, and
say so where a machine has no such thing.
"""
