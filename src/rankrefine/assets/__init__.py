"""Models and data sets: download, conversion, checks and manifests."""
