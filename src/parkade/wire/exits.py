"""The exit codes of a shell that mean the same for every command; written for ever."""

EXIT_OTHER, EXIT_USAGE, EXIT_INVALID, EXIT_NOT_FOUND = 1, 2, 3, 4
EXIT_DENIED, EXIT_TRY_AGAIN, EXIT_REFUSED = 5, 6, 7
