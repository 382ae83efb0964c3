"""Reservations, lending and claims."""
