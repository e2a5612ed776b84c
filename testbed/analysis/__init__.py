"""Analysis of runs: comparison, metrics as text, and samples prepared for charts. All functions are pure."""
