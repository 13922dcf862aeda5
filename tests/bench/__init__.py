"""Speed, as ratios to baselines that run beside it: `python -m tests.bench`."""
