"""Entry point of the command line: ``python -m include COMMAND``."""

from include.command_line.app import main

main()
