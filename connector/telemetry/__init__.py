"""What the process tells of itself: log lines and metrics."""
