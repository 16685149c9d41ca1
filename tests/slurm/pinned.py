"""Snakemake with the SLURM plugin's polling pinned to one second: `python tests/slurm/pinned.py ARGUMENTS`.

The plugin waits ten seconds longer after every query without a change, up to three minutes, which would dominate the
time of a miniature. Nothing else is changed.
"""

import sys

import snakemake_executor_plugin_slurm as plugin
from snakemake.cli import main

plugin.Executor.next_seconds_between_status_checks = property(lambda self: 1, lambda self, seconds: None)

if __name__ == "__main__":
    sys.exit(main())
