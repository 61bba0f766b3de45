"""`python -m isma`: the command line where no script of its name is on the path."""

from isma.cli.main import main

main()
