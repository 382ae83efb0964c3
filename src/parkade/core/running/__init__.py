"""The life of a workload: submitted, promised, launched, observed, ended."""
