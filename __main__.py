"""`python -m htrjand`: the same as the `htrjand` command."""

from htrjand.cli import main

main()
