"""Steps that several domains share: permissions, notices, changes of records."""
