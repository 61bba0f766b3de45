"""`python -m isma.cli`."""

from isma.cli.main import main

main()
