"""The port that probes and scrapers look at."""
