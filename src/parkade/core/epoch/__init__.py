"""The epochs of writers, and the clock that they trust."""
