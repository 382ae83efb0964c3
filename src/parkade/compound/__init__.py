"""Networks of model calls; needs no marketplace to be useful."""
