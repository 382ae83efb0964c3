"""Logins by an OpenID Connect provider: what it says of a person, and who that is here."""
