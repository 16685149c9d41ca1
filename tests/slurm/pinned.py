"""Snakemake with the SLURM plugin's polling pinned to one second: `python tests/slurm/pinned.py ARGUMENTS`.

The plugin waits ten seconds longer after every query without news, up to three minutes; a miniature would spend its
time there. Nothing else of it is changed.
"""

import sys

import snakemake_executor_plugin_slurm as plugin
from snakemake.cli import main

plugin.Executor.next_seconds_between_status_checks = property(lambda self: 1, lambda self, seconds: None)

if __name__ == "__main__":
    sys.exit(main())
