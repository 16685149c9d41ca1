"""`python -m rankrefine VERB`; see `python -m rankrefine --help`."""

from rankrefine.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
