"""Models and data sets: fetching (`run`) and their manifests."""
