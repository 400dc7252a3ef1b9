"""`python -m jaxdet` is the command jaxdet."""

from jaxdet.cli.main import main

main()
