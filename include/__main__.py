"""What a person types: ``python -m include demo`` and ``python -m include up``, which ``make`` calls."""

from include.command_line.app import main

main()
