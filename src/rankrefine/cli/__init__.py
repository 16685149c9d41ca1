"""Command line: `main` parses arguments, `commands` lists the commands."""
