"""The auditor of money under the name that tests know it by; it lives in `parkade.sim.auditor`."""

from parkade.sim.auditor import Books, Discrepancy, audit

__all__ = ["Books", "Discrepancy", "audit"]
