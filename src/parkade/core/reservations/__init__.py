"""Reservations, the calendar of capacity, lending and the price sheet."""
