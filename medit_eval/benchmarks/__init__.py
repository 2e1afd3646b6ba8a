"""General benchmarks on edited models, run by lm-evaluation-harness."""
